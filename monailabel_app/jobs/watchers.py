"""Who wants to hear of changes of which job."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Watchers:
    """Callbacks by job; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._alerts: dict[str, set[Callable[[], None]]] = {}

    def add(self, job_id: str, alert: Callable[[], None]) -> Callable[[], None]:
        """Have `alert` called (from any thread, it must not block) at every change.

        Returns:
            A function that ends the watch.
        """
        with self._lock:
            self._alerts.setdefault(job_id, set()).add(alert)

        def end() -> None:
            with self._lock:
                alerts = self._alerts.get(job_id, set())
                alerts.discard(alert)
                if not alerts:
                    self._alerts.pop(job_id, None)

        return end

    def alert(self, job_id: str) -> None:
        """Tell everyone who watches the job."""
        with self._lock:
            alerts = tuple(self._alerts.get(job_id, ()))
        for alert in alerts:
            alert()
