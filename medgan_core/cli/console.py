"""What a person sees in a terminal: progress, tables, errors, and Ctrl-C as a wish to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from medgan_core import monitor
from medgan_core.cli.tables import plain, tables
from medgan_core.errors import MedganError


def print_error(error: MedganError) -> None:
    """The error on standard error, one part a line."""
    console = Console(stderr=True, soft_wrap=True)
    console.print(Text(f"{error.what.rstrip('.')}.", style="bold red"))
    for label, text in (("Expected", error.expected), ("Got", error.got), ("What to do", error.action)):
        if text:
            console.print(Text(f"  {label}: {text}"))


def print_rows(rows: Sequence[Mapping[str, Any]], *, empty: str = "") -> None:
    """The rows as `tables` on standard output; `empty` when there are none."""
    console = Console()
    if not rows:
        if empty:
            console.print(empty)
        return
    for table in tables(rows, console.width):
        console.print(table, crop=False)


def print_report(rows: Sequence[Mapping[str, Any]]) -> None:
    """A report for a person: what was checked as a table, what was not assessed as sentences below it."""
    checked = [row for row in rows if row["verdict"] != "not assessed"]
    print_rows(
        [
            {
                "verdict": row["verdict"],
                "check": row["name"],
                "found": f"{plain(row['value'])} {row['unit']}".strip(),
                "limit": row["limit"],
            }
            for row in checked
        ]
    )
    console = Console()
    for row in rows:
        if row["verdict"] == "not assessed":
            console.print(f"{row['name']}: {plain(row['value'])}", highlight=False, markup=False)


@contextmanager
def following() -> Iterator[Callable[[monitor.Progress], None]]:
    """Show progress on standard error: a bar in a terminal, a line for each stage elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=1.0, left="", note="")

        def show(now: monitor.Progress) -> None:
            left = "" if now.remaining_s is None else f"{_time(now.remaining_s)} left"
            bar.update(task, completed=now.fraction, description=now.stage, left=left, note=now.note)

        yield show


def _lines(console: Console) -> Callable[[monitor.Progress], None]:
    said: set[str] = set()

    def show(now: monitor.Progress) -> None:
        if now.stage not in said:
            said.add(now.stage)
            console.print(f"{now.stage} ({100 * now.fraction:.0f} %)", highlight=False)

    return show


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Within this, the first Ctrl-C sets what the yielded function returns; the second stops at once.

    SIGTERM, which schedulers end a job with, counts as Ctrl-C.
    """
    asked = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
