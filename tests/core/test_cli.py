"""The command line's shape, which scripts rely on: files, exit status, and reasons in words and JSON."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import nibabel
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from medgan_core import cli, io
from medgan_core.cli.console import interruptible
from medgan_core.volume import Geometry, Volume
from tests.models import toy_denoise, toy_translate

ROOT = Path(__file__).parents[2]
AFFINE = np.array([[-3.0, 0.2, 0, 60], [0.2, 3.0, 0, -60], [0, 0, 4.0, -50], [0, 0, 0, 1]])


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Only the toy models are installed."""
    monkeypatch.setattr("medgan_core.registry.SHIPPED", tmp_path / "none")
    monkeypatch.setenv("MEDGAN_MODELS", str(tmp_path / "models"))
    toy_denoise(tmp_path / "models")
    toy_translate(tmp_path / "models")


@pytest.fixture
def head(tmp_path) -> Path:
    shape = (40, 44, 30)
    index = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    inside = (index**2).sum(axis=0) < 0.7
    data = inside * (400 + 200 * np.sin(9 * index[0]) * np.cos(7 * index[1]))
    noise = np.random.default_rng(0).rayleigh(8, size=shape)
    return io.write(Volume((data + noise).astype(np.float32), Geometry(shape, AFFINE)), tmp_path / "head.nii")


def medgan(*args: object):
    return CliRunner().invoke(cli.build(), [str(a) for a in args])


def reason(result, out: Path) -> dict:
    """The error in report.json, which is also on standard error."""
    error = json.loads((out / "report.json").read_text())["error"]
    assert error["what"].rstrip(".") in result.stderr
    return error


def test_models_lists_what_is_installed(models):
    table = medgan("models")
    assert table.exit_code == 0
    assert "mr-denoise" in table.stdout
    cards = json.loads(medgan("models", "--json").stdout)
    assert [card["name"] for card in cards] == ["brain-mr-translate", "mr-denoise"]
    assert {port["key"] for port in cards[1]["outputs"]} == {"image", "trust"}


def test_run_writes_every_output_and_the_report(models, head, tmp_path):
    out = tmp_path / "new" / "out"
    result = medgan("run", "mr-denoise", "--input", f"image={head}", "--out", out, "--seed", 3)
    assert result.exit_code == 0, result.stderr
    assert {p.name for p in out.iterdir()} == {"image.nii.gz", "trust.nii.gz", "report.json"}
    report = json.loads((out / "report.json").read_text())
    assert {"rows", "provenance"} <= set(report)
    assert report["provenance"]["model"] == "mr-denoise"
    assert report["provenance"]["seed"] == 3
    assert {"read", "network", "write"} <= set(report["provenance"]["seconds"])
    source = nibabel.load(head)
    for name in ("image", "trust"):
        made = nibabel.load(out / f"{name}.nii.gz")
        np.testing.assert_array_equal(made.affine, source.affine)
        assert made.get_data_dtype() == np.float32
        told = json.loads(made.header.extensions[0].get_content().decode().rstrip("\0"))
        assert told["MedGAN.synthetic"] == "true"
        assert told["MedGAN.model"] == "mr-denoise"
    assert str(out / "image.nii.gz") in result.stdout.replace("\n", "")


def test_run_json_is_the_report(models, head, tmp_path):
    args = ("run", "brain-mr-translate", "--input", f"T1={head}", "--target", "T2", "--out", tmp_path / "o")
    result = medgan(*args, "--json")
    assert result.exit_code == 0, result.stderr
    printed = json.loads(result.stdout)
    assert printed == json.loads((tmp_path / "o" / "report.json").read_text())
    assert printed["outputs"] == {"T2": "T2.nii.gz", "trust": "trust.nii.gz"}


