from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.active_learning import WAYS, Bench, Way, page
from benchmarks.labelled_sets import cases, first_labelled
from medgan_core.training.finished import Finished
from tests.crops import write_crops

TINY = {"batch": 2, "widths": (8, 8), "places": 2, "warmup": 1}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("annotation")
    data = write_crops(folder / "data")
    runs = folder / "runs" / "active_learning"
    return Bench(
        data=data, runs=runs, figures=runs / "figures", rounds=(2, 3, 4), updates=2, segmentation=TINY
    )


def sets(bench: Bench, way: Way) -> list[set[str]]:
    """Who is labelled in each round."""
    names = [f"{way.name if n else 'first'}-{count}-0" for n, count in enumerate(bench.rounds)]
    return [{c.study.patient for c in cases(bench.runs / "sets" / name)} for name in names]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_every_round_adds_crops_and_begins_with_the_same(bench: Bench, way: Way) -> None:
    curve = bench.curve(way, 0)
    assert [len(dices["1"]) for dices in curve] == [3, 3, 3]
    labelled = sets(bench, way)
    assert [len(one) for one in labelled] == [2, 3, 4]
    assert labelled[0] < labelled[1] < labelled[2]
    assert labelled[0] == set(first_labelled(bench.data, 2, 0))
    written = sorted(bench.figures.glob(f"{way.name}-?-0.json"))
    times = [file.stat().st_mtime_ns for file in written]
    assert bench.curve(way, 0) == curve
    assert [file.stat().st_mtime_ns for file in written] == times
    assert bench.finished()[way.name, 0] == curve


def test_an_ensemble_is_of_networks_that_began_apart(bench: Bench) -> None:
    bench.curve(next(way for way in WAYS if way.networks == 3), 0)
    runs = [Finished.open(bench.runs / f"first-2-0{end}") for end in ("", "-1", "-2")]
    heads = [run.networks.exact("model").head.weight for run in runs]
    assert not any(torch.allclose(heads[a], heads[b]) for a, b in ((0, 1), (0, 2), (1, 2)))


def test_the_page_has_a_row_for_each_strategy(tmp_path: Path) -> None:
    dices = [{"1": [0.5, 0.6], "2": [0.7, 0.8]}, {"1": [0.6, 0.7], "2": [0.8, 0.9]}]
    page({(way.name, seed): dices for way in WAYS for seed in (0, 1)}, (8, 16), tmp_path)
    text = (tmp_path / "active_learning.md").read_text(encoding="utf-8")
    assert all(f"| {way.name} | 2 | 0.650 ± 0.000 | 0.750 ± 0.000 |" in text for way in WAYS)
    assert (tmp_path / "active_learning.png").stat().st_size > 5000
