"""The worker as a Ray actor: one thread works, another is asked how it goes."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from medgan_core.monitor import Progress
from monailabel_app.jobs.transport import Order, Parcel, parcel_of, unfold
from monailabel_app.jobs.work import Paused, Results, Study
from monailabel_app.jobs.worker import Setup, out_of_memory

Message = Progress | Study


class RayWorker:
    """Holds a device and the loaded models; made with two threads (``max_concurrency=2``).

    Args:
        setup: device, models and memory.
    """

    def __init__(self, setup: Setup) -> None:
        self._session = setup.session()
        self._said: deque[Message] = deque()
        self._asked: dict[str, tuple[bool, bool]] = {}

    def ready(self) -> bool:
        """True; it can be asked for as soon as the actor is made."""
        return True

    def run(
        self, job_id: str, order: Order, studies: Sequence[Study]
    ) -> tuple[Parcel, Results | BaseException]:
        """Do the work in a folder of its own, which is gone afterwards.

        Returns:
            The files it made, and what it returned or raised.
        """
        self._said.clear()
        with tempfile.TemporaryDirectory(prefix="medgan-") as name:
            folder = Path(name)
            outcome: Results | BaseException
            try:
                work = unfold(order, folder / "inputs")
                outcome = work.perform(self._session, folder / "results", _Line(self, job_id), studies)
            except Paused as paused:
                outcome = paused
            except Exception as error:
                outcome = out_of_memory(error) or error
            self._asked.pop(job_id, None)
            return parcel_of(folder / "results"), outcome

    def exchange(self, job_id: str, cancel: bool, pause: bool) -> list[Message]:
        """Pass on what is asked of the work, and return what it has said since; of progress only the last."""
        self._asked[job_id] = (cancel, pause)
        said = [self._said.popleft() for _ in range(len(self._said))]
        last = next((message for message in reversed(said) if isinstance(message, Progress)), None)
        return [message for message in said if isinstance(message, Study) or message is last]

    def say(self, message: Message) -> None:
        """Keep a message until it is asked for."""
        self._said.append(message)

    def asked(self, job_id: str) -> tuple[bool, bool]:
        """Whether the work shall stop, and whether it should make way."""
        return self._asked.get(job_id, (False, False))


class _Line:
    """The work's channel inside the actor."""

    def __init__(self, worker: RayWorker, job_id: str) -> None:
        self._worker, self._id = worker, job_id
        self.progress = self.study = worker.say

    def cancelled(self) -> bool:
        return self._worker.asked(self._id)[0]

    def wanted(self) -> bool:
        return self._worker.asked(self._id)[1]
