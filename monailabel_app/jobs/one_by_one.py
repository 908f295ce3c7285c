"""Work on many images of the store, one after the other: what is done stays, others get their turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from medgan_core.errors import CancelledError
from medgan_core.monitor import Progress
from monailabel_app.jobs.work import Channel, Paused, Study


def one_by_one(
    studies: Sequence[Study], channel: Channel, what: str, work: Callable[[int, Study], Study]
) -> list[Study]:
    """Do the studies that are left.

    Args:
        studies: as an earlier stretch left them.
        channel: told of every study; polled before each.
        what: a study is, for the stage's name.
        work: from number and study to the study when it is done or failed.

    Returns:
        All of them.

    Raises:
        Paused: between two studies, when another client waits.
        CancelledError: when cancelled.
    """
    start, after = time.monotonic(), list(studies)
    first = next((n for n, study in enumerate(after) if study.state in ("queued", "running")), 0)
    for number, study in enumerate(after):
        if study.state in ("done", "failed"):
            continue
        if channel.cancelled():
            raise CancelledError()
        if number > first and channel.wanted():
            raise Paused
        stage = f"{what} {number + 1} of {len(after)}"
        channel.progress(Progress(number / len(after), stage, time.monotonic() - start, None))
        channel.study(replace(study, state="running"))
        after[number] = work(number, study)
        channel.study(after[number])
    return after
