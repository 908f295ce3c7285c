from __future__ import annotations

import numpy as np
import pytest
import torch

from medgan_core.data import structure_scans
from medgan_core.data.draws import generators
from medgan_core.data.slab_places import whole
from medgan_core.data.structure_scans import Heads, StructureSlabs, WholeHeads
from medgan_core.data.structures import REGION_CLASS, STRUCTURES, region_map
from tests.brains import brain_labels

MAP = brain_labels()


def test_a_slab_depends_on_its_number_alone() -> None:
    samples = StructureSlabs(Heads([MAP]), slices=3, size=48, seed=4)
    first, again, other = samples[7], samples[7], samples[8]
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["input"], other["input"])
    assert first["input"].shape == (3, 48, 48)
    assert first["label"].shape == (48, 48)
    assert first["label"].dtype == torch.int64


def test_contrasts_differ_from_scan_to_scan_and_all_structures_come_up() -> None:
    samples = StructureSlabs(Heads([MAP]), slices=3, size=64, seed=0)
    white, seen = [], set()
    for number in range(60):
        sample = samples[number]
        inside = sample["label"] == 1
        seen |= set(sample["label"].unique().tolist())
        if inside.sum() > 50:
            white.append(float(sample["input"][1][inside].mean()))
        assert torch.isfinite(sample["input"]).all()
        assert float(sample["input"].min()) >= 0
    assert np.std(white) > 0.2
    assert seen == set(range(1 + len(STRUCTURES)))


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.5, 8, 22), (1.0, 30, 30)])
def test_a_share_of_the_images_is_refined_before_the_scanner(share: float, least: int, most: int) -> None:
    seen = []

    def refine(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        seen.append(image.shape)
        return torch.full_like(image, 0.5)

    samples = StructureSlabs(Heads([MAP], refine=refine, refined=share), slices=3, size=32, seed=0)
    plain = [n for n in range(30) if float(samples[n]["input"].std()) > 0.12]
    assert least <= len(seen) <= most
    assert set(seen) <= {(3, 32, 32)}
    assert len(plain) <= 30 - len(seen)


def test_small_structures_are_shown_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest class of a map comes up more often where every slab shows a structure drawn first."""
    counts = np.bincount(REGION_CLASS[region_map(MAP)].ravel())
    small = int(np.argmin(counts[1:])) + 1

    def shown(share: float) -> float:
        monkeypatch.setattr(structure_scans, "_FOCUSED", share)
        samples = StructureSlabs(Heads([MAP]), slices=3, size=48, seed=0)
        return float(np.mean([bool((samples[n]["label"] == small).any()) for n in range(120)]))

    assert shown(1.0) > 1.5 * shown(0.0)


def test_whole_heads_show_where_structures_lie() -> None:
    heads = WholeHeads(Heads([MAP]), scans=6, seed=0)
    assert len(heads) == 6
    classes = REGION_CLASS[region_map(MAP)]
    for number in range(6):
        scan = heads[number]
        assert scan["image"].shape == scan["label"].shape == (1, 60, 72, 15)
        middles = classes[..., 2::4]
        mirrored = middles[::-1]
        fluid = 17
        for kept in (middles, mirrored):
            same = scan["label"][0].numpy() == kept
            if same[kept != fluid].all():
                break
        else:
            raise AssertionError("the labels are neither the map nor its mirror image")


def test_stripped_heads_have_nothing_outside_of_the_brain() -> None:
    heads = Heads([MAP])
    place = whole((60, 60, 72), 4.0)
    outside = MAP.transpose(2, 0, 1)[2::4] > 500
    dark = []
    for number in range(20):
        image, _ = heads.scan(0, (2, 0, 1), place, *generators(0, number), side=1)
        dark.append(float((image.numpy()[outside] < 0.02).mean()) > 0.5)
    assert 3 <= sum(dark) <= 15
