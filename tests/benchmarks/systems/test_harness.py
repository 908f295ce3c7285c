from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.systems import plan, training
from benchmarks.systems.judged import Bench
from benchmarks.systems.plan import Drawn, Planned
from benchmarks.systems.runs import Runs
from medgan_core.training import RECIPES
from medgan_core.training.recipe import configure
from tests.crops import write_crops

SHORT = {"updates": "2", "batch": "2", "validate_every": "5", "widths": "4,4,4,4"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_crops(tmp_path_factory.mktemp("crops"), train=2, val=2)


def stopped(run: Path, rollbacks: int) -> None:
    """A run as the watch leaves it."""
    run.mkdir(parents=True)
    (run / "recipe.json").write_text(json.dumps({"recipe": "gan", "rollbacks": 3}), encoding="utf-8")
    (run / "good.json").write_text("{}", encoding="utf-8")
    line = {"kind": "watch", "step": 40, "seconds": 1.0, "trouble": "collapse", "rollbacks": rollbacks}
    (run / "metrics.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")


def test_every_training_of_the_plan_is_of_a_recipe_with_these_settings() -> None:
    every = plan.everything()
    assert len({planned.name for planned in every}) == len(every)
    for number, planned in enumerate(every):
        configure(RECIPES[planned.recipe], planned.settings)
        assert planned.needs is None or planned.needs.run in {p.name for p in every[:number]}


def test_what_is_not_finished_is_trained_once_and_what_it_needs_is_drawn(data: Path, tmp_path: Path) -> None:
    first = Planned(name="pairs", recipe="spade", settings=SHORT)
    settings = {**SHORT, "generated": "{runs}/drawn/pairs", "mix": "1"}
    second = Planned(
        name="second", recipe="segmentation", settings=settings, needs=Drawn(run="pairs", count=3)
    )
    wrong = Planned(name="wrong", recipe="gan", settings={"updates": "none"})
    outcomes = training.train([first, second, wrong], data=data, runs=tmp_path, parallel=2)
    assert {o.name: o.state for o in outcomes} == {
        "pairs": "finished",
        "second": "finished",
        "wrong": "failed",
    }
    assert len(list((tmp_path / "drawn" / "pairs").glob("image-*.nii.gz"))) == 3
    assert training.train([first, second], data=data, runs=tmp_path) == []
    assert Runs(tmp_path).missing(["pairs", "wrong"]) == {"wrong": "is not finished"}


def test_nothing_is_started_when_the_time_is_over(data: Path, tmp_path: Path) -> None:
    planned = Planned(name="late", recipe="gan", settings=SHORT)
    (outcome,) = training.train([planned], data=data, runs=tmp_path, max_minutes=0)
    assert outcome.state == "unfinished"
    assert not (tmp_path / "late").exists()


def test_a_run_that_the_watch_ended_is_not_tried_again_and_says_why(data: Path, tmp_path: Path) -> None:
    stopped(tmp_path / "bad", rollbacks=3)
    stopped(tmp_path / "going", rollbacks=1)
    assert training.train([Planned(name="bad", recipe="gan")], data=data, runs=tmp_path) == []
    runs = Runs(tmp_path)
    assert "collapse" in runs.missing(["bad"])["bad"]
    assert runs.missing(["going"])["going"] == "is not finished"
    assert (runs.rollbacks("bad"), runs.rollbacks("going")) == (0, 1)


def test_what_was_judged_is_kept_until_something_it_depends_on_changes(data: Path, tmp_path: Path) -> None:
    bench = Bench(data, Runs(tmp_path))
    made: list[int] = []

    def make() -> list[int]:
        made.append(len(made))
        return [len(made)]

    assert bench.judged("one", make, runs=[], level=1) == [1]
    assert bench.judged("one", make, runs=[], level=1) == [1]
    assert bench.judged("one", make, runs=[], level=2) == [2]
    assert len(made) == 2
