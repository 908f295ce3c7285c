from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

from medgan_core.card import DataSource, ModelCard
from medgan_core.data.pack import pack
from medgan_core.data.training_set import open_training_set
from medgan_core.data.witness import Patient, witnessed
from medgan_core.training import loop
from medgan_core.training.data_sources import sources, told
from medgan_core.training.recipes.hippocampus_suggest import HippocampusSuggest
from tests.crops import write_crops

RECIPE = HippocampusSuggest(updates=1, validate_every=9, batch=1, widths=(8, 8), places=1, warmup=1)
ONE = DataSource(name="One", patients=9, licence="CC0", citation="somebody", note="scans", set="one")
OTHER = replace(ONE, name="Other", set="other")
MADE = replace(ONE, name="Made", note="", set="")


def train(recipe: HippocampusSuggest, data: Path, out: Path) -> ModelCard:
    assert loop.train(recipe, data=data, out=out, command="none", workers=0)
    return ModelCard.load(out / "models" / recipe.name / "card.json")


def people(name: str, *numbers: int) -> set[Patient]:
    return {Patient(name, f"{name}/{number}", "CC-BY") for number in numbers}


def test_known_sets_are_counted_and_unknown_ones_added() -> None:
    read = people("one", 1, 2) | people("mine", 1)
    found = sources((MADE, OTHER, ONE), read, people("one", 1, 2, 3) | people("other", 1))
    mine = DataSource(name="mine", patients=1, licence="CC-BY", citation="not stated", set="mine")
    assert found == (MADE, replace(ONE, patients=2, note="scans; 2 of the 3 patients there are"), mine)


def test_only_what_is_read_within_is_seen(tmp_path: Path) -> None:
    held = open_training_set(write_crops(tmp_path))
    first, second, *_ = held.studies
    held.case(first)
    with witnessed() as outer:
        with witnessed() as inner:
            held.case(second)
        held.case(first, ["T1"])
    assert {p.patient for p in inner} == {second.patient}
    assert {p.patient for p in outer} == {first.patient}


def test_a_card_names_the_sets_of_those_who_train_and_not_its_authors(tmp_path: Path) -> None:
    data = write_crops(tmp_path / "data")
    (found,) = train(replace(RECIPE, labelled=2), data, tmp_path / "run").data
    assert (found.name, found.patients, found.licence) == ("crops", 2, "CC0")
    assert found.note == "2 of the 8 patients there are"
    packed = tmp_path / "pack"
    pack(open_training_set(data), packed)  # type: ignore[arg-type]
    assert train(replace(RECIPE, labelled=2), packed, tmp_path / "packed").data == (found,)


def test_a_run_that_begins_with_anothers_weights_names_both_data(tmp_path: Path) -> None:
    first, second = (write_crops(tmp_path / name) for name in ("first", "second"))
    rows = list(csv.reader((second / "manifest.csv").open()))
    renamed = [rows[0], *(["mine", row[1].replace("crops", "mine"), *row[2:]] for row in rows[1:])]
    (second / "manifest.csv").write_text("\n".join(",".join(row) for row in renamed) + "\n")
    train(RECIPE, first, tmp_path / "begun")
    model = tmp_path / "begun" / "models" / RECIPE.name
    for number, init in enumerate((tmp_path / "begun", model)):
        card = train(replace(RECIPE, init=str(init)), second, tmp_path / f"run{number}")
        assert {(source.name, source.patients) for source in card.data} == {("crops", 5), ("mine", 5)}


def test_whoever_a_training_is_validated_on_is_not_named(tmp_path: Path) -> None:
    (found,) = train(replace(RECIPE, validate_every=1), write_crops(tmp_path / "data"), tmp_path / "run").data
    assert (found.patients, found.note) == (5, "5 of the 8 patients there are")


def test_a_run_from_before_keeps_what_its_recipe_says(tmp_path: Path) -> None:
    run = tmp_path / "run"
    card = replace(train(RECIPE, write_crops(tmp_path / "data"), run), data=(ONE,))
    record = json.loads((run / "data.json").read_text())
    assert len(record.pop("read")) == 5
    (run / "data.json").write_text(json.dumps(record))
    assert told(RECIPE, card, run) == card
