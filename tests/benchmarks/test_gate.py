from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.gate import judge
from medgan_core import io
from medgan_core.suitability import GATE_CLASSES
from medgan_core.volume import Geometry, Volume


class Always(nn.Module):
    """The same answer to every volume: head or not, and T1."""

    def __init__(self, head: float) -> None:
        super().__init__()
        self.logits = torch.tensor([head, *(9.0 if name == "T1" else -9.0 for name in GATE_CLASSES[1:])])

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.expand(len(x), -1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    image = Volume(
        np.random.default_rng(0).random((30, 30, 30), dtype=np.float32), Geometry((30,) * 3, np.eye(4))
    )
    rows = ["set,patient,visit,key,kind,coverage,split,licence,path"]
    for patient, key, coverage, split in (
        ("a", "T1", "head", "val"),
        ("a", "T2", "head", "val"),
        ("b", "T1", "brain", "val"),
        ("b", "ADC", "brain", "val"),
        ("c", "T1", "crop", "val"),
        ("d", "T1", "head", "train"),
    ):
        io.write(image, folder / f"{patient}-{key}.nii.gz")
        rows.append(f"s,{patient},,{key},image,{coverage},{split},CC0,{patient}-{key}.nii.gz")
    (folder / "manifest.csv").write_text("\n".join(rows), encoding="utf-8")
    return folder


def test_images_count_within_their_patient_and_a_wrong_contrast_is_a_refusal(data: Path) -> None:
    heads, others = judge(data, Always(9.0))
    assert (heads.value, heads.n) == (0.75, 2)
    assert heads.unit == "share of 3 images"
    assert (others.value, others.n) == (0.0, 1)


def test_who_refuses_everything_keeps_other_anatomy_out(data: Path) -> None:
    heads, others = judge(data, Always(-9.0))
    assert (heads.value, others.value) == (0.0, 1.0)
