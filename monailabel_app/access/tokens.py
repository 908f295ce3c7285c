"""Tokens: long random words that name a client and its role; the server keeps their hashes alone."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from medgan_core.errors import UsageError
from monailabel_app.access.roles import ANYONE, LOCAL, ROLES, Role

ENVIRONMENT = "MEDGAN_TOKENS"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_HASH = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Token:
    """One line of a token file: ``NAME ROLE sha256:HASH``."""

    name: str
    role: Role
    digest: bytes

    @property
    def line(self) -> str:
        """As it is written."""
        return f"{self.name} {self.role.word} sha256:{self.digest.hex()}"


def new_token(name: str, role: Role) -> tuple[str, Token]:
    """A token's text (shown once, 256 random bits) and the entry that the server keeps.

    Raises:
        UsageError: when the name is not one.
    """
    text = f"medgan_{secrets.token_urlsafe(32)}"
    return text, parse(f"{name} {role.word} sha256:{_digest(text).hex()}", "the new token")


class Tokens:
    """The tokens a server knows; empty when it asks for none.

    A token has 256 random bits, so one round of SHA-256 is enough: nobody can try them all.
    """

    def __init__(self, entries: Iterable[Token] = ()) -> None:
        self._entries = tuple(entries)
        names = [entry.name for entry in self._entries]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise UsageError(
                "Two tokens have one name",
                expected="a name of its own for every token",
                got=", ".join(twice),
                action="rename one of them",
            )

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, text: str) -> Token | None:
        """The entry of a token; every entry is compared, in constant time."""
        digest, found = _digest(text), None
        for entry in self._entries:
            if hmac.compare_digest(entry.digest, digest):
                found = entry
        return found

    @staticmethod
    def load(path: Path | None) -> Tokens:
        """Tokens of a file and of the environment variable ``MEDGAN_TOKENS`` (same lines, or ``;`` between).

        Raises:
            UsageError: when a line is wrong, or others may write the file.
        """
        given = re.split(r"[;\n]", os.environ.get(ENVIRONMENT, ""))
        return Tokens([*([] if path is None else Tokens.read(path)), *_parsed(given, ENVIRONMENT)])

    @staticmethod
    def read(path: Path) -> list[Token]:
        """Tokens of a file; empty lines and those that begin with ``#`` are skipped.

        Raises:
            UsageError: as `load`.
        """
        return _parsed(_read(path).splitlines(), path.name)


def parse(line: str, where: str) -> Token:
    """One entry; `where` names the line in the error.

    Raises:
        UsageError: when it is not ``NAME ROLE sha256:HASH``.
    """
    name, role, text = (*line.split(), "", "", "")[:3]
    digest = _HASH.fullmatch(text)
    right = len(line.split()) == 3 and role in ROLES and name not in (LOCAL, ANYONE)
    if right and _NAME.fullmatch(name) and digest:
        return Token(name, ROLES[role], bytes.fromhex(digest[1]))
    raise UsageError(
        f"A token cannot be read at {where}",
        expected=f"NAME ROLE sha256:HASH, the role one of {', '.join(ROLES)}",
        got=f"{len(line.split())} words",  # The words may be a token in clear.
        action="make tokens with: medgan token NAME --role ROLE --file FILE",
    )


def _parsed(lines: Iterable[str], where: str) -> list[Token]:
    numbered = ((number, line.strip()) for number, line in enumerate(lines, 1))
    return [parse(s, f"entry {n} of {where}") for n, s in numbered if s and not s.startswith("#")]


def _read(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            "The token file cannot be read",
            expected="a text file with a token's name, role and hash in every line",
            got=str(error),
            action="check --token-file; make tokens with: medgan token NAME --role ROLE --file FILE",
        ) from error
    if os.name == "posix" and mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UsageError(
            "Others may write the token file",
            expected="a file that its owner alone may write",
            got=stat.filemode(mode),
            action=f"chmod 600 {path.name}",
        )
    return text


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
