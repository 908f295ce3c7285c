"""Who did what, when, with which model and input, and how it ended: a file of JSON lines.

Neither names of patients nor of files are in it. An input is named by a keyed hash (HMAC-SHA256, the key made
once per installation), so that whoever has the key and an id can find its lines, and nobody else can guess.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

from monailabel_app.access import Client
from monailabel_app.tracing import Exchange

logger = logging.getLogger(__name__)
FILE, KEY = "audit.jsonl", "audit.key"
_NAMES = ("image", "id", "label", "session_id")
# First words of the server's addresses; another word may be anything, a name too.
_PLACE = re.compile(
    r"/(activelearning|auth|batch|datastore|docs|health|infer|info|jobs|logs|metrics|models|openapi\.json|ready"
    r"|redoc|scoring|session|train)(/.*)?"
)
# Reads that show patients' data, or the log. Looking at models, and asking how a job goes, leaves no line.
_TELLING_READS = re.compile(r"/(datastore|session|logs|jobs/\{job_id\}/(results|report))(/.*)?")


class AuditLog:
    """Appends lines to ``audit.jsonl``; files that grew too large are kept under ``audit.jsonl.N``.

    Args:
        folder: is made, for this user alone; holds the log and its key.
        largest: size of one file in bytes.
        files: how many older files are kept.

    Raises:
        OSError: when the folder cannot be written.
    """

    def __init__(self, folder: Path, *, largest: int = 10 << 20, files: int = 50) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._key = _key(folder / KEY)
        self._handler = RotatingFileHandler(
            folder / FILE, maxBytes=largest, backupCount=files, encoding="utf-8"
        )
        self._later = ThreadPoolExecutor(1, thread_name_prefix="audit")

    def close(self) -> None:
        """Write what is still to be written."""
        self._later.shutdown(wait=True)
        self._handler.close()

    def write(self, event: str, **fields: Any) -> None:
        """Append a line with the time and these fields."""
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields}
        self._handler.handle(logging.makeLogRecord({"msg": json.dumps(line, default=str).replace("%", "%%")}))

    def later(self, work: Callable[[], None]) -> None:
        """Have lines that take time (hashes of volumes) written in a thread, in order; not once closed."""
        with contextlib.suppress(RuntimeError):
            self._later.submit(_logged, work)

    def pseudonym(self, name: str) -> str:
        """What stands for an id in the log: the same for the same id, and telling nothing of it."""
        return hmac.new(self._key, name.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:32]

    def fingerprint(self, stream: BinaryIO) -> str:
        """What stands for an uploaded volume: a keyed hash of its bytes."""
        digest = hmac.new(self._key, digestmod=hashlib.sha256)
        while block := stream.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()[:32]

    def exchange(self, exchange: Exchange) -> None:
        """Note a request that changes something, shows patients' data, or was refused to its sender."""
        refused = exchange.status in (401, 403)
        changes = exchange.method not in ("GET", "HEAD", "OPTIONS")
        if not (refused or changes or _TELLING_READS.fullmatch(exchange.route)):
            return
        self.write(
            "request",
            request_id=exchange.request_id,
            **_who(exchange.client),
            method=exchange.method,
            route=exchange.route or _place(exchange.path),
            objects=[self.pseudonym(value) for key, value in _named(exchange.query)],
            status=exchange.status,
            problem=exchange.problem or None,
            made=exchange.location or None,
            seconds=round(exchange.seconds, 3),
        )


def _logged(work: Callable[[], None]) -> None:
    try:
        work()
    except Exception:
        logger.exception("a line of the audit log could not be written")


def _who(client: Client | None) -> dict[str, str | None]:
    if client is None:
        return {"client": None, "role": None, "address": None}
    role = client.role.word if client.known else None
    return {"client": client.name, "role": role, "address": client.address}


def _place(path: str) -> str | None:
    """What may be told of an address whose template was not looked up, as the request was refused before."""
    found = _PLACE.fullmatch(path)
    return found and f"/{found[1]}{'/...' if found[2] else ''}"


def _named(query: bytes) -> list[tuple[str, str]]:
    pairs = parse_qsl(query.decode("latin-1"))
    return [(key, value) for key, value in pairs if key in _NAMES][:8]


def _key(path: Path) -> bytes:
    """The installation's key, made when it is first needed."""
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(number, "wb") as stream:
        key = secrets.token_bytes(32)
        stream.write(key)
    return key
