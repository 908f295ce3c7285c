"""Long work in stretches: it makes way for others, but not before it was worth its start."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from medgan_core.errors import CancelledError
from monailabel_app.jobs.work import Channel, Paused

STRETCH_S = 30.0
T = TypeVar("T")


def stretch(channel: Channel, work: Callable[[Callable[[], bool]], T]) -> T:
    """Do the work until it is done, cancelled, or another client waits after half a minute of it.

    Args:
        channel: to the one who waits.
        work: is told how to ask whether it should pause; the clock starts when it asks first, since reading
            the data may take as long again. It raises `CancelledError` when it stops.

    Raises:
        Paused: when it made way.
        CancelledError: when it was cancelled.
    """
    begin: list[float] = []

    def pauses() -> bool:
        begin[:] = begin or [time.monotonic()]
        return time.monotonic() - begin[0] > STRETCH_S and channel.wanted()

    try:
        return work(pauses)
    except CancelledError:
        if channel.cancelled():
            raise
        raise Paused from None
