from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.active_learning import page
from benchmarks.active_learning.bench import WAYS, Bench, Curves, Way
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


def curves(later: dict[str, float], *, seeds: int = 3) -> Curves:
    """Eight patients at 0.6 in the first round, and what each strategy makes of it in the second."""
    noise = [0.01 * patient for patient in range(8)]
    first = {label: [0.6 + n for n in noise] for label in "12"}
    return {
        (way, seed): [first, {label: [dice + (1 + 0.1 * seed) * n for n in noise] for label in "12"}]
        for way, dice in later.items()
        for seed in range(seeds)
    }


def test_the_page_has_a_row_for_each_strategy(tmp_path: Path) -> None:
    page.write(curves({way.name: 0.7 for way in WAYS}, seeds=2), (8, 16), tmp_path, updates=1500)
    text = (tmp_path / "active_learning.md").read_text(encoding="utf-8")
    assert all(f"| {way.name} | 2 | 0.635 ± 0.000 | 0.737 ± 0.002 |" in text for way in WAYS)
    assert "on the 8 val patients" in text
    assert (tmp_path / "active_learning.png").stat().st_size > 5000


def test_the_page_says_which_strategies_are_better_than_chance() -> None:
    found = curves({"random": 0.7, "epistemic": 0.72, "epistemic-ensemble": 0.7, "diversity": 0.69})
    assert page.verdict(found, (8, 16)).splitlines() == [
        "- epistemic, against random crops: better with 16 labels (+0.020).",
        "- epistemic-ensemble, against random crops: no difference beyond the interval.",
        "- diversity, against random crops: worse with 16 labels (-0.010).",
        "- 16 random crops in place of 8 change Dice by +0.103.",
    ]
    assert [row[0] for row in page.gains(found, (8, 16)).rows] == [
        "epistemic",
        "epistemic-ensemble",
        "diversity",
    ]


def test_strategies_are_compared_over_the_seeds_that_both_have() -> None:
    found = curves({"random": 0.7, "epistemic": 0.72})
    del found["random", 1]
    assert [one.seeds for one in page.above_chance(found, "epistemic")] == [2]
    assert page.above_chance(found, "diversity") == []
    assert page.verdict({}, (8, 16)) == ""
