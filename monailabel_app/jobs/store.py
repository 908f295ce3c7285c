"""Where jobs are remembered, also when the server ends: SQLite, read once and written through."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from pathlib import Path

from medgan_core.errors import ResourceError
from monailabel_app.jobs.job import Job
from monailabel_app.problems import NotFoundError

logger = logging.getLogger(__name__)
VERSION = 1
_SCHEMA = """
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    client TEXT NOT NULL,
    key TEXT,
    state TEXT NOT NULL,
    document TEXT NOT NULL
);
CREATE UNIQUE INDEX jobs_by_key ON jobs (client, key) WHERE key IS NOT NULL;
"""
_PUT = """
INSERT INTO jobs (id, client, key, state, document) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, document = excluded.document
"""


class Store:
    """Remembers jobs in ``jobs.sqlite3``; safe to use from several threads. Their files are not its business.

    Jobs are answered from memory, so a poll never waits for the disk; a change of progress alone is not
    written. A write survives the end of the process at once, and a loss of power within moments. What cannot
    be written (the disk is full) is true nevertheless, and is written again with the next change or `flush`.

    Args:
        folder: of the file, made if missing; each job's own folder is ``jobs/ID`` below it.

    Raises:
        ResourceError: when another server uses the folder, a newer one wrote it, or it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._file = folder / "jobs.sqlite3"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._database = self._open()
            rows = self._database.execute("SELECT id, document FROM jobs ORDER BY number").fetchall()
            jobs = [Job.from_dict(json.loads(text), self.place(job_id)) for job_id, text in rows]
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            raise self._unusable(error) from error
        self._jobs = {job.id: job for job in jobs}
        self._keys = {(job.client, job.key): job.id for job in jobs if job.key is not None}
        # Rows that are still to be written, in order; None removes the row.
        self._unwritten: dict[str, tuple[object, ...] | None] = {}

    def place(self, job_id: str) -> Path:
        """The folder of a job; it is not made here."""
        return self.folder / "jobs" / job_id

    def put(self, job: Job) -> None:
        """Remember a job, in place of an earlier one of the same id."""
        with self._lock:
            before = self._jobs.get(job.id)
            self._jobs[job.id] = job
            if job.key is not None:
                self._keys[job.client, job.key] = job.id
            if before is None or before.lasting != job.lasting:
                document = json.dumps(job.to_dict())
                self._unwritten[job.id] = (job.id, job.client, job.key, job.state, document)
                self._write()

    def get(self, job_id: str) -> Job:
        """The job.

        Raises:
            NotFoundError: when there is none.
        """
        with self._lock:
            job = self._jobs.get(job_id)
        if job is None:
            raise NotFoundError(
                "There is no such job",
                expected="the id of a job that was neither deleted nor has expired",
                got=job_id[:64],
                action="list the jobs (GET /jobs), or submit again",
            )
        return job

    def by_key(self, client: str, key: str) -> Job | None:
        """The job that a client submitted under a key of its own."""
        with self._lock:
            job_id = self._keys.get((client, key))
            return None if job_id is None else self._jobs[job_id]

    def jobs(self) -> list[Job]:
        """Every job, oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def remove(self, job_id: str) -> None:
        """Forget a job; nothing happens when there is none."""
        with self._lock:
            job = self._jobs.pop(job_id, None)
            if job is not None:
                self._keys.pop((job.client, job.key or ""), None)
                self._unwritten[job_id] = None
                self._write()

    def flush(self) -> None:
        """Write what could not be written before; nothing happens when it still cannot."""
        with self._lock:
            self._write()

    def close(self) -> None:
        """Let another server use the folder; jobs can still be read. Safe to call twice."""
        with self._lock:
            self._write()
            self._database.close()

    def _write(self) -> None:
        try:
            for job_id, row in list(self._unwritten.items()):
                if row is None:
                    self._database.execute("DELETE FROM jobs WHERE id = ?", (job_id,))
                else:
                    self._database.execute(_PUT, row)
                del self._unwritten[job_id]
        except sqlite3.Error as error:
            logger.error("%d jobs cannot be written yet: %s", len(self._unwritten), error)

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._file, timeout=2.0, isolation_level=None, check_same_thread=False)
        # Held until the connection closes, so that two servers never run each other's jobs.
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            database.executescript(f"BEGIN EXCLUSIVE; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version != VERSION:
            database.close()
            raise ValueError(f"its version is {version}")
        database.execute("BEGIN EXCLUSIVE")
        database.execute("COMMIT")
        return database

    def _unusable(self, error: Exception) -> ResourceError:
        locked = "locked" in str(error)
        return ResourceError(
            "The server cannot use its data folder",
            expected=f"jobs.sqlite3 of version {VERSION}, used by no other server",
            got="another server uses it" if locked else str(error)[:200],
            action="choose another folder (--data-dir)" + (", or stop that server" if locked else ""),
        )
