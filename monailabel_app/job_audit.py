"""The audit log's lines about jobs: what was asked of which model with which input, and how it ended."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from medgan_core.errors import MedganError
from medgan_core.registry import Registry
from monailabel_app.api.uploads import SUFFIXES
from monailabel_app.audit import AuditLog
from monailabel_app.jobs.batch import Batch
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.ranking import Ranking
from monailabel_app.jobs.run import Run
from monailabel_app.jobs.scoring import Scoring


class JobAudit:
    """Told of every change of every job; writes a line when one is submitted and when it ends.

    Args:
        audit: takes the lines.
        registry: knows the models' hashes.
    """

    def __init__(self, audit: AuditLog, registry: Registry) -> None:
        self._audit, self._registry = audit, registry
        self._noted: set[str] = set()

    def __call__(self, job: Job) -> None:
        """Note the job if it is new or has ended; does not wait for the log."""
        if job.final:
            self._noted.discard(job.id)
            self._audit.later(lambda: self._ended(job))
        elif job.id not in self._noted:
            self._noted.add(job.id)
            # Opened now: an upload may be removed before its turn to be hashed comes.
            uploads = _opened(job)
            self._audit.later(lambda: self._submitted(job, uploads))

    def _submitted(self, job: Job, uploads: Mapping[str, BinaryIO]) -> None:
        with contextlib.ExitStack() as stack:
            for stream in uploads.values():
                stack.enter_context(stream)
            inputs = {key: self._audit.fingerprint(stream) for key, stream in uploads.items()}
            stored = {key: path for key, path in _inputs(job).items() if key not in inputs}
            inputs |= {key: self._audit.pseudonym(_image_id(path)) for key, path in stored.items()}
            self._audit.write("job submitted", **self._about(job), inputs=inputs)

    def _ended(self, job: Job) -> None:
        took = job.finished - job.started if job.finished and job.started else None
        self._audit.write(
            "job ended",
            **self._about(job),
            outcome=job.state,
            problem=None if job.error is None else job.error.get("code"),
            verdict=job.verdict,
            seconds=None if took is None else round(took.total_seconds(), 3),
            device=job.device,
        )

    def _about(self, job: Job) -> dict[str, str | None]:
        version: str | None = None
        digest: str | None = None
        with contextlib.suppress(MedganError):  # A recipe to be trained, or a model removed meanwhile.
            card = self._registry.card(job.work.model)
            version, digest = card.version, card.weights.sha256
        return {
            "job": job.id,
            "client": job.client,
            "kind": job.work.kind,
            "model": job.work.model,
            "version": version,
            "sha256": digest,
        }


def _inputs(job: Job) -> dict[str, Path]:
    """The job's volumes by input key; those of a batch by their number, as its keys are ids."""
    if isinstance(job.work, Run):
        return {key: Path(path) for key, path in job.work.inputs.items()}
    if isinstance(job.work, Batch | Ranking):
        return {str(n): Path(path) for n, path in enumerate(job.work.images.values(), 1)}
    if isinstance(job.work, Scoring):
        return {str(n): Path(path) for n, path in enumerate(job.work.labels.values(), 1)}
    return {}


def _opened(job: Job) -> dict[str, BinaryIO]:
    """The job's uploads, by input key; a job that is removed just now has none."""
    found: dict[str, BinaryIO] = {}
    for key, path in _inputs(job).items():
        if path.is_relative_to(job.folder):
            with contextlib.suppress(OSError):
                found[key] = path.open("rb")
    return found


def _image_id(path: Path) -> str:
    """The datastore's id of a stored image: its file name without ending."""
    ending = next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), "")
    return path.name[: len(path.name) - len(ending)]
