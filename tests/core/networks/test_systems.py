"""What holds for every network of the generative systems, in 2D and 3D."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from medgan_core import networks
from medgan_core.errors import ModelError
from medgan_core.networks.autoencoder import Autoencoder, VariationalAutoencoder
from medgan_core.networks.flow_unet import FlowUNet
from medgan_core.networks.spade import SpadeGenerator
from tests.core.networks.cases import CASES, SIZES, Case, one_hot, run, shake

APPLIED = {
    "hole-filler",
    "labelled-synthesizer",
    "mr-variants",
    "patch-anomaly",
    "slab-painter",
    "slice-refiner",
}
"""Networks as they are applied to volumes, with tests of their own."""

ALL = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
DIMS = pytest.mark.parametrize("dims", [2, 3])


def test_the_cases_cover_the_table_of_networks() -> None:
    assert {case.name for case in CASES.values()} == set(networks.BUILDERS) - {
        "slab-restorer",
        "slab-segmenter",
        "slab-unet",
        "volume-classifier",
        *APPLIED,
    }


@DIMS
@ALL
def test_shapes_and_gradients(case: Case, dims: int) -> None:
    """Odd sizes give the shapes promised, and the gradient reaches every parameter."""
    network = shake(case.build(dims)).train()
    outputs = run(case, network, dims)
    assert [tuple(out.shape) for out in outputs] == case.outputs(dims)
    assert getattr(network, "spatial_dims", None) == dims
    _projection(outputs).backward()
    sizes = {
        name: 0.0 if p.grad is None else float(p.grad.abs().max()) for name, p in network.named_parameters()
    }
    assert all(math.isfinite(size) for size in sizes.values())
    # Rounding alone gives a gradient that is not exactly 0, so it is compared with the largest.
    unreached = {name for name, size in sizes.items() if size < 1e-5 * max(sizes.values())}
    assert unreached <= _other_stages(network, case) | _removed_by_statistics(network)


def _other_stages(network: nn.Module, case: Case) -> set[str]:
    """In a progressive network, what only other stages use (its own test looks at those)."""
    if not case.name.startswith("progressive"):
        return set()
    prefixes = ("to_image.0", "to_image.1", "from_image.0", "from_image.1")
    return {name for name, _ in network.named_parameters() if name.startswith(prefixes)}


def _removed_by_statistics(network: nn.Module) -> set[str]:
    """Batch and instance norm subtract the mean of each channel, and with it the bias before them."""
    kinds = (nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm2d, nn.InstanceNorm3d)
    if not any(isinstance(module, kinds) for module in network.modules()):
        return set()
    return {name for name, _ in network.named_parameters() if name.endswith("bias")}


def _projection(outputs: list[Tensor]) -> Tensor:
    """A fixed random combination of all outputs, as well conditioned as they are."""
    generator = torch.Generator().manual_seed(5)
    parts = [(out.float() * torch.randn(out.shape, generator=generator)).mean() for out in outputs]
    return torch.stack(parts).sum()


@DIMS
@ALL
def test_weights_come_back_from_safetensors(case: Case, dims: int, tmp_path: Path) -> None:
    network = shake(case.build(dims, seed=0)).train()
    run(case, network, dims)  # moves the statistics and the power iterations too
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    other = case.build(dims, seed=1)
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        for a, b in zip(run(case, network.eval(), dims), run(case, other.eval(), dims), strict=True):
            assert torch.equal(a, b)


@DIMS
@ALL
def test_bf16_autocast_computes_nearly_the_same(case: Case, dims: int) -> None:
    network = case.build(dims).eval()
    with torch.no_grad():
        exact = run(case, network, dims)
        with torch.autocast("cpu", torch.bfloat16):
            coarse = run(case, network, dims)
    for a, b in zip(exact, coarse, strict=True):
        spread = max(float(a.std()), 1e-2)
        assert float((a - b.float()).abs().mean()) < 0.05 * spread + 0.01 * float(a.abs().mean())


@DIMS
@ALL
def test_gradients_under_bf16_autocast_are_nearly_those_of_fp32(case: Case, dims: int) -> None:
    """Also at coarse grids smaller than the kernels, where some CPU kernels give garbage.

    Rounding to 8 bits costs up to a quarter with four channels and many ReLUs; a fault costs the multiple.
    """
    network = shake(case.build(dims), 0.02).eval()  # no power iteration, no dropout between the two passes
    exact, coarse = (_gradients(case, network, dims, bf16) for bf16 in (False, True))
    assert bool(torch.isfinite(coarse).all())
    assert float((exact - coarse).norm()) < 0.35 * float(exact.norm())


def _gradients(case: Case, network: nn.Module, dims: int, bf16: bool) -> Tensor:
    network.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        outputs = run(case, network, dims)
    _projection(outputs).backward()
    return torch.cat([p.grad.float().flatten() for p in network.parameters() if p.grad is not None])


@ALL
def test_inputs_are_left_alone_and_states_are_floating(case: Case) -> None:
    network = case.build(2)
    positional, named = case.inputs(2)
    before = [t.clone() for t in positional]
    network(*positional, **named)
    assert all(torch.equal(a, b) for a, b in zip(before, positional, strict=True))
    assert all(value.is_floating_point() for value in network.state_dict().values())


@ALL
def test_channels_last_changes_nothing(case: Case) -> None:
    network = case.build(2).eval()
    with torch.no_grad():
        plain = run(case, network, 2)
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        turned = run(case, network, 2)
    for a, b in zip(plain, turned, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "name",
    ["dcgan-g", "residual-g-spectral", "progressive-g", "vae", "autoencoder-grid", "spade-g", "flow"],
)
def test_a_latent_of_the_documented_shape_makes_an_image(name: str) -> None:
    network = CASES[name].build(3)
    latent = network.latent
    assert isinstance(latent, tuple)
    z = torch.randn(2, *latent)
    if isinstance(network, FlowUNet):
        image = network(z, torch.zeros(2))
    elif isinstance(network, SpadeGenerator):
        image = network(one_hot(3, 3), z)
    elif isinstance(network, Autoencoder | VariationalAutoencoder):
        image = network.decode(z)
    else:
        image = network(z)
    assert image.shape[2:] == SIZES[3]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("unet-generator", {"norm": "layer"}),
        ("unet-generator", {"last": "relu"}),
        ("unet-generator", {"spatial_dims": 4}),
        ("dcgan-discriminator", {"size": (4, 40)}),
        ("residual-generator", {"size": (8, 8, 8)}),
        ("super-resolution-generator", {"factors": (2, 2)}),
        ("inpainting-generator", {"convolutions": "plain"}),
        ("residual-discriminator", {"pool": "max"}),
        ("spade-generator", {}),
    ],
)
def test_options_that_do_not_fit_are_refused(name: str, options: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        networks.build(name, options)
