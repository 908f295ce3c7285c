"""The command line: the verbs of `models` and `training`, and what other packages add.

Exit status: 0 done, 2 usage, 3 input refused, 4 failed, 130 cancelled; the reason is on standard error and,
for ``run``, in report.json. Packages add verbs by an entry point of the group ``medgan.commands``: a function
that takes the typer app. torch and all that needs it is imported when a verb needs it.
"""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Annotated

import typer

from medgan_core import __version__
from medgan_core.cli import models, training

GROUP = "medgan.commands"


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
    models.register(app)
    training.register(app)
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
