import pytest

from benchmarks import tables
from benchmarks.cohort import translations

BASELINES = ("identity", "trees")


def record(patient, visit, case, method, psnr, ssim, **more):
    figures = {"psnr": psnr, "ssim": ssim, "mae": 0.1, "ms_ssim": 0.5, **more}
    return {
        "patient": patient,
        "visit": visit,
        "task": "translation",
        "case": case,
        "method": method,
        "figures": figures,
        "verdict": "",
    }


def cohort():
    trust = {"spearman": 0.6, "gradient_spearman": 0.4, "coverage": 0.9}
    return [
        record("p", "1", "T1->T2", "model", 20.0, 0.7, **trust),
        record("p", "2", "T1->T2", "model", 22.0, 0.7, **trust),
        record("p", "1", "T1->T2", "identity", 10.0, 0.3),
        record("p", "2", "T1->T2", "identity", 10.0, 0.3),
        record("p", "1", "T1->T2", "trees", 18.0, 0.6),
        record("p", "2", "T1->T2", "trees", 18.0, 0.6),
        record("q", "1", "T1->T2", "model", 25.0, 0.5, spearman=0.1, gradient_spearman=0.3, coverage=0.8),
        record("q", "1", "T1->T2", "identity", 10.0, 0.3),
        record("q", "1", "T1->T2", "trees", 18.0, 0.6),
    ]


def test_visits_are_averaged_before_patients():
    cells = tables.per_patient(cohort(), "translation")
    assert cells["p", "T1->T2"]["model"]["psnr"] == pytest.approx(21.0)
    row = next(r for r in tables.summary(cells, BASELINES) if r["case"] == "T1->T2")
    assert row["n"] == 2
    assert row["psnr"]["mean"] == pytest.approx(23.0)
    assert row["psnr"]["spread"] == pytest.approx(8**0.5)


def test_ahead_needs_both_figures_against_every_baseline():
    cells = tables.per_patient(cohort(), "translation")
    assert tables.ahead(cells["p", "T1->T2"], BASELINES) is True
    assert tables.ahead(cells["q", "T1->T2"], BASELINES) is False
    row = next(r for r in tables.summary(cells, BASELINES) if r["method"] == "model")
    assert row["ahead"] == [1, 2]
    assert row["trust_ahead"] == [1, 2]


def test_without_a_model_nobody_is_ahead():
    baselines = [r for r in cohort() if r["method"] != "model"]
    cells = tables.per_patient(baselines, "translation")
    assert tables.ahead(cells["p", "T1->T2"], BASELINES) is None
    assert "| p | T1->T2 | - | 10.00 | 18.00 | - | 0.300 | 0.600 | - |" in tables.patient_table(
        cells, BASELINES
    )


def test_cases_with_a_noise_level_are_averaged_level_by_level():
    records = [
        record("p", "", f"{key} {level} %", "model", p, 0.5)
        for key, level, p in (("T1", 3, 30.0), ("T2", 3, 32.0), ("T1", 9, 26.0))
    ]
    cells = tables.per_patient(records, "translation")
    assert cells["p", "mean 3 %"]["model"]["psnr"] == pytest.approx(31.0)
    assert cells["p", "mean 9 %"]["model"]["psnr"] == pytest.approx(26.0)


def test_tables_name_counts_and_spread():
    cells = tables.per_patient(cohort(), "translation")
    total = tables.total_table(tables.summary(cells, BASELINES))
    assert "| T1->T2 | model | 2 | 23.00 ± 2.83 |" in total
    assert "1 of 2" in total
    widths = {line.count("|") for line in total.splitlines()}
    assert len(widths) == 1


def test_every_target_is_asked_from_each_contrast_and_from_all_others():
    asked = translations(("T1", "T1post", "T2", "FLAIR"))
    assert len(asked) == 9
    assert ("all->T1", ("T1post", "T2", "FLAIR"), "T1") in asked
    assert all(target != "T1post" for _, _, target in asked)
    assert [name for name, _, _ in translations(("T1", "FLAIR"))] == ["FLAIR->T1", "T1->FLAIR"]
