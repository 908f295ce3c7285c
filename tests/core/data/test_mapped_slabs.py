from __future__ import annotations

import numpy as np
import pytest
import torch

from medgan_core.data.draws import generators
from medgan_core.data.mapped_slabs import Mapped, MappedSlabs
from medgan_core.data.slabs import CONTRASTS
from medgan_core.physics.simulation import tissue_map
from medgan_core.physics.tissues import INDEX
from tests.brains import brain_labels

T2 = CONTRASTS.index("T2")
AVAILABLE = tuple(n == T2 for n in range(len(CONTRASTS)))


def study(*, isotropic: bool, shape: tuple[int, int, int] = (60, 72, 60)) -> Mapped:
    """A brain whose T2 image is twice the tissue's number, 90 outside of it."""
    labels = brain_labels(shape)
    tissue = tissue_map(np.where(labels < 500, labels, 0))
    images = np.zeros((len(CONTRASTS), *shape), dtype=np.float16)
    images[T2] = np.where(tissue > 0, 2.0 * tissue, 90.0)
    return Mapped(images, AVAILABLE, tissue, isotropic)


@pytest.mark.parametrize("size", [24, 96])
def test_base_scan_and_tissue_show_the_same_place(size: int) -> None:
    source = MappedSlabs([study(isotropic=False)], slices=3, size=size)
    known, brightest = np.unique(study(isotropic=False).tissue), 2.0 * study(isotropic=False).tissue.max()
    for number in range(12):
        slab = source.draw(*generators(0, number))
        assert slab.base.shape == (3, size, size)
        assert slab.contrast == T2
        assert torch.allclose(slab.real * brightest, 2.0 * slab.tissue.float(), rtol=2e-3, atol=1e-3)
        assert set(slab.tissue.unique().tolist()) <= set(known.tolist())
        inside, outside = slab.tissue == INDEX["csf"], slab.tissue == INDEX["air"]
        assert slab.base[1][outside].mean() < 0.1
        if inside.sum() > 200:
            assert slab.base[1][inside].mean() > 0.2, "fluid is bright on T2"


def test_thin_slices_are_seen_along_every_axis_and_averaged() -> None:
    source = MappedSlabs([study(isotropic=True, shape=(40, 60, 50))], slices=3, size=72)
    drawn = [source.draw(*generators(0, number)) for number in range(60)]
    extents = {tuple(int(x.any(1 - axis).sum()) for axis in (0, 1)) for x in (s.tissue > 0 for s in drawn)}
    assert max(width for width, _ in extents) > 40, "the second axis may be the first in a slice"
    assert any(
        not torch.allclose(s.real.unique(), (s.real.unique() * 1e3).round() / 1e3, atol=1e-5) for s in drawn
    ), "averages lie between the values of single slices"


def test_a_place_is_a_function_of_its_generators() -> None:
    source = MappedSlabs([study(isotropic=True)], slices=3, size=32)
    first, again, other = (source.draw(*generators(0, number)) for number in (1, 1, 2))
    assert torch.equal(first.base, again.base)
    assert torch.equal(first.real, again.real)
    assert not torch.equal(first.base, other.base)


def test_nearly_every_place_shows_some_brain() -> None:
    source = MappedSlabs([study(isotropic=False)], slices=3, size=32)
    shown = [bool((source.draw(*generators(0, n)).tissue > 0).any()) for n in range(40)]
    assert sum(shown) >= 38
