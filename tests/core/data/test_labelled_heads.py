from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from medgan_core.data.labelled_heads import LabelledHead, LabelledScans, LabelledSlabs
from medgan_core.data.structures import STRUCTURES
from medgan_core.data.training_set import open_training_set
from medgan_core.preprocess import Preprocess
from tests.brains import write_labelled

SETTINGS = Preprocess(in_plane_mm=(0.8, 1.2), crop_margin_mm=8.0)


def heads(folder: Path, settings: Preprocess = SETTINGS, *, thick: int = 1) -> list[LabelledHead]:
    folder.mkdir()
    held = open_training_set(write_labelled(folder, train=2, val=0, thick=thick))
    return [
        LabelledHead.of(held.case(study, ("T1", "labels")), settings, image="T1", label="labels")
        for study in held.studies
    ]


def expected(classes: torch.Tensor, head: LabelledHead) -> torch.Tensor:
    """The brightness of every class, 1 = the 99.5th percentile."""
    scale = float(head.image[head.classes == 2].mean()) / 300
    return torch.where(classes > 0, 200 + 50 * classes.float(), 0) * scale


@pytest.mark.parametrize("thick", [1, 4])
def test_an_image_and_its_classes_show_the_same_place(tmp_path: Path, thick: int) -> None:
    known = heads(tmp_path / "heads", thick=thick)
    assert [head.isotropic for head in known] == [thick == 1] * 2
    samples = LabelledSlabs(known, slices=3, size=48, seed=0, effects=0.0)
    away, moved, seen = [], [], set[int]()
    for number in range(40):
        sample = samples[number]
        assert sample["input"].shape == (3, 48, 48)
        assert sample["label"].shape == (48, 48)
        told = expected(sample["label"], known[0])
        away.append(float((sample["input"][1] - told).abs().mean()))
        moved.append(float((sample["input"][1] - told.roll((2, 2), (0, 1))).abs().mean()))
        seen |= set(sample["label"].unique().tolist())
    assert np.mean(away) < 0.6 * np.mean(moved), "edges are averaged where slices are thick or turned"
    assert min(away) < 0.02, "where they are neither, only noise is left"
    assert len(seen) > 12


def test_every_side_is_shown(tmp_path: Path) -> None:
    (head, _) = heads(tmp_path / "heads")
    classes = head.classes.copy()
    classes[: classes.shape[0] // 2] = 0
    half = LabelledHead("one", head.image, classes, isotropic=False, right=head.right)
    samples = LabelledSlabs([half], slices=3, size=64, seed=0, effects=0.0)
    sides = [bool(label[:32].sum() > label[32:].sum()) for label in (samples[n]["label"] for n in range(30))]
    assert 5 < sum(sides) < 25


def test_whole_scans_are_as_the_model_sees_them(tmp_path: Path) -> None:
    coarse = Preprocess(in_plane_mm=(1.5, 2.0))
    scans = LabelledScans(heads(tmp_path / "heads", coarse))
    scan = scans[0]
    assert len(scans) == 2
    assert scan["image"].shape == scan["label"].shape == (1, 40, 48, 60)
    assert set(scan["label"].unique().tolist()) == set(range(1 + len(STRUCTURES)))


def test_a_sample_depends_on_its_number_alone(tmp_path: Path) -> None:
    samples = LabelledSlabs(heads(tmp_path / "heads"), slices=3, size=32, seed=1, effects=1.0)
    first, again, other = samples[3], samples[3], samples[4]
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["input"], other["input"])
