"""The sections on hippocampus crops, on phantoms and with trainings of two updates."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.systems import generation, plan, report
from benchmarks.systems.ablation import ablation
from benchmarks.systems.compression import RUNS as COMPRESSION
from benchmarks.systems.compression import compression
from benchmarks.systems.generation import GAUSSIAN, NOISE, STEPS, SYSTEMS
from benchmarks.systems.judged import Bench
from benchmarks.systems.plan import ablation_run, stability_run
from benchmarks.systems.reconstruction import reconstruction
from benchmarks.systems.runs import Runs
from benchmarks.systems.section import Section, Table
from benchmarks.systems.stability import stability
from tests.benchmarks.systems.tiny_runs import train_tiny
from tests.crops import write_crops

JUDGED = {
    *SYSTEMS,
    *COMPRESSION[:2],
    "segmentation",
    "ae",
    *(ablation_run(variant, seed) for variant in ("plain", "both") for seed in (0, 1)),
    ablation_run("plain", 0, long=True),
    *(stability_run("gan", settings, 0) for settings in plan.STABILISERS),
} - {"wgan"}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    data = write_crops(tmp_path_factory.mktemp("crops"))
    runs = tmp_path_factory.mktemp("runs")
    train_tiny(JUDGED, data=data, runs=runs)
    return Bench(data, Runs(runs), images=24)


def table(section: Section, number: int = 0) -> dict[str, list[str]]:
    """Rows of a table of the section by their first cell."""
    tables = [part for part in section.parts if isinstance(part, Table)]
    assert all(len(row) == len(t.columns) for t in tables for row in t.rows)
    return {row[0]: list(row[1:]) for row in tables[number].rows}


def test_generation_sets_every_system_between_real_images_and_noise(bench: Bench) -> None:
    section = generation.generation(bench)
    found = section.figures["sets"]
    assert set(found) == {"real: training", "real: halves of training", GAUSSIAN, NOISE, *SYSTEMS} - {"wgan"}
    assert found["real: training"]["kid"]["value"] < found[NOISE]["kid"]["value"]
    assert all(f["kid"]["low"] <= f["kid"]["high"] for f in found.values())
    assert set(table(section)) == set(found)
    assert set(table(section, 1)) == {str(n) for n in STEPS}
    assert "wgan" in section.figures["missing"]
    assert any(isinstance(part, str) and "`wgan` is not finished" in part for part in section.parts)


def test_reconstruction_stands_beside_as_many_components(bench: Bench) -> None:
    section = reconstruction(bench)
    figures = section.figures["reconstruction"]
    assert set(figures) == {"ae", "beta-vae"}
    assert len(figures["ae"]["psnr"]) == 3
    assert min(figures["ae"]["psnr_pca"]) > max(figures["ae"]["psnr"])


def test_codes_are_coded_to_bytes_beside_jpeg_2000(bench: Bench) -> None:
    section = compression(bench)
    coded = section.figures["autoencoder"]
    assert set(coded) == set(COMPRESSION[:2])
    assert set(section.overview) == set(coded)
    assert all(bits > 0 for point in coded.values() for bits in point["bits"])


def test_the_ablation_compares_at_equal_updates_and_at_equal_time(bench: Bench) -> None:
    section = ablation(bench)
    assert set(table(section, 0)) == {"plain", "both"}
    assert table(section, 0)["plain"][1:3] == ["2", "2"]
    assert set(table(section, 1)) == {"plain", "both"}
    assert any(isinstance(part, str) and "of 2 seeds" in part for part in section.parts)


def test_stability_counts_what_the_watch_did(bench: Bench) -> None:
    section = stability(bench)
    assert list(table(section)["gan"])[2:5] == ["1", "0", "0"]
    assert any(isinstance(part, str) and "bare: in 0 of 1 runs" in part for part in section.parts)
    noise = generation.generation(bench).figures["sets"][NOISE]["kid"]["value"]
    runs = [run for group in section.figures["runs"].values() for run in group]
    assert [run["lost"] for run in runs] == [run["kid"] >= noise for run in runs]


def test_the_page_has_every_section_and_its_pictures(bench: Bench, tmp_path: Path) -> None:
    questions = (reconstruction, compression, generation.generation, ablation, stability)
    page = report.write(bench, plan.SYSTEMS, questions, tmp_path)
    text = page.read_text(encoding="utf-8")
    for picture in re.findall(r"\]\((pictures/\S+)\)", text):
        assert (tmp_path / picture).stat().st_size > 1000
    assert text.count("\n## ") == len(questions)
    assert text.count("pictures/systems/") == 4
    assert str(bench.runs.folder) not in text
    first = text.split("\n## ")[0]
    assert all(f"| {planned.name} |" in first for planned in plan.SYSTEMS)


def test_without_any_run_every_section_says_so(bench: Bench, tmp_path: Path) -> None:
    empty = Bench(bench.data, Runs(tmp_path / "none"))
    questions = (reconstruction, compression, generation.generation, ablation, stability)
    text = report.write(empty, plan.SYSTEMS, questions, tmp_path).read_text(encoding="utf-8")
    assert text.count("not finished") > len(plan.SYSTEMS)
