"""Rows as tables that a terminal has room for: columns that do not fit go on in a further table below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

_EDGE, _BESIDE = 1, 3
"""Characters of a table that hold no text: at its left, and beside each column."""


def tables(rows: Sequence[Mapping[str, Any]], width: int) -> list[Table]:
    """At least one table with a line for each row, and together a column for each key of any row.

    The first column names the row: every table has it, and it is never cut. The others share what is left of
    the width: words are kept whole where they fit, and nothing is left out.

    Args:
        rows: at least one; one without a key has an empty cell there.
        width: characters of a line; a table is wider where its first column leaves no room.
    """
    keys = list(dict.fromkeys(key for row in rows for key in row))
    cells = {key: [plain(row.get(key, "")) for row in rows] for key in keys}
    widest = {key: max(map(cell_len, (key, *cells[key]))) for key in keys}
    name, *others = keys
    room = max(width - _EDGE - widest[name] - _BESIDE, _BESIDE + max(map(len, keys)))
    least = {key: min(_least(key, cells[key]), room - _BESIDE) for key in others}
    made = []
    for part in _parts(least, room) or [[]]:
        widths = _shared([least[key] for key in part], [widest[key] for key in part], room)
        made.append(_table([name, *part], [widest[name], *widths], cells))
    return made


def plain(value: object) -> str:
    """A value in words; of a number four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _least(key: str, cells: Sequence[str]) -> int:
    """The width that breaks neither the key nor a word."""
    return max(cell_len(key), *(cell_len(word) for text in cells for word in ["", *text.split()]))


def _parts(least: Mapping[str, int], room: int) -> list[list[str]]:
    """Keys in order, as many in each part as there is room for."""
    parts: list[list[str]] = []
    taken = room
    for key, width in least.items():
        if taken + width + _BESIDE > room:
            parts.append([])
            taken = 0
        parts[-1].append(key)
        taken += width + _BESIDE
    return parts


def _shared(least: Sequence[int], widest: Sequence[int], room: int) -> list[int]:
    """Widths of columns: the least ones, and what is left goes to those that lack most."""
    widths = list(least)
    for _ in range(room - sum(least) - _BESIDE * len(least)):
        lacking = [wide - now for wide, now in zip(widest, widths, strict=True)]
        if max(lacking, default=0) <= 0:
            break
        widths[lacking.index(max(lacking))] += 1
    return widths


def _table(keys: Sequence[str], widths: Sequence[int], cells: Mapping[str, Sequence[str]]) -> Table:
    table = Table(width=_EDGE + sum(widths) + _BESIDE * len(keys))
    for key, width in zip(keys, widths, strict=True):
        table.add_column(key, width=width, overflow="fold")
    for texts in zip(*(cells[key] for key in keys), strict=True):
        table.add_row(*map(Text, texts))
    return table
