"""What `medgan run` leaves in its folder, and what it never touches there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from medgan_core import cli, io, results
from medgan_core.engine import Outcome
from medgan_core.errors import CancelledError, ResourceError, UsageError
from medgan_core.report import Report
from medgan_core.volume import Geometry, Volume
from tests.models import toy_pairs

MODEL = "hippocampus-synthesize"
PROVENANCE = {
    **dict.fromkeys(("model", "version", "sha256", "task", "target", "created", "not_for"), "x"),
    "synthetic": True,
    "seed": 0,
    "inputs": [],
    "seconds": {},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    toy_pairs(folder)
    return folder


@pytest.fixture(autouse=True)
def surroundings(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medgan_core.registry.SHIPPED", models)
    monkeypatch.setenv("MEDGAN_MODELS", str(models / "none"))


def medgan(*args: object) -> Any:  # typer does not export the type
    return CliRunner().invoke(cli.build(), [str(a) for a in args])


def outcome(*keys: str, value: int = 1) -> Outcome:
    volume = Volume(np.full((2, 3, 4), value, dtype=np.int16), Geometry((2, 3, 4), np.eye(4)))
    return Outcome(dict.fromkeys(keys, volume), Report((), PROVENANCE))


def listed(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def header(path: Path) -> dict[str, str]:
    """What a file says of itself."""
    told: dict[str, str] = json.loads(
        nibabel.load(path).header.extensions[0].get_content().decode().rstrip("\0")
    )
    return told


def crop(path: Path) -> Path:
    data = 300 + 40 * np.random.default_rng(0).normal(size=(30, 30, 30))
    return io.write(Volume(data.astype(np.float32), Geometry((30, 30, 30), np.eye(4))), path)


def test_an_input_is_never_replaced(tmp_path: Path) -> None:
    source = crop(tmp_path / "image.nii.gz")
    before = source.read_bytes()
    result = medgan("run", MODEL, "--input", f"reference={source}", "--out", tmp_path)
    assert result.exit_code == 2, result.stderr
    assert "image.nii.gz" in result.stderr
    assert source.read_bytes() == before


def test_an_earlier_result_that_is_an_input_is_never_removed(tmp_path: Path) -> None:
    assert medgan("run", MODEL, "--out", tmp_path, "--count", 2).exit_code == 0
    source = tmp_path / "image-002.nii.gz"
    result = medgan("run", MODEL, "--input", f"reference={source}", "--out", tmp_path)
    assert result.exit_code == 2
    assert "An input lies where the results" in result.stderr
    assert source.is_file()


def test_a_second_run_leaves_its_own_results_alone(tmp_path: Path) -> None:
    for count in (3, 1):
        assert medgan("run", MODEL, "--out", tmp_path, "--count", count).exit_code == 0
    assert listed(tmp_path) == {"image.nii.gz", "segmentation.nii.gz", "report.json"}


def test_a_refused_run_says_whose_results_still_lie_there(tmp_path: Path) -> None:
    """The next one that succeeds replaces them all the same."""
    assert medgan("run", MODEL, "--out", tmp_path, "--count", 2).exit_code == 0
    done = json.loads((tmp_path / "report.json").read_text())
    for _ in range(2):
        assert medgan("run", MODEL, "--out", tmp_path, "--input", "labels=nothing.nii").exit_code == 3
        report = json.loads((tmp_path / "report.json").read_text())
        assert report["error"]["code"] == "input-refused"
        assert "outputs" not in report
        assert report["earlier"] == done
    assert medgan("run", MODEL, "--out", tmp_path).exit_code == 0
    assert listed(tmp_path) == {"image.nii.gz", "segmentation.nii.gz", "report.json"}
    assert "earlier" not in json.loads((tmp_path / "report.json").read_text())


@pytest.mark.parametrize("name", ["segmentation.nii.gz", "report.json"])
def test_a_file_of_someone_else_is_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}", encoding="utf-8")
    result = medgan("run", MODEL, "--out", tmp_path)
    assert result.exit_code == 2
    assert name in result.stderr
    assert (tmp_path / name).read_text(encoding="utf-8") == "{}"


def test_results_are_lost_only_to_new_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results.write(tmp_path, outcome("a", "b"), {})
    write, done = io.write, []

    def stopping(volume: Volume, path: Path, **options: Any) -> Path:
        if done:
            raise CancelledError()
        done.append(path)
        return write(volume, path, **options)

    monkeypatch.setattr(io, "write", stopping)
    with pytest.raises(CancelledError):
        results.write(tmp_path, outcome("b", "c", value=2), {})
    assert listed(tmp_path) == {"a.nii.gz", "b.nii.gz", "report.json"}
    assert io.read(tmp_path / "b.nii.gz").data.max() == 1


def test_a_report_cannot_have_files_elsewhere_removed(tmp_path: Path) -> None:
    folder, precious = tmp_path / "out", tmp_path / "precious.nii.gz"
    folder.mkdir()
    precious.touch()
    planted = {"rows": [], "provenance": {}, "outputs": {"a": "../precious.nii.gz", "b": "notes.txt"}}
    (folder / "report.json").write_text(json.dumps(planted), encoding="utf-8")
    (folder / "notes.txt").touch()
    results.write(folder, outcome("a"), {})
    assert precious.is_file()
    assert listed(folder) == {"a.nii.gz", "notes.txt", "report.json"}


def full(*_: object, **__: object) -> NoReturn:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("words", [("run", MODEL), ("evaluate", MODEL, "--data", "nothere")])
def test_a_folder_that_cannot_be_made_is_said_before_anything_else(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    result = medgan(*words, "--out", tmp_path / "file" / "out")
    assert result.exit_code == ResourceError.exit_status
    assert "Nothing can be written into out" in result.stderr


def test_a_disk_that_is_full_from_the_beginning_is_said_before_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medgan_core.results.tempfile.TemporaryFile", full)
    monkeypatch.setattr(results, "replacing", full)
    result = medgan("run", MODEL, "--out", tmp_path / "out", "--json")
    assert result.exit_code == ResourceError.exit_status
    assert json.loads(result.stdout)["error"]["got"] == "No space left on device"
    assert listed(tmp_path / "out") == set()


def test_a_disk_that_fills_up_during_a_run_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "replacing", full)
    result = medgan("run", MODEL, "--out", tmp_path, "--device", "cpu", "--json")
    assert result.exit_code == ResourceError.exit_status
    assert "No space left on device" in result.stderr
    assert json.loads(result.stdout)["error"]["code"] == "resource"


def test_what_appears_during_a_run_is_refused_as_well(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").touch()
    with pytest.raises(UsageError, match="no run of medgan"):
        results.write(tmp_path, outcome("a"), {})


def test_every_file_says_which_sample_it_is(tmp_path: Path) -> None:
    assert medgan("run", MODEL, "--out", tmp_path, "--count", 2, "--device", "cpu").exit_code == 0
    for number in (1, 2):
        told = header(tmp_path / f"segmentation-00{number}.nii.gz")
        assert (told["MedGAN.output"], told["MedGAN.sample"]) == (f"segmentation-00{number}", str(number))
        assert json.loads(told["MedGAN.provenance"])["sample"] == number
    made = json.loads((tmp_path / "report.json").read_text())["provenance"]
    assert made["count"] == 2
    assert (made["device"], made["backend"], made["precision"]) == ("cpu", "torch", "fp32")
    assert medgan("run", MODEL, "--out", tmp_path).exit_code == 0
    assert "MedGAN.sample" not in header(tmp_path / "image.nii.gz")


def test_what_a_model_does_anyway_may_be_asked_for(tmp_path: Path) -> None:
    asked = [part for key in ("views=1", "backend=torch", "precision=fp32") for part in ("--set", key)]
    assert medgan("run", MODEL, "--out", tmp_path, *asked).exit_code == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("--seed", -1), "0 or above"),
        (("--count", 65), "1 to 64"),
        (("--set", "views=3"), "views=auto"),
        (("--set", "backend=openvino"), "backend=auto"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused_in_words(
    tmp_path: Path, change: tuple[object, ...], words: str
) -> None:
    result = medgan("run", MODEL, "--out", tmp_path, *change)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "leave the count out" not in result.stderr
