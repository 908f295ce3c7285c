"""Over the real volumes: MEDGAN_DATA=FOLDER pytest -m data tests/core/data/test_real_data.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from medgan_core.data.crops import LabelledCrops
from medgan_core.data.files import FileSet
from medgan_core.data.lesions import LesionPatches
from medgan_core.data.pack import pack
from medgan_core.data.slices import PairedSlices, UnpairedSlices
from medgan_core.data.stacks import load_stacks
from medgan_core.data.training_set import open_training_set
from medgan_core.data.windows import Augmentation

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif("MEDGAN_DATA" not in os.environ, reason="MEDGAN_DATA names no folder"),
]


def test_real_volumes_give_the_same_samples_from_files_and_from_a_pack(tmp_path: Path) -> None:
    files = open_training_set(Path(os.environ["MEDGAN_DATA"]))
    assert isinstance(files, FileSet)
    sources = ["openms-mni", "btp-coreg"]
    packed = pack(files, tmp_path / "brains", sources=sources, keys=["T1", "FLAIR", "lesion"])
    packed.verify()
    moved = Augmentation()
    for data in (files, packed):
        contrasts = ("T1", "FLAIR")
        stacks = load_stacks(data, contrasts, validation=True, fold=0, label="lesion", sources=sources)
        flair = load_stacks(data, ("FLAIR",), validation=True, fold=0, label="lesion", sources=sources)
        patches = LesionPatches(stacks, size=(48, 48), augmentation=moved)
        pairs = PairedSlices(stacks, size=(160, 160), augmentation=moved)
        others = UnpairedSlices(stacks, flair, size=(160, 160), augmentation=moved)
        drawn = [samples[n] for samples in (patches, pairs, others) for n in range(6)]
        if data is files:
            expected = drawn
    for one, other in zip(expected, drawn, strict=True):
        assert all(torch.equal(one[k], other[k]) for k in one)
    lesions = [s for s in drawn if "mask" in s and s["label"] > 0]
    assert len(lesions) == 3
    for sample in (s for s in drawn if "image" in s and "mask" not in s):
        inside = sample["image"][sample["image"] > 0.1]
        assert 0.15 < float(inside.mean()) < 0.8
        assert float(sample["image"].max()) < 4


def test_real_crops_keep_their_hippocampus() -> None:
    files = open_training_set(Path(os.environ["MEDGAN_DATA"]))
    crops = LabelledCrops.of(files, validation=True)
    assert len(crops) == 22
    for n in range(len(crops)):
        sample = crops[n]
        assert set(sample["label"].unique().tolist()) == {0, 1, 2}
        assert int((sample["label"] > 0).sum()) > 1000
