from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.painting.comparison import SHARES, compared, figures
from benchmarks.painting.heads import painted
from benchmarks.painting.slices import FRAME, Slices, axial, framed
from benchmarks.painting.trained import OfPatients, label, scans
from medgan_core import io
from medgan_core.data.manifest import Manifest
from medgan_core.data.studies import heads
from medgan_core.data.study import folds
from medgan_core.engine import Session
from medgan_core.registry import Registry
from medgan_core.volume import Geometry, Volume
from tests.brains import ROWS, brain_labels
from tests.models import TRAINING, toy_brain, toy_structures, toy_translate
from tests.small_site import write_site

MAP = Volume(brain_labels((72, 80, 40)), Geometry((72, 80, 40), np.diag([2.0, 2.0, 4.0, 1.0])))


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("models")
    for toy in (toy_brain, toy_structures, toy_translate):
        toy(folder)
    return Session("cpu", registry=Registry([folder]))


def test_patients_are_labelled_on_t1_for_every_image_on_its_grid(session: Session, tmp_path: Path) -> None:
    site = write_site(tmp_path / "site")
    image = io.read(site / "p2_FLAIR.nii.gz")
    shorter = Volume(image.data[..., 1:], Geometry((32, 36, 31), image.geometry.affine))
    io.write(shorter, site / "p2_FLAIR.nii.gz")
    everyone = [(f"s/p{number}", key) for number in range(3) for key in ("T1", "T2", "FLAIR")]
    rows = [
        f"s,{patient},first,{key},image,head,train,CC0,{patient[2:]}_{key}.nii.gz"
        for patient, key in everyone
    ]
    (site / "manifest.csv").write_text("\n".join([ROWS, *rows]), encoding="utf-8")
    out = label(session, "brain-suggest", site, tmp_path / "out", fold=0)
    studies = Manifest.load(out).studies
    told = [(study.patient, study.visit.removeprefix("first ")) for study in studies]
    assert sorted(told) == sorted(set(everyone) - {("s/p2", "FLAIR")}), "it lies on another grid"
    held_back = {s.patient for s in studies if s.split == "val"}
    assert held_back == folds(heads(Manifest.load(site)))[0]
    image, labels = next(scans(out, "T2"))
    assert image.geometry.close_to(labels.geometry)
    card = OfPatients(widths=(8, 8)).card(TRAINING)
    assert (card.name, card.training) == ("brain-of-patients", TRAINING)


def slices(seed: int, *, shift: float, heads: int = 6) -> Slices:
    rng, found = np.random.default_rng(seed), Slices()
    for number in range(heads):
        image = torch.from_numpy(rng.random((100, 120), dtype=np.float32))
        for sample in range(2):
            own = image + 0.05 * sample
            found.add(rng.normal(shift, 1, (12, 4)), number, own)
            found.dices.setdefault(number, []).append(0.8)
    return found


def test_a_slice_is_framed_in_its_middle() -> None:
    for shape in ((10, 12), (200, 230), (192, 224), (191, 225)):
        image = torch.zeros(shape)
        image[shape[0] // 2, shape[1] // 2] = 1
        (found,) = framed(image)[0].nonzero()
        assert framed(image).shape == (1, *FRAME)
        assert np.abs(found.numpy() - np.array(FRAME) / 2).max() <= 1


def test_thick_slices_are_averaged_before_they_are_compared() -> None:
    volume = Volume(
        np.arange(9, dtype=np.float32)[None, None].repeat(4, 0) * 1000, Geometry((4, 1, 9), np.eye(4))
    )
    assert axial(volume)[:, 0, 0].tolist() == [1.5, 5.5]


def test_every_sample_of_every_map_is_compared_and_segmented(session: Session) -> None:
    made = painted(
        session, "brain-mr-synthesize", [MAP, MAP], "T1", share=1.0, samples=2, segmenter="brain-suggest"
    )
    assert {number: len(those) for number, those in made.middles.items()} == {0: 2, 1: 2}
    assert {number: len(those) for number, those in made.dices.items()} == {0: 2, 1: 2}
    assert made.features.shape == (len(made.owners), made.rows[0].shape[1])
    assert 0 < made.alike_within() < 1


def test_what_is_further_away_has_the_larger_distance_and_copies_are_noticed() -> None:
    known = {True: slices(0, shift=0), False: slices(1, shift=0)}
    made = dict(zip(SHARES, (slices(2, shift=2), slices(3, shift=0)), strict=True))
    floor, plain, refined = compared("T1", known, made)
    assert plain.kid.value > 5 * abs(refined.kid.value)
    assert plain.kid.value > 5 * abs(floor.kid.value)
    assert floor.copies is None
    copied = dict.fromkeys(SHARES, known[False])
    assert compared("T1", known, copied)[2].copies == 1.0
    assert refined.alike > floor.alike + 0.05, "samples of a map are alike, patients are not"


def test_the_card_is_told_what_refinement_changed(tmp_path: Path) -> None:
    known = {True: slices(0, shift=0), False: slices(1, shift=0)}
    lines = compared("T2", known, dict(zip(SHARES, (slices(2, shift=2), slices(3, shift=0)), strict=True)))
    found = {figure.name: figure for figure in figures(lines, "the command", "brain-suggest 0.3.0")}
    assert list(found) == [
        "KID, T2",
        "Copy rate, T2",
        "MS-SSIM of two samples of a map, T2",
        "Dice of a suggestion with the map, T2",
    ]
    assert found["KID, T2"].value == pytest.approx(lines[2].kid.value, abs=1e-3)
    assert f"not refined: {lines[1].kid.value:.3g}" in found["KID, T2"].baseline
    assert {figure.n for figure in found.values()} == {6}, "maps, not slices or samples"
    assert found["Dice of a suggestion with the map, T2"].unit.endswith("brain-suggest 0.3.0")
