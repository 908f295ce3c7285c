"""Runs the trainings of the plan that are not finished, each as the command that docs/systems.md shows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.systems.plan import Drawn, Planned
from medgan_core.training import folder

_POLL_S = 0.2


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Args:
        name: of the run.
        state: ``finished``, ``stopped`` (by the watch), ``unfinished`` (can go on) or ``failed``.
        told: one line about it.
    """

    name: str
    state: str
    told: str


@dataclass(frozen=True)
class _Going:
    planned: Planned
    process: subprocess.Popen[bytes]
    log: Path
    begin: float


def train(
    plan: Sequence[Planned], *, data: Path, runs: Path, parallel: int = 1, max_minutes: float | None = None
) -> list[Outcome]:
    """Train what is not finished; a run that the watch has ended stays so until its folder is removed.

    Each training is a process with one thread, so a run gives the same on machines with more cores. What it
    prints goes to ``RUNS/logs/NAME.txt``.

    Args:
        plan: in this order.
        data: folder with the manifest.
        runs: folder of all runs.
        parallel: how many trainings at a time.
        max_minutes: start nothing after so long, and let what goes on then stop, resumable.

    Returns:
        One outcome for each training of the plan that was not finished before, in the order they ended.
    """
    begin = time.monotonic()
    waiting = [p for p in plan if not _ended(runs / p.name)]
    going: list[_Going] = []
    outcomes: list[Outcome] = []
    try:
        while waiting or going:
            left = None if max_minutes is None else max_minutes - (time.monotonic() - begin) / 60
            if left is not None and left <= 0:
                outcomes += [Outcome(p.name, "unfinished", "not started: the time is over") for p in waiting]
                waiting = []
            ahead = {p.name for p in waiting} | {g.planned.name for g in going}
            free = [p for p in waiting if p.needs is None or p.needs.run not in ahead]
            ready = free[: parallel - len(going)]
            for planned in ready:
                waiting.remove(planned)
                if trouble := _drawn(planned.needs, runs):
                    outcomes.append(Outcome(planned.name, "failed", trouble))
                else:
                    going.append(_start(planned, data, runs, left))
                _say(f"{planned.name}: {trouble or 'training'}; {len(waiting)} more wait")
            time.sleep(_POLL_S)
            for one in [g for g in going if g.process.poll() is not None]:
                going.remove(one)
                outcomes.append(_outcome(one, runs))
                _say(f"{one.planned.name}: {outcomes[-1].told}")
    finally:
        for one in going:
            one.process.send_signal(signal.SIGINT)  # each keeps its state
        for one in going:
            one.process.wait()
    return outcomes


def _ended(run: Path) -> bool:
    return folder.is_done(run) or bool(folder.stopped(run))


def _drawn(needs: Drawn | None, runs: Path) -> str:
    """Draw what a training needs, unless it is there; what is wrong, or ""."""
    if needs is None or (runs / needs.place / "samples.json").is_file():
        return ""
    if not folder.is_done(runs / needs.run):
        return f"not trained, as it needs samples of {needs.run}, which is not finished"
    log = runs / "logs" / f"{needs.run}-drawn.txt"
    if _medgan(needs.command(str(runs)), log).wait():
        return f"not trained, as no samples of {needs.run} could be drawn: {_last_line(log)}"
    return ""


def _start(planned: Planned, data: Path, runs: Path, minutes: float | None) -> _Going:
    log = runs / "logs" / f"{planned.name}.txt"
    words = planned.command(str(data), str(runs))
    if minutes is not None:
        words += ["--max-minutes", f"{minutes:.3f}"]
    return _Going(planned, _medgan(words, log), log, time.monotonic())


def _medgan(words: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-W", "ignore", "-m", "medgan_core.cli", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("ab") as stream:
        return subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=environment)


def _last_line(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]


def _outcome(one: _Going, runs: Path) -> Outcome:
    name, run = one.planned.name, runs / one.planned.name
    minutes = f"after {(time.monotonic() - one.begin) / 60:.1f} min"
    if folder.is_done(run):
        return Outcome(name, "finished", f"finished {minutes}")
    if why := folder.stopped(run):
        return Outcome(name, "stopped", f"stopped by the watch {minutes}: {why}")
    if one.process.returncode == 0:
        return Outcome(name, "unfinished", f"not finished {minutes}, can go on")
    return Outcome(name, "failed", f"failed {minutes}: {_last_line(one.log)}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