def test_settings_reach_the_engine(models, head, tmp_path):
    args = ("run", "mr-denoise", "--input", f"image={head}", "--out", tmp_path / "o")
    result = medgan(*args, "--set", "strength=0", "--set", "precision=fp32")
    assert result.exit_code == 0, result.stderr
    made, source = (io.read(p).data for p in (tmp_path / "o" / "image.nii.gz", head))
    np.testing.assert_allclose(made, source, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(
    "change",
    [
        ("--target", "T9"), ("--set", "nonsense=1"), ("--set", "strength"), ("--set", "strength=7"),
        ("--input", "T9=x.nii"), ("--input", "image=again.nii"), ("--device", "toaster"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_requests_are_usage(models, head, tmp_path, change):
    out = tmp_path / "o"
    result = medgan("run", "mr-denoise", "--input", f"image={head}", "--out", out, *change)
    assert result.exit_code == 2
    if (out / "report.json").exists():
        assert reason(result, out)["code"] == "usage"


@pytest.mark.parametrize(
    "args", [("run",), ("run", "mr-denoise", "--out", "x"), ("run", "m", "--foo"), ("nonsense",), ("train",)]
)
def test_wrong_commands_are_usage(args, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = medgan(*args)
    assert result.exit_code == 2
    assert result.stderr


def test_unknown_model_is_usage_and_names_those_there_are(models, head, tmp_path):
    result = medgan("run", "nobody", "--input", f"image={head}", "--out", tmp_path / "o")
    assert result.exit_code == 2
    assert "mr-denoise" in reason(result, tmp_path / "o")["expected"]


def test_output_that_is_a_file_is_usage(models, head):
    before = head.read_bytes()
    assert medgan("run", "mr-denoise", "--input", f"image={head}", "--out", head).exit_code == 2
    assert head.read_bytes() == before


@pytest.mark.parametrize("content", [None, b"", b"hello"])
def test_unreadable_input_is_refused(models, tmp_path, content):
    path, out = tmp_path / "bad.nii.gz", tmp_path / "o"
    if content is not None:
        path.write_bytes(content)
    result = medgan("run", "mr-denoise", "--input", f"image={path}", "--out", out, "--json")
    assert result.exit_code == 3
    error = reason(result, out)
    assert error["code"] == "input-refused"
    assert error["action"]
    assert json.loads(result.stdout)["error"] == error
    assert [p.name for p in out.iterdir()] == ["report.json"]


def test_damaged_model_is_a_failure(models, head, tmp_path):
    (tmp_path / "models" / "mr-denoise" / "weights.safetensors").write_bytes(b"x")
    result = medgan("run", "mr-denoise", "--input", f"image={head}", "--out", tmp_path / "o")
    assert result.exit_code == 4
    assert reason(result, tmp_path / "o")["code"] == "model"


def test_a_damaged_card_is_named_and_hides_no_other_model(models):
    folder = Path(os.environ["MEDGAN_MODELS"]) / "mr-denoise"
    for content in (b"\xff", b"{}"):
        (folder / "card.json").write_bytes(content)
        result = medgan("models")
        assert result.exit_code == 4
        assert "brain-mr-translate" in result.stdout
        assert str(folder) in result.stderr
        assert "Traceback" not in result.stderr
        cards = json.loads(medgan("models", "--json").stdout)
        assert [card["name"] for card in cards] == ["brain-mr-translate"]


def test_a_verb_that_breaks_is_a_failure_in_words(models, head, tmp_path):
    (Path(os.environ["MEDGAN_MODELS"]) / "mr-denoise" / "card.json").write_bytes(b"\xff")
    result = medgan("run", "mr-denoise", "--input", f"image={head}", "--out", tmp_path / "o")
    assert result.exit_code == 4
    assert "card" in result.stderr
    assert "Traceback" not in result.stderr


def test_ctrl_c_cancels(models, head, tmp_path, monkeypatch):
    """The signal arrives while the input is read; the run ends at its next step."""
    read = io.read

    def read_then_interrupt(path, **options):
        volume = read(path, **options)
        signal.raise_signal(signal.SIGINT)
        return volume

    monkeypatch.setattr(io, "read", read_then_interrupt)
    before = signal.getsignal(signal.SIGINT)
    result = medgan("run", "mr-denoise", "--input", f"image={head}", "--out", tmp_path / "o")
    assert result.exit_code == 130
    assert reason(result, tmp_path / "o")["code"] == "cancelled"
    assert [p.name for p in (tmp_path / "o").iterdir()] == ["report.json"]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_ctrl_c_or_sigterm_stops_at_once(number):
    before = signal.getsignal(number)
    with interruptible() as cancel:
        assert not cancel()
        signal.raise_signal(number)
        assert cancel()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no way to send Ctrl-C to one child process")
def test_ctrl_c_ends_a_real_process_with_130(models, tmp_path):
    out = tmp_path / "o"
    command = [sys.executable, "-m", "medgan_core.cli", "run", "mr-denoise"]
    content = np.random.default_rng(0).normal(500, 99, size=(256, 256, 160)).astype(np.float32)
    geometry = Geometry(content.shape, np.diag([0.8, 0.8, 1.0, 1.0]))
    big = io.write(Volume(content, geometry), tmp_path / "big.nii")
    with subprocess.Popen(
        [*command, "--input", f"image={big}", "--out", str(out), "--set", "backend=torch"],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        for line in process.stderr:
            if line.startswith("network"):
                break
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert "cancelled" in rest
    assert time.monotonic() - start < 30
    assert json.loads((out / "report.json").read_text())["error"]["code"] == "cancelled"
    assert [p.name for p in out.iterdir()] == ["report.json"]


def test_help_does_not_wait_for_torch():
    code = "import sys; from medgan_core import cli; cli.build(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    for verb in ("models", "run", "train", "evaluate"):
        assert verb in medgan("--help").stdout


def test_version():
    result = medgan("--version")
    assert result.exit_code == 0
    assert result.stdout.strip() == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_other_packages_add_verbs(tmp_path, monkeypatch):
    """A package on the path with an entry point of the group; another one that does not import."""
    (tmp_path / "medgan_extra.py").write_text(
        "def register(app):\n    app.command('greet')(lambda: print('hello from outside'))\n"
    )
    info = tmp_path / "medgan_extra-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: medgan-extra\nVersion: 1.0\n")
    points = "greet = medgan_extra:register\nbroken = medgan_not_there:register\n"
    (info / "entry_points.txt").write_text(f"[{cli.GROUP}]\n{points}")
    monkeypatch.syspath_prepend(tmp_path)
    result = medgan("greet")
    assert isinstance(cli.build(), typer.Typer)
    assert (result.exit_code, result.stdout.strip()) == (0, "hello from outside")


def test_train_dry_run_prints_the_recipe(tmp_path):
    args = ("train", "mr-denoise", "--data", tmp_path, "--out", tmp_path / "run", "--dry-run")
    result = medgan(*args)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["recipe"] == "mr-denoise"
    assert not (tmp_path / "run").exists()


def test_train_refuses_what_it_does_not_know(tmp_path):
    where = ("--data", tmp_path, "--out", tmp_path / "run", "--dry-run")
    assert medgan("train", "nobody", *where).exit_code == 2
    assert medgan("train", "mr-denoise", *where, "--set", "nonsense=1").exit_code == 2
    assert medgan("train", "mr-denoise", *where, "--preset", "toaster").exit_code == 2
