from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from medgan_core.errors import UsageError
from medgan_core.losses.structure_tensor import (
    coherence,
    direction_field,
    structure_matching_loss,
    structure_tensor,
)

SPACING_2D, SPACING_3D = (1.0, 2.0), (1.0, 1.5, 2.0)


def grating(direction: tuple[float, ...], spacing: tuple[float, ...], wavelength: float = 24.0) -> Tensor:
    """A wave along a direction given in mm, (1, 1, *spatial)."""
    shape = (48, 40) if len(spacing) == 2 else (28, 24, 20)
    unit = np.asarray(direction) / np.linalg.norm(direction)
    places = np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij")
    along = sum(u * p for u, p in zip(unit, places, strict=True))
    return torch.tensor(0.5 * np.sin(2 * np.pi * along / wavelength))[None, None]


def smooth_noise(shape: tuple[int, ...], seed: int) -> Tensor:
    noise = np.random.default_rng(seed).normal(size=shape)
    return torch.tensor(4 * gaussian_filter(noise, 1.5, axes=tuple(range(2, len(shape)))))


def matrices(tensor: Tensor) -> Tensor:
    """(n, channels, *spatial) to (n, *spatial, d, d)."""
    order = {3: [[0, 1], [1, 2]], 6: [[0, 1, 2], [1, 3, 4], [2, 4, 5]]}[tensor.shape[1]]
    return torch.movedim(tensor[:, torch.tensor(order)], (1, 2), (-2, -1))


def inner(field: Tensor, margin: int = 6) -> Tensor:
    return field[(..., *(slice(margin, -margin),) * (field.ndim - 2))]


@pytest.mark.parametrize("degrees", [0, 20, 45, 90, 110, 160])
def test_a_grating_has_its_angle_in_the_plane(degrees: int) -> None:
    angle = math.radians(degrees)
    image = grating((math.cos(angle), math.sin(angle)), SPACING_2D)
    field = inner(direction_field(structure_tensor(image, spacing=SPACING_2D, sigma=4.0)))
    wanted = torch.tensor([math.cos(2 * angle), math.sin(2 * angle)], dtype=field.dtype)
    # Central differences see waves at 2 mm spacing a few per cent weaker than those at 1 mm.
    assert float((field - wanted[:, None, None]).abs().max()) < 0.1
    mean = field.mean((0, 2, 3))
    got = math.degrees(math.atan2(float(mean[1]), float(mean[0]))) / 2
    assert (got - degrees + 90) % 180 - 90 == pytest.approx(0, abs=1.5)


@pytest.mark.parametrize("direction", [(1, 0, 0), (0, 0, 1), (1, 1, 0), (1, -2, 2), (0, 1, -1)])
def test_a_grating_has_its_direction_in_space(direction: tuple[float, ...]) -> None:
    unit = torch.tensor(direction, dtype=torch.float64) / np.linalg.norm(direction)
    image = grating(direction, SPACING_3D)
    field = inner(direction_field(structure_tensor(image, spacing=SPACING_3D, sigma=4.0)), 7)
    wanted = torch.outer(unit, unit)
    assert float((matrices(field) - wanted).abs().max()) < 0.06
    _, vectors = torch.linalg.eigh(matrices(field).mean((0, 1, 2, 3)))
    assert float((vectors[:, -1] * unit).sum().abs()) > math.cos(math.radians(2))


@pytest.mark.parametrize("spacing", [SPACING_2D, SPACING_3D])
def test_tensor_coherence_and_field_equal_naive_ones(spacing: tuple[float, ...]) -> None:
    dims = len(spacing)
    image = smooth_noise((2, 2, *(14, 12, 10)[:dims]), 0)
    tensor = structure_tensor(image, spacing=spacing, sigma=1.2)
    naive = np.zeros((2, *image.shape[2:], dims, dims))
    for n in range(2):
        for channel in image[n].numpy():
            gradients = np.gradient(channel, *spacing)
            for a in range(dims):
                for b in range(dims):
                    naive[n, ..., a, b] += gaussian_filter(
                        gradients[a] * gradients[b], [1.2 / s for s in spacing], mode="mirror", truncate=3.0
                    )
    # The Gaussian's radius is rounded up here, and to the nearest voxel there.
    np.testing.assert_allclose(matrices(tensor).numpy(), naive, atol=0.02 * np.abs(naive).max())
    values = np.linalg.eigvalsh(matrices(tensor).numpy())
    eps = 1e-4
    if dims == 2:
        c = ((values[..., 1] - values[..., 0]) / (values.sum(-1) + eps)) ** 2
        _, vectors = np.linalg.eigh(matrices(tensor).numpy())
        angle = np.arctan2(vectors[..., 1, 1], vectors[..., 0, 1])
        field = np.stack([c * np.cos(2 * angle), c * np.sin(2 * angle)], axis=1)
    else:
        spread = values - values.mean(-1, keepdims=True)
        c = np.sqrt(1.5 * (spread**2).sum(-1) / ((values**2).sum(-1) + eps**2))
        field = tensor.numpy() / (values.sum(-1) + eps)[:, None] * c[:, None]
    np.testing.assert_allclose(coherence(tensor)[:, 0].numpy(), c, atol=3e-4)
    np.testing.assert_allclose(direction_field(tensor).numpy(), field, atol=3e-4)


