from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import lesions, structures
from benchmarks.card_figures import figure, write
from medgan_core.card import ModelCard
from medgan_core.data.structures import LABELS, label_values
from medgan_core.engine import Session
from medgan_core.registry import Registry
from medgan_core.training import loop
from medgan_core.training.recipes.lesion_suggest import LesionSuggest
from medgan_core.volume import Geometry, Volume
from tests.brains import brain_labels, write_heads
from tests.core.training.recipes.subjects import SMALL
from tests.models import toy_structures, toy_translate


def test_a_painted_scan_lies_on_its_labels() -> None:
    truth = Volume(brain_labels(), Geometry((60, 72, 60), np.eye(4)))
    for slice_mm in structures.SLICES_MM:
        image, labels = structures.painted(truth, "T1", slice_mm, seed=0)
        assert image.data.shape[1:] == labels.shape == (60, 72, 60 // slice_mm)
        assert image.geometry.spacing == pytest.approx((1, 1, slice_mm))
        assert image.geometry.affine[2, 3] == (slice_mm - 1) / 2
        assert set(np.unique(labels)) <= {0, *(label.value for label in LABELS)}
    np.testing.assert_array_equal(structures.painted(truth, "T1", 1, 0)[1], label_values(truth.data[0]))


def test_scans_and_contrasts_are_compared(tmp_path: Path) -> None:
    card, path = toy_structures(tmp_path / "models"), tmp_path / "models" / "brain-suggest" / "card.json"
    replace(card, volume_calibration=(1e9,) * len(LABELS)).save(path)
    session = Session("cpu", registry=Registry([tmp_path / "models"]))
    data = write_heads(tmp_path)
    scans = list(structures.simulated(data, session, "brain-suggest"))
    assert len({scan.name for scan in scans}) == len(structures.CONTRASTS) * len(structures.SLICES_MM)
    assert all(0 <= score <= 1 for scan in scans for score in scan.dices.values())
    assert all(scan.inside and set(scan.inside) <= {label.name for label in LABELS} for scan in scans)
    assert all(all(scan.inside.values()) for scan in scans), "so wide an interval holds everything"
    found = list(structures.agreement(data, session, "brain-suggest"))
    assert [(row[0], row[2]) for row in found] == [("ms/p0", "T1, FLAIR"), ("ms/p1", "T1, FLAIR")]


def test_lesions_are_scored_voxel_by_voxel() -> None:
    geometry = Geometry((4, 4, 4), np.diag([2.0, 1.0, 1.0, 1.0]))
    truth, found = np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)
    truth[:2, 0, 0], found[1:4, 0, 0] = 1, 1
    row = lesions.scored("s/p", "left out", "x", Volume(found, geometry), Volume(truth, geometry))
    assert (row.dice, row.sensitivity, row.precision) == (0.4, 0.5, pytest.approx(1 / 3))
    assert (row.volume_ml, row.true_ml) == (pytest.approx(0.006), pytest.approx(0.004))


@pytest.mark.parametrize(
    ("real_share", "split", "patients"),
    [(0.5, lesions.ADAPTED, ["ms/p1"]), (0.0, lesions.SIMULATED, ["ms/p0", "ms/p1"])],
    ids=["adapted", "simulated"],
)
def test_patients_left_out_are_judged_in_every_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real_share: float, split: str, patients: list[str]
) -> None:
    data = write_heads(tmp_path)
    recipe = LesionSuggest(widths=(8, 8), size=32, slices=3, real_share=real_share, fold=1, **SMALL)  # type: ignore[arg-type]
    assert loop.train(recipe, data=data, out=tmp_path / "run", command="none", workers=0)
    toy_translate(tmp_path / "shipped")
    path = tmp_path / "run" / "models" / "lesion-suggest" / "card.json"
    card = ModelCard.load(path)
    replace(card, domain=replace(card.domain, gate="")).save(path)
    monkeypatch.setattr(lesions, "SHIPPED", tmp_path / "shipped")
    exact = {"backend": "torch", "precision": "fp32", "views": 1}
    rows = list(lesions.of_run(tmp_path / "run", data, exact))
    expected = [(patient, case) for patient in patients for case in lesions.CASES]
    assert [(row.patient, row.case) for row in rows] == expected
    assert {row.split for row in rows} == {split}


def test_figures_of_the_same_name_and_split_are_replaced(tmp_path: Path) -> None:
    toy_structures(tmp_path)
    words = {"unit": "", "command": "c"}
    write(tmp_path / "brain-suggest", [figure("Dice", [0.5, 0.7], split="a", **words)])
    write(tmp_path / "brain-suggest", [figure("Dice", [0.9], split="b", **words)])
    write(tmp_path / "brain-suggest", [figure("Dice", [0.8, 0.8], split="a", **words)])
    card = ModelCard.load(tmp_path / "brain-suggest" / "card.json")
    assert [(f.split, f.value, f.spread, f.n) for f in card.figures] == [
        ("b", 0.9, None, 1),
        ("a", 0.8, 0.0, 2),
    ]
