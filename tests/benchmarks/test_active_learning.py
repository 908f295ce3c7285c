from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.active_learning import Bench, page
from benchmarks.labelled_sets import cases, first_labelled
from medgan_core.active import STRATEGIES
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


def sets(bench: Bench, strategy: str) -> list[set[str]]:
    """Who is labelled in each round."""
    names = [f"{strategy if n else 'first'}-{count}-0" for n, count in enumerate(bench.rounds)]
    return [{c.study.patient for c in cases(bench.runs / "sets" / name)} for name in names]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_round_adds_crops_and_begins_with_the_same(bench: Bench, strategy: str) -> None:
    curve = bench.curve(strategy, 0)
    assert [len(dices["1"]) for dices in curve] == [3, 3, 3]
    labelled = sets(bench, strategy)
    assert [len(one) for one in labelled] == [2, 3, 4]
    assert labelled[0] < labelled[1] < labelled[2]
    assert labelled[0] == set(first_labelled(bench.data, 2, 0))
    written = sorted(bench.figures.glob(f"{strategy}-*"))
    times = [file.stat().st_mtime_ns for file in written]
    assert bench.curve(strategy, 0) == curve
    assert [file.stat().st_mtime_ns for file in written] == times


def test_the_page_has_a_row_for_each_strategy(tmp_path: Path) -> None:
    dices = [{"1": [0.5, 0.6], "2": [0.7, 0.8]}, {"1": [0.6, 0.7], "2": [0.8, 0.9]}]
    page({(s, seed): dices for s in STRATEGIES for seed in (0, 1)}, (8, 16), tmp_path)
    text = (tmp_path / "active_learning.md").read_text(encoding="utf-8")
    assert all(f"| {s} | 2 | 0.650 ± 0.000 | 0.750 ± 0.000 |" in text for s in STRATEGIES)
    assert (tmp_path / "active_learning.png").stat().st_size > 5000
