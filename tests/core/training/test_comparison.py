"""Runs beside each other: what the table says, and that unfinished and unknown runs are listed, too."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from medgan_core.errors import UsageError
from medgan_core.training import comparison
from tests.core.training.tiny import LATENT, TABLE, Served, Tiny, finished
from tests.phantom import write_data_set


class Accurate(Tiny):
    """Judged by a number that should be high."""

    name = "accurate"
    metric = "right"
    best = "high"


def written(run: Path, recipe: str, lines: list[dict[str, object]], **settings: object) -> Path:
    """A run folder as it stands in the middle of a training."""
    run.mkdir(parents=True)
    resolved = {"recipe": recipe, "version": "1", "updates": 100, **settings}
    (run / "recipe.json").write_text(json.dumps(resolved), encoding="utf-8")
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run / "metrics.jsonl").write_text(text, encoding="utf-8")
    return run


def line(kind: str, step: int, **values: object) -> dict[str, object]:
    return {"kind": kind, "step": step, "seconds": 30.0 * step, **values}


LINES = [
    line("train", 20, per_s=1.0, waiting=0.5),
    line("train", 40, per_s=4.0, waiting=0.1),
    line("validation", 40, loss=0.3, right=0.9, psnr=20.0),
    line("watch", 42, trouble="collapse", rollbacks=0.0),
    line("train", 60, per_s=2.0, waiting=0.0),
    line("validation", 60, loss=0.4, right=0.7, psnr=21.5),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = write_data_set(tmp_path_factory.mktemp("data"))
    return finished(Served(size=(12, 8)), data, tmp_path_factory.mktemp("runs") / "trained")


def test_a_finished_run_says_what_it_came_to(run: Path, tmp_path: Path) -> None:
    (found,) = comparison.compare([run], out=tmp_path, recipes=TABLE)
    assert (found.recipe, found.finished, found.updates, found.planned) == ("served", True, 2, 2)
    assert found.parameters["generator"] == (LATENT + 1) * 12 * 8
    assert found.parameters["denoise"] > 1000
    assert found.rollbacks == 0
    assert found.metric == "loss"
    assert found.best is not None
    assert found.best <= found.last["loss"]
    assert "finished" in found.row()["updates"]


def test_an_unfinished_run_is_listed_by_what_it_logged(tmp_path: Path) -> None:
    found = comparison.summary(written(tmp_path / "cut", "tiny", LINES), "cut", TABLE)
    assert (found.finished, found.updates, found.planned, found.minutes) == (False, 60, 100, 30.0)
    assert (found.per_second, found.rollbacks) == (2.0, 1)
    assert found.waiting == pytest.approx(0.2)
    assert (found.metric, found.best, found.best_at) == ("loss", 0.3, 40)
    assert found.last == {"loss": 0.4, "right": 0.7, "psnr": 21.5}
    assert "unfinished" in found.row()["updates"]


def test_the_best_is_the_highest_where_the_recipe_says_so(tmp_path: Path) -> None:
    lines = [*LINES, line("validation", 80, right=float("nan"))]
    found = comparison.summary(written(tmp_path / "run", "accurate", lines), "run", {"accurate": Accurate})
    assert (found.metric, found.best, found.best_at) == ("right", 0.9, 40)


def test_a_run_of_an_unknown_recipe_keeps_its_line(tmp_path: Path) -> None:
    found = comparison.summary(written(tmp_path / "run", "gone", LINES), "run", TABLE)
    assert (found.recipe, found.parameters, found.best) == ("gone", {}, None)
    assert found.row()["parameters"] == "unknown"


def test_a_run_that_logged_nothing_yet_keeps_its_line(tmp_path: Path) -> None:
    found = comparison.summary(written(tmp_path / "run", "tiny", []), "run", TABLE)
    assert (found.updates, found.per_second, found.last) == (0, None, {})


def test_table_and_json_hold_every_run_and_the_picture_a_row_for_each(run: Path, tmp_path: Path) -> None:
    other = written(tmp_path / "other" / "trained", "tiny", LINES)
    found = comparison.compare([run, other], out=tmp_path / "out", recipes=TABLE)
    assert [one.run for one in found] == [f"{run.parent.name}/trained", "other/trained"]
    told = json.loads((tmp_path / "out" / "compare.json").read_text(encoding="utf-8"))
    assert [one["updates"] for one in told["runs"]] == [2, 60]
    text = (tmp_path / "out" / "compare.md").read_text(encoding="utf-8")
    rows = [row for row in text.splitlines() if row.startswith("|")]
    assert len(rows) == 4
    assert len({row.count(" | ") for row in rows}) == 1
    assert told["picture"] in text
    alone = comparison.compare([other], out=tmp_path / "alone", recipes=TABLE)
    assert alone[0].run == "trained"
    both, one = (image.imread(tmp_path / d / "compare.png") for d in ("out", "alone"))
    # A run without pictures has its name only; one with a picture has it, too.
    assert both.shape[0] > one.shape[0] + 100
    assert np.ptp(one) > 0.5


def test_the_newest_picture_is_that_of_the_last_validation(run: Path) -> None:
    newest = comparison.newest_picture(run)
    assert newest is not None
    assert newest.name == "0000002.png"


def test_bars_in_a_cell_do_not_break_the_table() -> None:
    text = comparison.table([{"a": "x|y", "b": "z"}])
    assert text.splitlines()[2] == "| x\\|y | z |"


def test_a_folder_without_a_run_is_refused_and_nothing_is_written(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no run in this folder"):
        comparison.compare([run, tmp_path / "empty"], out=tmp_path / "out", recipes=TABLE)
    assert not (tmp_path / "out").exists()
