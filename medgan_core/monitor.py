"""Progress out, cancel in: the one small object passed down to everything that takes time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from medgan_core.errors import CancelledError


@dataclass(frozen=True)
class Progress:
    """Where a run stands: fraction in [0, 1], stage in words, seconds gone and (if known) left, a remark."""

    fraction: float
    stage: str
    elapsed_s: float
    remaining_s: float | None
    note: str = ""


class Monitor:
    """Reports progress and raises `CancelledError` when asked to stop.

    Args:
        progress: called with a `Progress` at every step; None for silence.
        cancel: polled at every step; True ends the run.
    """

    def __init__(
        self,
        progress: Callable[[Progress], None] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> None:
        self._progress = progress
        self._cancel = cancel
        self._start = time.monotonic()
        self._low, self._high, self._stage = 0.0, 1.0, ""
        self._share = (0.0, 1.0)
        self._origin: float | None = None
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, until: float) -> Iterator[None]:
        """Name a stage and the fraction of the whole run that is done when it ends, or what is done already.

        The seconds each stage took are kept in `seconds`.
        """
        self._low = self._high if self.seconds else 0.0
        self._high, self._stage = max(self._low, until), name
        begin = time.monotonic()
        self.step(0.0)
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - begin

    @contextmanager
    def share(self, begin: float, end: float) -> Iterator[None]:
        """Steps inside, from 0 to 1, are those of a part of the stage, from `begin` to `end`."""
        self._share = (begin, end)
        try:
            yield
        finally:
            self._share = (0.0, 1.0)

    def step(self, done: float, note: str = "") -> None:
        """Report the fraction `done` of the current stage, in [0, 1], and a remark for the one who waits.

        The time left is reckoned from what was done since the first report, so a resumed run tells it right.

        Raises:
            CancelledError: when the caller asked to stop.
        """
        if self._cancel is not None and self._cancel():
            raise CancelledError()
        if self._progress is None:
            return
        begin, end = self._share
        done = begin + (end - begin) * min(max(done, 0.0), 1.0)
        fraction = self._low + (self._high - self._low) * done
        elapsed = time.monotonic() - self._start
        if self._origin is None:
            self._origin = fraction
        gained = fraction - self._origin
        remaining = elapsed * (1.0 - fraction) / gained if gained > 0.02 else None
        self._progress(Progress(fraction, self._stage, elapsed, remaining, note))
