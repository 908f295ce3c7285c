"""Who sends a request, and what each role may do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from fastapi import Request


class Role(IntEnum):
    """What a client may do; each role may do all that the ones before it may."""

    READ = 1
    """See models, jobs, results and stored images."""
    RUN = 2
    """Submit, cancel and delete jobs; store images, labels and sessions."""
    TRAIN = 3
    """Train, score, and choose versions of models."""
    ADMIN = 4
    """Remove stored images and labels, and read the log."""

    @property
    def word(self) -> str:
        """The role as it is written in a token file: ``read``, ``run``, ``train``, ``admin``."""
        return self.name.lower()


ROLES: dict[str, Role] = {role.word: role for role in Role}


@dataclass(frozen=True)
class Client:
    """Who sent a request.

    Args:
        name: of the token, or the subject that an identity provider vouches for; ``local`` without tokens.
        role: what the client may do.
        address: where the request came from.
    """

    name: str
    role: Role
    address: str

    @property
    def known(self) -> bool:
        """False for whoever asks without a token where one is needed for more."""
        return self.name != ANYONE

    @property
    def identity(self) -> str:
        """What tells clients apart: the name, or the address where nobody has to give a name."""
        return self.address if self.name == LOCAL else self.name


LOCAL = "local"
"""Name of every client of a server that asks for no token."""
ANYONE = "anyone"
"""Name of a client that gave no token where none is needed."""

_WRITE = "POST|PUT|DELETE"
# The first line that fits decides.
_RULES: tuple[tuple[str, str, Role | None], ...] = (
    ("GET|HEAD", r"/health|/ready|/auth/?", None),
    ("POST", r"/auth/token", None),
    (".*", r"/logs(/.*)?", Role.ADMIN),
    ("GET|HEAD|OPTIONS", r".*", Role.READ),
    ("DELETE", r"/datastore(/.*)?", Role.ADMIN),
    (_WRITE, r"/(jobs|infer|batch|activelearning|session|datastore)(/.*)?", Role.RUN),
    (_WRITE, r"/(train|scoring|models)(/.*)?", Role.TRAIN),
)
_TABLE = [(re.compile(methods), re.compile(path), role) for methods, path, role in _RULES]


def needed(method: str, path: str) -> Role | None:
    """The role a request needs, or None when anyone may send it. What no rule names is for admins."""
    for methods, paths, role in _TABLE:
        if methods.fullmatch(method) and paths.fullmatch(path):
            return role
    return Role.ADMIN


def client_of(request: Request) -> Client:
    """Who sent a request that the guard let through (a FastAPI dependency)."""
    client: Client = request.state.client
    return client
