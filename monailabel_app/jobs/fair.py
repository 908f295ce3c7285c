"""Whose turn it is: one job of each client after the other, so that nobody waits behind another's many.

Of a client's own jobs those that somebody waits for come before the patient ones (trainings, batches).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

_REMEMBERED = 4096


class FairQueue:
    """Waiting jobs, by client. The next one is the oldest of the client who was served longest ago.

    Not locked: the caller does that.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[str]] = {}
        # When each client was last served, counted in turns; one who never was comes first.
        self._served: dict[str, int] = {}
        self._turn = 0
        self._patient: set[str] = set()

    def __len__(self) -> int:
        return sum(len(jobs) for jobs in self._waiting.values())

    def push(self, client: str, job_id: str, *, front: bool = False, patient: bool = False) -> None:
        """Add a job at the end of its client's, or (one that was paused) at their front.

        Args:
            client: whose it is.
            job_id: its name.
            front: put it before the client's others of its sort.
            patient: the client's other jobs go before it.
        """
        if patient:
            self._patient.add(job_id)
        jobs = self._waiting.setdefault(client, deque())
        if front:
            jobs.appendleft(job_id)
        else:
            jobs.append(job_id)

    def pop(self) -> str:
        """Take the next job; `IndexError` when there is none."""
        client = _next(self._waiting, self._served)
        job_id = self._take(self._waiting[client])
        self._patient.discard(job_id)
        if not self._waiting[client]:
            del self._waiting[client]
        self._turn += 1
        self._served.pop(client, None)  # so that the dictionary is in the order of service
        self._served[client] = self._turn
        if len(self._served) > _REMEMBERED:
            del self._served[next(iter(self._served))]
        return job_id

    def remove(self, job_id: str) -> bool:
        """Take a job out; False when it does not wait."""
        for client, jobs in self._waiting.items():
            if job_id in jobs:
                jobs.remove(job_id)
                self._patient.discard(job_id)
                if not jobs:
                    del self._waiting[client]
                return True
        return False

    def count(self, client: str) -> int:
        """How many jobs of a client wait."""
        return len(self._waiting.get(client, ()))

    def wants(self, client: str, *, patient: bool) -> bool:
        """True when a job that runs for a client should make way.

        Another client's job waits; or the one that runs is patient, and one of the client's own that is not.
        """
        own = self._waiting.get(client, ()) if patient else ()
        return any(name != client for name in self._waiting) or any(job not in self._patient for job in own)

    def order(self) -> list[str]:
        """Every waiting job, as they would be taken if nobody came."""
        waiting = {client: deque(jobs) for client, jobs in self._waiting.items()}
        served, turn, order = dict(self._served), self._turn, []
        while waiting:
            client = _next(waiting, served)
            order.append(self._take(waiting[client]))
            if not waiting[client]:
                del waiting[client]
            turn += 1
            served[client] = turn
        return order

    def _take(self, jobs: deque[str]) -> str:
        job_id = next((job for job in jobs if job not in self._patient), jobs[0])
        jobs.remove(job_id)
        return job_id


def _next(waiting: Mapping[str, deque[str]], served: Mapping[str, int]) -> str:
    if not waiting:
        raise IndexError("nobody waits")
    # Of several who were never served the first who came: `min` keeps the order of the dictionary.
    return min(waiting, key=lambda client: served.get(client, 0))
