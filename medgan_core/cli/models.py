"""Verbs for models: list them, apply and measure them, publish them, hand them on."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medgan_core import results
from medgan_core.cli.command import Device, Json, Settings, exit_status, pairs
from medgan_core.cli.console import following, interruptible, print_error, print_report, print_rows
from medgan_core.errors import MedganError, ModelError, UsageError

if TYPE_CHECKING:
    from medgan_core.card import ModelCard

Name = Annotated[str, typer.Argument(help="Name of a model (see: medgan models).")]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    for verb in (models, run, evaluate, publish, default, export):
        app.command()(verb)


def models(as_json: Json = False) -> None:
    """List the models that are installed."""
    with exit_status():
        cards, damaged = _cards()
        if as_json:
            print(json.dumps([card.to_dict() for card in cards], indent=2))
        else:
            _print_cards(cards)
        for error in damaged:
            print_error(error)
        if damaged:
            raise typer.Exit(ModelError.exit_status)


def _cards() -> tuple[list[ModelCard], list[ModelError]]:
    """Cards of all models, and for those that cannot be read the reason with their folder."""
    from medgan_core.registry import Registry

    registry = Registry()
    cards, damaged = [], []
    for name in registry.names():
        try:
            cards.append(registry.card(name))
        except ModelError as error:
            what = f"The model in {registry.folder(name)} has a damaged card"
            damaged.append(ModelError(what, expected=error.expected, got=error.got, action=error.action))
    return cards, damaged


def _print_cards(cards: list[ModelCard]) -> None:
    """A table of models."""
    rows = [
        {
            "model": card.name,
            "version": card.version,
            "task": card.task,
            "takes": ", ".join(port.key for port in card.inputs),
            "gives": ", ".join(port.key for port in card.outputs),
        }
        for card in cards
    ]
    print_rows(rows, empty="No model is installed.")


def run(
    model: Name,
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    inputs: Annotated[
        list[str] | None, typer.Option("--input", metavar="KEY=PATH", help="A volume; may be repeated.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Which output to make.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    count: Annotated[int, typer.Option(min=1, help="How many samples to draw.")] = 1,
    settings: Settings = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Apply a model to volumes: writes OUT/KEY.nii.gz for every output, and OUT/report.json."""
    with exit_status(lambda error: _refused(out, error, as_json)), interruptible() as cancel:
        paths = {key: Path(path) for key, path in pairs(inputs, "--input").items()}
        chosen = pairs(settings, "--set")
        results.make_folder(out)
        with following() as progress:
            from medgan_core import engine
            from medgan_core.request import check_count, check_inputs, check_seed, choose_target

            session = engine.Session(device)
            card = session.registry.card(model)
            check_inputs(card, paths)
            check_seed(seed)
            check_count(card, count)
            target = choose_target(card, target, paths)
            results.check_folder(out, results.names(card, target, count), paths.values())
            start = time.monotonic()
            volumes = results.read_inputs(paths, cancel)
            seconds = {"read": time.monotonic() - start}
            options = engine.RunOptions(target=target, seed=seed, count=count, settings=chosen)
            outcome = engine.run(session, model, volumes, options, progress, cancel)
        report = results.write(out, outcome, seconds)
        if as_json:
            print(json.dumps(report, indent=2))
        else:
            print_report(report["rows"])
            for name in report["outputs"].values():
                print(out / name)


