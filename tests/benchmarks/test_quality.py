import json

import pytest

from benchmarks import quality
from benchmarks.baselines import regression
from benchmarks.cohort import patients
from medgan_core.data.manifest import Manifest
from tests.benchmarks.phantoms import PATIENTS, write_data_set
from tests.models import toy_denoise, toy_translate


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data_set(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for fold in "ABC":
        toy_translate(folder / fold)
        toy_denoise(folder / fold)
    return folder


@pytest.fixture(scope="module")
def judged(data, models, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    words = ["--data", str(data), "--models", str(models), "--out", str(out), "--quick", "--device", "cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regression, "TREES", 15)
        assert quality.main(words) == 0
    return out, words


def test_every_patient_is_left_out_once(data):
    everyone = patients(Manifest.load(data))
    assert sorted(p.name for p in everyone) == sorted(PATIENTS)
    assert {p.fold for p in everyone} == {"A", "B", "C"}


def test_every_patient_and_method_is_judged(judged):
    out, _ = judged
    tasks = json.loads((out / "quality.json").read_text(encoding="utf-8"))["tasks"]
    for task, methods in (
        ("translation", {"model", "identity", "linear", "trees"}),
        ("denoising", {"model", "noisy", "nlm"}),
    ):
        for patient in PATIENTS:
            mine = [r for r in tasks[task]["records"] if r["patient"] == patient]
            assert methods <= {r["method"] for r in mine}
            cases = {r["case"] for r in mine}
            assert len(cases) == (9 if task == "translation" else 3)
            assert all({"spearman", "coverage"} <= set(r["figures"]) for r in mine if r["method"] == "model")


def test_regressions_of_other_patients_beat_the_identity_on_the_phantoms(judged):
    out, _ = judged
    rows = json.loads((out / "quality.json").read_text(encoding="utf-8"))["tasks"]["translation"]["summary"]
    psnr = {r["method"]: r["psnr"]["mean"] for r in rows if r["case"] == "T1->T2"}
    assert psnr["trees"] > psnr["identity"] + 5
    assert psnr["trees"] > psnr["model"]
    model = next(r for r in rows if r["case"] == "T1->T2" and r["method"] == "model")
    assert model["ahead"] == [0, 3]


def test_markdown_says_the_folds_and_shows_both_tasks(judged):
    text = (judged[0] / "quality.md").read_text(encoding="utf-8")
    assert "Cross-validation" in text
    assert "## Translation in total" in text
    assert "## Denoising per patient" in text
    assert all(patient in text for patient in PATIENTS)


def test_what_was_judged_is_kept_until_the_weights_change(judged, data, models):
    out, words = judged
    cache = {path: path.stat().st_mtime_ns for path in (out / "cache").iterdir()}
    assert quality.main(words) == 0
    assert {path: path.stat().st_mtime_ns for path in cache} == cache
    fold = next(p.fold for p in patients(Manifest.load(data)) if p.name == PATIENTS[0])
    card = models / fold / "mr-denoise" / "card.json"
    original = card.read_text(encoding="utf-8")
    try:
        other = toy_translate(models / fold, name="other")
        card.write_text(
            original.replace(json.loads(original)["weights"]["sha256"], other.weights.sha256),
            encoding="utf-8",
        )
        assert quality.main([*words, "--tasks", "denoising", "--patients", PATIENTS[1]]) == 0
        assert {path: path.stat().st_mtime_ns for path in cache} == cache
        # The hash of the card is no longer that of its weights, so judging anew must fail loudly.
        assert quality.main([*words, "--tasks", "denoising", "--patients", PATIENTS[0]]) == 4
    finally:
        card.write_text(original, encoding="utf-8")


def test_baselines_alone_need_no_model(data, tmp_path):
    words = [
        "--data",
        str(data),
        "--baselines-only",
        "--out",
        str(tmp_path),
        "--quick",
        "--tasks",
        "denoising",
    ]
    assert quality.main(words) == 0
    assert "Baselines only" in (tmp_path / "quality.md").read_text(encoding="utf-8")


def test_a_fold_without_weights_is_never_judged_by_others(data, models, tmp_path, capsys):
    partial = tmp_path / "models"
    toy_denoise(partial / "A")
    words = ["--data", str(data), "--models", str(partial), "--out", str(tmp_path), "--quick"]
    assert quality.main([*words, "--tasks", "denoising"]) != 0
    assert "mr-denoise" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--models", "x", "--shipped"], ["--shipped", "--tasks", "sleep"]])
def test_a_wrong_command_line_ends_with_status_2(words, data):
    with pytest.raises(SystemExit) as ended:
        quality.main(["--data", str(data), *words])
    assert ended.value.code == 2


def test_an_unknown_patient_is_said(data, tmp_path, capsys):
    words = ["--data", str(data), "--baselines-only", "--out", str(tmp_path), "--patients", "nobody"]
    assert quality.main(words) == 2
    assert "nobody" in capsys.readouterr().err
