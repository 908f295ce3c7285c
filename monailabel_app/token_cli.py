"""The command `medgan token`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from medgan_core.errors import MedganError, UsageError


def token(
    name: Annotated[str, typer.Argument(help="Whom the token is for, such as a person or a workstation.")],
    role: Annotated[
        Literal["read", "run", "train", "admin"],
        typer.Option(help="What its owner may do; each may do all that the ones before it may."),
    ] = "run",
    file: Annotated[
        Path | None, typer.Option(help="Token file to add the entry to; without it the entry is printed.")
    ] = None,
) -> None:
    """Make a token for `medgan serve --token-file`: shown once, the file keeps its hash alone."""
    from monailabel_app.access.roles import ROLES
    from monailabel_app.access.tokens import Tokens, new_token

    try:
        text, entry = new_token(name, ROLES[role])
        if file is None:
            typer.echo(entry.line)
        else:
            if file.exists():
                Tokens([*Tokens.read(file), entry])
            _append(file, entry.line)
    except MedganError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_status) from None
    typer.echo(f"The token of {name}, shown this once: {text}", err=True)


def _append(path: Path, line: str) -> None:
    try:
        number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(number, "a", encoding="utf-8") as stream:
            stream.write(line + "\n")
    except OSError as error:
        raise UsageError(
            "The token file cannot be written",
            expected="a file that this user may write",
            got=str(error),
            action="choose another --file",
        ) from error
