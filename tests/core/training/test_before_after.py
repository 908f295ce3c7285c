from __future__ import annotations

from typing import Any

import pytest

from medgan_core.training.before_after import BeforeAfter


def rows(**psnr: float) -> list[dict[str, Any]]:
    """Two cases for every patient, around its PSNR."""
    return [
        {"patient": patient, "psnr": value + shift, "ssim": value / 100}
        for patient, value in psnr.items()
        for shift in (-1, 1)
    ]


def test_figures_are_means_over_patients_with_the_version_before_as_baseline() -> None:
    found = BeforeAfter(version="0.3.0", before=rows(a=20, b=24), after=rows(a=21, b=27))
    psnr, ssim = found.figures("POST /train/x")
    assert (psnr.value, psnr.n, psnr.unit, psnr.baseline) == (24.0, 2, "dB", "0.3.0 22.0000")
    assert psnr.spread == pytest.approx(18**0.5, abs=1e-4)
    assert (ssim.value, ssim.baseline) == (0.24, "0.3.0 0.2200")
    assert found.better


def test_every_patient_has_a_row_and_one_who_lost_is_a_caution() -> None:
    found = BeforeAfter(version="0.3.0", before=rows(a=20, b=24), after=rows(a=23, b=23))
    said = [(row.name, row.value, row.verdict) for row in found.rows()]
    assert said[:3] == [
        ("a: PSNR", 23.0, "pass"),
        ("b: PSNR", 23.0, "caution"),
        ("Mean: PSNR", 23.0, "pass"),
    ]
    assert found.better, "the mean decides"


@pytest.mark.parametrize(("psnr", "ssim"), [(20.0, 0.5), (21.0, 0.5), (20.0, 0.6), (float("nan"), 0.6)])
def test_better_is_more_of_both(psnr: float, ssim: float) -> None:
    before = [{"patient": "a", "psnr": 20.0, "ssim": 0.5}]
    after = [{"patient": "a", "psnr": psnr, "ssim": ssim}]
    found = BeforeAfter(version="1.0.0", before=before, after=after)
    assert not found.better
    assert found.figures("c")[0].spread is None


def dices(**patients: tuple[float | None, float]) -> list[dict[str, Any]]:
    """A row for every patient: Dice of two labels; None where a label is neither in truth nor answer."""
    found: list[dict[str, Any]] = []
    for patient, (front, back) in patients.items():
        row = {"patient": patient, "case": "image", "mL, Back": 1.0, "Dice, Back": back}
        found.append(row if front is None else {**row, "Dice, Front": front})
    return found


def test_segmentations_are_compared_by_the_dice_of_every_label() -> None:
    found = BeforeAfter(
        version="0.1.0", before=dices(a=(0.5, 0.6), b=(0.7, 0.6)), after=dices(a=(None, 0.8), b=(0.6, 0.7))
    )
    front = next(figure for figure in found.figures("c") if figure.name == "Dice, Front")
    assert (front.value, front.baseline) == (0.8, "0.1.0 0.6000"), "what nobody sees is told right"
    assert found.better
    assert [row.name for row in found.rows()][-1] == "Mean: Dice over the labels"
    worse = BeforeAfter(version="0.1.0", before=dices(a=(0.5, 0.6)), after=dices(a=(0.9, 0.5)))
    assert not worse.better, "no label may lose much"


@pytest.mark.parametrize(
    ("front", "back", "better"), [(0.6, 0.59, True), (0.51, 0.58, False), (0.6, 0.5, False)]
)
def test_the_mean_dice_must_rise_and_no_label_lose_much(front: float, back: float, better: bool) -> None:
    found = BeforeAfter(version="0.1.0", before=dices(a=(0.5, 0.6)), after=dices(a=(front, back)))
    assert found.better == better


def verdicts(found: BeforeAfter) -> dict[str, str]:
    return {row.name: row.verdict for row in found.rows()}


def test_a_label_that_a_patient_has_not_got_is_no_caution_when_it_stays_right() -> None:
    found = BeforeAfter(
        version="0.1.0",
        before=dices(a=(None, 0.6), b=(0.5, 0.6)),
        after=dices(a=(None, 0.7), b=(0.5, 0.6)),
    )
    assert found.better
    assert set(verdicts(found).values()) == {"pass"}


def test_rows_of_segmentations_are_held_against_the_rule_that_decides() -> None:
    found = BeforeAfter(version="0.1.0", before=dices(a=(0.5, 0.6)), after=dices(a=(0.6, 0.59)))
    assert found.better
    assert set(verdicts(found).values()) == {"pass"}
    assert found.rule == "mean Dice over the labels above that of 0.1.0, no label more than 0.02 below it"
    fell = BeforeAfter(version="0.1.0", before=dices(a=(0.5, 0.6)), after=dices(a=(0.51, 0.58)))
    assert verdicts(fell)["Mean: Dice over the labels"] == "caution"
    lost = BeforeAfter(version="0.1.0", before=dices(a=(0.5, 0.6)), after=dices(a=(0.9, 0.5)))
    assert [name for name, verdict in verdicts(lost).items() if verdict == "caution"] == [
        "a: Dice, Back",
        "Mean: Dice, Back",
    ]


def test_of_images_a_patient_may_stay_as_good_and_the_means_must_rise() -> None:
    found = BeforeAfter(version="0.1.0", before=rows(a=20, b=24), after=rows(a=20, b=24))
    told = verdicts(found)
    assert (told["a: PSNR"], told["Mean: PSNR"]) == ("pass", "caution")
    assert found.rule == "means of PSNR and SSIM above those of 0.1.0"


def test_without_a_case_nothing_is_better() -> None:
    assert not BeforeAfter(version="0.1.0", before=[], after=[]).better
