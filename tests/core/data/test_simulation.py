from __future__ import annotations

import numpy as np
import pytest
import torch

from medgan_core.data.slabs import CONTRASTS, MixedSlabs, RealSlabs, SimulatedSlabs
from medgan_core.physics.noise import rician
from medgan_core.physics.simulation import Head, add_lesions, signals, tissue_map
from medgan_core.physics.tissues import INDEX
from medgan_core.training.recipes.sources import generators
from tests.phantom import head_labels


def test_known_labels_become_their_tissue_and_unknown_ones_a_plausible_one() -> None:
    got = tissue_map(np.array([0, 2, 3, 4, 515, 999, 123]))
    expected = [INDEX[n] for n in ("air", "white", "grey", "csf", "bone", "soft", "grey")]
    assert got.tolist() == expected


def test_contrasts_of_one_head_share_its_anatomy() -> None:
    labels = torch.from_numpy(tissue_map(head_labels())[None, 30])
    rng, generator = generators(0, 0)
    images = signals(labels, Head.draw(rng), ("T1", "T2"), generator, texture=0.0)
    for tissue in ("white", "grey"):
        inside = labels == INDEX[tissue]
        assert float(images[:, inside].std(dim=1).max()) < 1e-5
    assert float(images[0][labels == INDEX["air"]].abs().max()) == 0.0


def test_the_scale_of_a_head_is_its_percentile() -> None:
    rng, generator = generators(3, 0)
    head = Head.draw(rng)
    labels = torch.from_numpy(tissue_map(head_labels()))
    labels[labels == INDEX["soft"]] = INDEX["skin"]
    image = signals(labels, head, ("T2",), generator, texture=0.0)[0]
    counts = torch.bincount(labels.flatten().long(), minlength=len(INDEX)).float()
    expected = np.percentile(image[labels > 0].numpy(), 99.5)
    assert head.scale("T2", counts) == pytest.approx(float(expected), rel=1e-3)


def test_lesions_are_painted_into_the_brain_only() -> None:
    labels = torch.from_numpy(tissue_map(head_labels()))
    brain = torch.isin(labels, torch.tensor([INDEX["white"], INDEX["grey"]], dtype=labels.dtype))
    painted = 0
    for number in range(12):
        rng, generator = generators(1, number)
        changed = add_lesions(labels.clone(), rng, generator) != labels
        assert not (changed & ~brain).any()
        painted += int(changed.any())
    assert 3 <= painted < 12


def test_a_slab_depends_on_its_number_alone() -> None:
    source = SimulatedSlabs([head_labels()], slices=3, size=48)
    first, again = source.draw(*generators(5, 7)), source.draw(*generators(5, 7))
    other = source.draw(*generators(5, 8))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)
    assert first.images.shape == (len(CONTRASTS), 3, 48, 48)
    assert torch.isfinite(first.images).all()


def test_real_slabs_are_cut_from_the_study_unchanged() -> None:
    rng = np.random.default_rng(0)
    study = rng.uniform(0, 1, (5, 40, 50, 9)).astype(np.float16)
    source = RealSlabs([study], [(True,) * 5], [False], slices=3, size=32)
    windows = {
        study[0, i : i + 32, j : j + 32, k].tobytes() for i in range(9) for j in range(19) for k in range(9)
    }
    unchanged = 0
    for number in range(30):
        middle = source.draw(*generators(0, number)).images[0, 1].numpy().astype(np.float16)
        unchanged += middle.tobytes() in windows or np.ascontiguousarray(middle[::-1]).tobytes() in windows
    assert unchanged >= 10


def test_a_mixture_draws_from_both() -> None:
    real = RealSlabs([np.full((5, 40, 40, 5), 0.5, np.float16)], [(True,) * 5], [False], slices=3, size=16)
    mixed = MixedSlabs(SimulatedSlabs([head_labels()], slices=3, size=16), real, 0.5)
    drawn = [bool((mixed.draw(*generators(2, n)).images == 0.5).all()) for n in range(40)]
    assert 5 < sum(drawn) < 35


def test_rician_noise_has_the_moments_of_its_distribution() -> None:
    sigma = 0.2
    air = rician(torch.zeros(200_000), sigma, generator=torch.Generator().manual_seed(0))
    assert float(air.mean()) == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.01)
    bright = rician(torch.ones(200_000), sigma, generator=torch.Generator().manual_seed(1))
    assert float((bright**2).mean()) == pytest.approx(1 + 2 * sigma**2, rel=0.01)