@pytest.mark.parametrize("spacing", [SPACING_2D, SPACING_3D])
def test_sign_offset_and_scale_of_the_intensities_do_not_matter(spacing: tuple[float, ...]) -> None:
    image = smooth_noise((1, 1, 14, 12, 10)[: 2 + len(spacing)], 1)

    def field(x: Tensor) -> Tensor:
        return direction_field(structure_tensor(x, spacing=spacing, sigma=1.5), eps=1e-9)

    torch.testing.assert_close(field(-image), field(image))
    torch.testing.assert_close(field(image + 5), field(image))
    torch.testing.assert_close(field(40 * image), field(image), rtol=1e-4, atol=1e-4)


def test_spacing_and_sigma_are_lengths() -> None:
    image = smooth_noise((1, 1, 14, 12), 2)
    one = structure_tensor(image, spacing=(0.5, 1.5), sigma=1.0)
    torch.testing.assert_close(structure_tensor(image, spacing=(1.0, 3.0), sigma=2.0), one / 4)


def test_flat_and_even_regions_have_no_direction() -> None:
    for dims in (2, 3):
        flat = structure_tensor(torch.ones(1, 1, *(8,) * dims), spacing=(1.0,) * dims, sigma=1.0)
        assert not direction_field(flat).any()
        assert float(coherence(flat).max()) < 1e-9
        even = torch.zeros_like(flat)
        even[:, [0, 2] if dims == 2 else [0, 3, 5]] = 1.0
        assert float(coherence(even).max()) < 1e-3


@pytest.mark.parametrize("spacing", [SPACING_2D, SPACING_3D])
def test_gradients_equal_finite_differences_twice(spacing: tuple[float, ...]) -> None:
    image = smooth_noise((1, 1, 4, 4, 3)[: 2 + len(spacing)], 3).requires_grad_(True)

    def field(x: Tensor) -> Tensor:
        return direction_field(structure_tensor(x, spacing=spacing, sigma=1.0))

    assert torch.autograd.gradcheck(field, (image,), fast_mode=True)
    assert torch.autograd.gradgradcheck(field, (image,), fast_mode=True)


@pytest.mark.parametrize("dims", [2, 3])
def test_gradients_are_finite_where_eigenvalues_meet(dims: int) -> None:
    flat = torch.zeros(1, 1, *(6,) * dims, requires_grad=True)
    field = direction_field(structure_tensor(flat, spacing=(1.0,) * dims, sigma=1.0))
    (first,) = torch.autograd.grad((field + field**2).sum(), flat, create_graph=True)
    (second,) = torch.autograd.grad((first**2).sum() + first.sum(), flat)
    assert torch.isfinite(first).all()
    assert torch.isfinite(second).all()


@pytest.mark.parametrize("spacing", [SPACING_2D, SPACING_3D])
def test_the_matching_loss_is_its_formula(spacing: tuple[float, ...]) -> None:
    shape = (2, 1, 14, 12, 10)[: 2 + len(spacing)]
    generated, target = smooth_noise(shape, 4), smooth_noise(shape, 5)
    a, b = (structure_tensor(x, spacing=spacing, sigma=1.5) for x in (generated, target))
    ma, mb = (
        matrices(t) / (matrices(t).diagonal(dim1=-2, dim2=-1).sum(-1) + 1e-4)[..., None, None] for t in (a, b)
    )
    wanted = (coherence(b)[:, 0] * ((ma - mb) ** 2).sum((-2, -1))).mean()
    got = structure_matching_loss(generated, target, spacing=spacing, sigma=1.5)
    torch.testing.assert_close(got, wanted)
    assert float(got) > 1e-3
    assert float(structure_matching_loss(2 - target, target, spacing=spacing, sigma=1.5)) < 1e-12


def test_the_matching_loss_turns_a_grating_into_its_target() -> None:
    target = grating((1.0, 0.3), (1.0, 1.0), wavelength=12.0)[..., :24, :24].float()
    image = grating((0.3, 1.0), (1.0, 1.0), wavelength=12.0)[..., :24, :24].float().requires_grad_(True)
    before = structure_matching_loss(image, target, spacing=(1.0, 1.0), sigma=2.0).item()
    optimiser = torch.optim.Adam([image], lr=0.02)
    for _ in range(60):
        optimiser.zero_grad()
        loss = structure_matching_loss(image, target, spacing=(1.0, 1.0), sigma=2.0)
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.1 * before


def test_it_is_computed_in_full_precision_under_autocast() -> None:
    image = smooth_noise((1, 1, 14, 12), 6).float()
    exact = structure_tensor(image, spacing=(1.0, 1.0), sigma=1.0)
    with torch.autocast("cpu", torch.bfloat16):
        got = structure_tensor(image, spacing=(1.0, 1.0), sigma=1.0)
    assert got.dtype == torch.float32
    assert torch.equal(got, exact)
    assert structure_tensor(image.bfloat16(), spacing=(1.0, 1.0), sigma=1.0).dtype == torch.float32


def test_what_does_not_fit_is_refused() -> None:
    image = torch.zeros(1, 1, 8, 8)
    for spacing, sigma in (((1.0, 1.0, 1.0), 1.0), ((1.0,), 1.0), ((0.0, 1.0), 1.0), ((1.0, 1.0), -1.0)):
        with pytest.raises(UsageError):
            structure_tensor(image, spacing=spacing, sigma=sigma)
    with pytest.raises(UsageError, match="at least 2"):
        structure_tensor(torch.zeros(1, 1, 8, 8, 1), spacing=(1.0, 1.0, 1.0), sigma=1.0)
    with pytest.raises(UsageError, match="no structure tensor"):
        coherence(torch.zeros(1, 4, 8, 8))
    with pytest.raises(UsageError, match="shape"):
        structure_matching_loss(image, image[..., :4], spacing=(1.0, 1.0), sigma=1.0)
