"""The command line: ``medgan models | run | train | evaluate``, and what other packages add.

Exit status: 0 done, 2 usage, 3 input refused, 4 failed, 130 cancelled; the reason is on standard error and,
for ``run``, in report.json. Packages add verbs by an entry point of the group ``medgan.commands``: a function
that takes the typer app. torch and all that needs it is imported when a verb needs it.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from medgan_core import __version__, results
from medgan_core.console import following, interruptible, print_error, print_report, print_rows
from medgan_core.errors import CancelledError, MedganError, UsageError

GROUP = "medgan.commands"

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting; may be repeated.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]


def build() -> typer.Typer:
    """The app with its own verbs and those of other packages."""
    app = typer.Typer(
        name="medgan",
        help="Deep generative models for medical volumes. Not for diagnosis.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_main_options)
    for verb in (models, run, train, evaluate):
        app.command()(verb)
    for point in importlib.metadata.entry_points(group=GROUP):
        try:
            point.load()(app)
        except ImportError as error:
            print(f"medgan: the command {point.name!r} is not available ({error})", file=sys.stderr)
    return app


def main() -> None:
    """Run the command line."""
    build()()


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


def _main_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def models(as_json: Json = False) -> None:
    """List the models that are installed."""
    with _exit_status():
        from medgan_core.registry import Registry

        registry = Registry()
        cards = [registry.card(name) for name in registry.names()]
        if as_json:
            print(json.dumps([card.to_dict() for card in cards], indent=2))
            return
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
    model: Annotated[str, typer.Argument(help="Name of a model (see: medgan models).")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    inputs: Annotated[
        list[str], typer.Option("--input", metavar="KEY=PATH", help="A volume; may be repeated.")
    ],
    target: Annotated[str | None, typer.Option(help="Which output to make.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    count: Annotated[int, typer.Option(min=1, help="How many samples to draw.")] = 1,
    settings: Settings = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Apply a model to volumes: writes OUT/KEY.nii.gz for every output, and OUT/report.json."""
    with _exit_status(lambda error: _refused(out, error, as_json)), interruptible() as cancel:
        paths = {key: Path(path) for key, path in _pairs(inputs, "--input").items()}
        chosen = _pairs(settings, "--set")
        results.make_folder(out)
        with following() as progress:
            from medgan_core import engine
            from medgan_core.request import check_inputs

            session = engine.Session(device)
            check_inputs(session.registry.card(model), paths)
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


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe.")],
    data: Annotated[Path, typer.Option(help="Folder with manifest.csv.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    settings: Settings = None,
    preset: Annotated[str, typer.Option(help="cpu (small), gpu (large), or auto.")] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the resolved recipe.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in OUT.")] = False,
    max_minutes: Annotated[float | None, typer.Option(help="Stop, resumable, after so long.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare samples.")] = 1,
) -> None:
    """Train a model by a recipe."""
    with _exit_status(), interruptible() as cancel:
        chosen = _pairs(settings, "--set")
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


def evaluate(
    model: Annotated[str, typer.Argument(help="Name of a model, or of a run's folder.")],
    data: Annotated[Path, typer.Option(help="Folder with manifest.csv.")],
    split: Annotated[str, typer.Option(help="Which patients: such as val.")] = "val",
    out: Annotated[Path | None, typer.Option(help="Folder for the table.")] = None,
    as_json: Json = False,
) -> None:
    """Measure a model's quality on patients of a split."""
    with _exit_status(), interruptible() as cancel:
        from medgan_core import evaluation

        with following() as progress:
            rows = evaluation.evaluate(model, data=data, split=split, progress=progress, cancel=cancel)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            (out / "evaluation.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
        if as_json:
            print(json.dumps(rows, indent=2))
        else:
            print_rows(rows, empty="No patient in this split.")


@contextmanager
def _exit_status(on_error: Callable[[MedganError], None] | None = None) -> Iterator[None]:
    """Turn every way to fail into its words on standard error and its exit status."""
    try:
        yield
    except typer.Exit:
        raise
    except (Exception, KeyboardInterrupt) as raised:
        error = _typed(raised)
        if on_error is not None:
            on_error(error)
        print_error(error)
        raise typer.Exit(error.exit_status) from raised


def _typed(raised: BaseException) -> MedganError:
    if isinstance(raised, MedganError):
        return raised
    if isinstance(raised, KeyboardInterrupt):
        return CancelledError()
    return MedganError(
        "The command failed unexpectedly",
        got=f"{type(raised).__name__}: {raised}",
        action="report this with the command and the versions (medgan --version)",
    )


def _pairs(texts: Sequence[str] | None, option: str) -> dict[str, str]:
    """KEY=VALUE options by key.

    Raises:
        UsageError: when one has no key or no value, or a key comes twice.
    """
    pairs: dict[str, str] = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not key or not equals or not value or key in pairs:
            raise UsageError(
                f"{option} {text!r} is not understood",
                expected=f"{option} KEY=VALUE, each key once",
                got=f"{key!r} a second time" if key in pairs else text,
                action="correct the command",
            )
        pairs[key] = value
    return pairs


def _refused(out: Path, error: MedganError, as_json: bool) -> None:
    told = results.write_refusal(out, error)
    if as_json:
        print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
