"""What a job does: read the inputs, run the model, write volumes and report. Runs inside a worker."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from medgan_core import engine, io, provenance
from medgan_core.card import ModelCard
from medgan_core.errors import CancelledError, UnsuitableError
from medgan_core.monitor import Progress
from medgan_core.request import check_inputs, choose_target, resolve_settings

REPORT = "report.json"
# Shares of a run's time that reading and writing take beside the engine.
_READ, _WRITE = 0.04, 0.06


@dataclass(frozen=True, kw_only=True)
class Work:
    """One run of a model over files; plain values, so that it can travel to another process.

    Args:
        model: name in the registry.
        inputs: path of a volume for every input key.
        target: key of the wanted output, or None for the only one.
        seed: of everything random.
        count: how many variants.
        settings: choices of the card and of the engine.
        suffix: of the files written (``.nii``, ``.nii.gz``, ``.nrrd``, ``.mha``).
    """

    model: str
    inputs: Mapping[str, str]
    target: str | None = None
    seed: int = 0
    count: int = 1
    settings: Mapping[str, object] = field(default_factory=dict)
    suffix: str = ".nii"


@dataclass(frozen=True)
class Results:
    """What a run left in its folder: file name by output key, and the report's verdict."""

    files: Mapping[str, str]
    verdict: str


def checked(card: ModelCard, work: Work) -> Work:
    """The work with its target named, after everything that can be checked without the voxels was checked.

    Raises:
        UsageError: when inputs, target or settings do not fit the card.
    """
    check_inputs(card, work.inputs)
    resolve_settings(card, work.settings)
    return replace(work, target=choose_target(card, work.target, work.inputs))


def perform(
    session: engine.Session,
    work: Work,
    folder: Path,
    *,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Results:
    """Read, run, write ``KEY.nii`` and ``report.json`` into the folder.

    Args:
        session: holds device and loaded models.
        work: what to do.
        folder: is made; what lies in it under the same names is replaced.
        progress: told where the work stands, reading and writing included.
        cancel: polled; True ends the work.

    When the input is refused as unsuitable, ``report.json`` says why.

    Raises:
        MedganError: as `medgan_core.io` and `medgan_core.engine` do.
    """
    tell = _Teller(progress, cancel)
    inputs = {}
    for number, (key, path) in enumerate(work.inputs.items()):
        tell("read", _READ * number / len(work.inputs))
        inputs[key] = io.read(Path(path))
    options = engine.RunOptions(
        target=work.target, seed=work.seed, count=work.count, settings=dict(work.settings)
    )
    folder.mkdir(parents=True, exist_ok=True)
    try:
        outcome = engine.run(
            session,
            work.model,
            inputs,
            options,
            progress=lambda step: tell(step.stage, _READ + (1 - _READ - _WRITE) * step.fraction),
            cancel=cancel,
        )
    except UnsuitableError as error:
        _write_report(folder, {"verdict": "fail", **(error.report or {}), "error": error.to_dict()})
        raise
    metadata = provenance.flat(outcome.report.provenance)
    files = {}
    for number, (key, volume) in enumerate(outcome.volumes.items()):
        tell("write", 1 - _WRITE + _WRITE * number / len(outcome.volumes))
        files[key] = io.write(volume, folder / f"{key}{work.suffix}", metadata=metadata).name
    _write_report(folder, outcome.report.to_dict())
    tell("done", 1.0)
    return Results(files, outcome.report.verdict)


def _write_report(folder: Path, report: Mapping[str, object]) -> None:
    (folder / REPORT).write_text(json.dumps(report, default=str), encoding="utf-8")


class _Teller:
    """Progress over the whole of `perform`: the engine's own is a part of it."""

    def __init__(
        self, progress: Callable[[Progress], None] | None, cancel: Callable[[], bool] | None
    ) -> None:
        self._progress, self._cancel, self._start = progress, cancel, time.monotonic()

    def __call__(self, stage: str, fraction: float) -> None:
        if self._cancel is not None and self._cancel():
            raise CancelledError()
        if self._progress is not None:
            elapsed = time.monotonic() - self._start
            # Before a tenth of the work is done a guess would jump about.
            remaining = elapsed * (1 - fraction) / fraction if fraction > 0.1 else None
            self._progress(Progress(fraction, stage, elapsed, remaining))
