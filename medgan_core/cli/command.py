"""What the verbs of the command line share: their common options, and every way to fail as an exit status."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer

from medgan_core.cli.console import print_error
from medgan_core.errors import CancelledError, MedganError, UsageError

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting; may be repeated.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]


@contextmanager
def exit_status(on_error: Callable[[MedganError], None] | None = None) -> Iterator[None]:
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


def pairs(texts: Sequence[str] | None, option: str) -> dict[str, str]:
    """KEY=VALUE options by key.

    Raises:
        UsageError: when one has no key or no value, or a key comes twice.
    """
    found: dict[str, str] = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not key or not equals or not value or key in found:
            raise UsageError(
                f"{option} {text!r} is not understood",
                expected=f"{option} KEY=VALUE, each key once",
                got=f"{key!r} a second time" if key in found else text,
                action="correct the command",
            )
        found[key] = value
    return found
