"""JSON of clients, read so that everything in it can be sent on: one listing is read by everybody."""

from __future__ import annotations

import json
from typing import Any

from medgan_core.errors import UsageError


def read_json(text: str | bytes) -> Any:
    """What a JSON text holds.

    Raises:
        ValueError: when it is no JSON.
        RecursionError: when it is nested too deeply.
        UsageError: when JSON has no word for what is in it: NaN, an infinite number, half a character.
    """
    found = json.loads(text)
    try:
        json.dumps(found, allow_nan=False, ensure_ascii=False).encode()
    except ValueError as error:
        raise UsageError(
            "The request's JSON cannot be used",
            expected="finite numbers, and whole characters",
            got="half a character" if isinstance(error, UnicodeError) else "NaN or an infinite number",
            action="correct the JSON",
        ) from error
    return found