def evaluate(
    model: Annotated[str, typer.Argument(help="Name of a model, or a run's folder.")],
    data: Annotated[Path, typer.Option(help="Folder with manifest.csv.")],
    split: Annotated[str | None, typer.Option(help="Patients to measure a model on; by default val.")] = None,
    truth: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Label map to hold suggestions against; by default labels."),
    ] = None,
    sets: Annotated[
        str | None, typer.Option(help="Data sets to measure a model on, with commas; by default all.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the table.")] = None,
    as_json: Json = False,
) -> None:
    """Measure a model on patients of a split, or a run by its recipe's figures on those it left out."""
    with exit_status(), interruptible() as cancel:
        from medgan_core.training import folder

        wanted = {"split": split, "truth": truth, "sets": sets}
        chosen: dict[str, Any] = {key: value for key, value in wanted.items() if value is not None}
        told: Any
        if out is not None:
            results.make_folder(out)
        if folder.is_run(Path(model)):
            told, rows, remarks = _validated(Path(model), data, chosen, cancel)
        else:
            from medgan_core import evaluation

            with following() as progress:
                found = evaluation.evaluate(model, data=data, **chosen, progress=progress, cancel=cancel)
            told, rows = dataclasses.asdict(found), found.rows
            remarks = [f"Left out: {reason}" for reason in found.reasons]
        if out is not None:
            results.save(out / "evaluation.json", told)
        if as_json:
            print(json.dumps(told, indent=2))
            return
        print_rows(rows, empty="No patient in this split.")
        for remark in remarks:
            print(remark)


def _validated(
    run: Path, data: Path, chosen: Mapping[str, str], cancel: Callable[[], bool]
) -> tuple[Any, list[dict[str, Any]], list[str]]:
    """A run's own validation, as JSON types, as rows, and what must be said of it."""
    from medgan_core.training.validating import validate

    if chosen:
        options = ", ".join(f"--{key}" for key in chosen)
        raise UsageError(
            "A run is judged on the patients that its training left out",
            expected=f"no {options}",
            got=", ".join(chosen.values()),
            action=f"leave {options} out, or publish the run and evaluate the model",
        )
    with following() as progress:
        found = validate(run, data=data, progress=progress, cancel=cancel)
    known = len(found.trained_on)
    too_good = f"The run had trained on {known} of these patients: the numbers are too good."
    return dataclasses.asdict(found), [dict(row) for row in found.rows()], [too_good] if known else []


def publish(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    name: Annotated[str, typer.Option(help="Of the model, such as knee-mr-denoise.")],
    version: Annotated[str | None, typer.Option(help="X.Y.Z; the next free one is taken without it.")] = None,
    yes_default: Annotated[
        bool, typer.Option("--yes-default", help="Use it from now on; the first one of a new name always is.")
    ] = False,
) -> None:
    """Make a finished run a model for the server, below $MEDGAN_MODELS."""
    with exit_status():
        from medgan_core.training import publishing

        card, used = publishing.publish(folder, name=name, version=version, default=yes_default)
        print(f"published: {card.name} {card.version}" + (", which is used from now on" if used else ""))
        if not used:
            print(f"The version in use stays as it is. To change: medgan default {card.name} {card.version}")


def default(
    name: Annotated[str, typer.Argument(help="Of a published model.")],
    version: Annotated[str, typer.Argument(help="A version that is published.")],
) -> None:
    """Choose which published version of a model is used; also the way back to an earlier one."""
    with exit_status():
        from medgan_core.training import publishing

        card = publishing.use(name, version)
        print(f"{card.name} {card.version} is used from now on")


def export(
    model: Name,
    out: Annotated[Path, typer.Option(help="Folder for what is written.")],
    kind: Annotated[str, typer.Option("--format", help="onnx or bundle (MONAI Bundle).")],
    as_json: Json = False,
) -> None:
    """Write a model in another format, and check it against the original."""
    with exit_status():
        from medgan_core import export as exporting

        made = exporting.export(model, kind=kind, out=out)
        if as_json:
            told = [dataclasses.asdict(one) | {"share": one.share} for one in made.agreements]
            print(json.dumps({"path": str(made.path), "agreements": told}, indent=2))
            return
        print_rows(
            [
                {
                    "run by": one.by,
                    "input": " x ".join(map(str, one.shape)),
                    "difference": one.difference,
                    "largest value": one.largest,
                }
                for one in made.agreements
            ]
        )
        print(made.path)


def _refused(out: Path, error: MedganError, as_json: bool) -> None:
    told = results.write_refusal(out, error)
    if as_json:
        print(json.dumps(told, indent=2))
