"""Verbs for trainings: pack data, train, draw samples of runs, compare runs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from medgan_core.cli.command import Device, Json, Settings, exit_status, pairs
from medgan_core.cli.console import following, interruptible, print_rows

Names = list[str] | None


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    for verb in (train, sample, compare):
        app.command()(verb)
    data = typer.Typer(help="Training data.", no_args_is_help=True)
    data.command()(pack)
    app.add_typer(data, name="data")


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe.")],
    data: Annotated[Path, typer.Option(help="Folder with manifest.csv, or a pack.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    settings: Settings = None,
    preset: Annotated[str, typer.Option(help="cpu (small), gpu (large), or auto.")] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the resolved recipe.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in OUT.")] = False,
    max_minutes: Annotated[float | None, typer.Option(help="Stop, resumable, after so long.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare samples.")] = 1,
) -> None:
    """Train a model by a recipe."""
    with exit_status(), interruptible() as cancel:
        chosen = pairs(settings, "--set")
        from medgan_core import training

        with following() as progress:
            said = training.train(
                recipe,
                data=data,
                out=out,
                settings=chosen,
                resume=resume,
                dry_run=dry_run,
                max_minutes=max_minutes,
                preset=preset,
                workers=workers,
                progress=progress,
                cancel=cancel,
            )
        print(said)


def sample(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    out: Annotated[Path, typer.Option(help="Folder for the volumes.")],
    count: Annotated[int, typer.Option(min=1, help="How many to draw.")] = 1,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Draw new images from a finished run: OUT/NAME-001.nii.gz, ..., samples.png, samples.json."""
    with exit_status(), interruptible() as cancel:
        from medgan_core.training import sampling

        with following() as progress:
            made = sampling.sample(
                run, count=count, out=out, seed=seed, device=device, progress=progress, cancel=cancel
            )
        if as_json:
            print(json.dumps(made, indent=2))
        else:
            for files in (*made["files"].values(), [made["picture"] or "samples.json"]):
                for name in files:
                    print(out / name)


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs, finished or not.")],
    out: Annotated[Path, typer.Option(help="Folder for compare.md, compare.json and compare.png.")],
    as_json: Json = False,
) -> None:
    """Put runs beside each other: one table, and one picture with a row for each."""
    with exit_status():
        from medgan_core.training import comparison

        found = comparison.compare(runs, out=out)
        if as_json:
            print(json.dumps([dataclasses.asdict(one) for one in found], indent=2))
        else:
            print_rows([one.row() for one in found])


def pack(
    data: Annotated[Path, typer.Option(help="Folder with manifest.csv, or of a BIDS data set.")],
    out: Annotated[Path, typer.Option(help="Folder for the pack, new or empty.")],
    source: Annotated[Names, typer.Option(help="A set to take; may be repeated; all without it.")] = None,
    key: Annotated[Names, typer.Option(help="An image or label to take, such as T1; likewise.")] = None,
    split: Annotated[Names, typer.Option(help="A split to take, such as train; likewise.")] = None,
    as_json: Json = False,
) -> None:
    """Write a compact copy of a data set that trains with few libraries."""
    with exit_status(), interruptible() as cancel:
        from medgan_core.data.files import FileSet
        from medgan_core.data.manifest import Manifest
        from medgan_core.data.pack import pack as write

        with following() as progress:
            made = write(
                FileSet(Manifest.load(data)),
                out,
                sources=source or (),
                keys=key or (),
                splits=split or (),
                progress=progress,
                cancel=cancel,
            )
        size = sum(file.stat().st_size for file in out.iterdir())
        told = {"studies": len(made.studies), "bytes": size}
        print(json.dumps(told) if as_json else f"{told['studies']} studies, {size / 2**20:.1f} MiB: {out}")
