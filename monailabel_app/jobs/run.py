"""One run of a model: read the inputs, run it, write volumes and report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from medgan_core import engine, io, provenance
from medgan_core.card import ModelCard
from medgan_core.errors import CancelledError, UnsuitableError
from medgan_core.monitor import Progress
from medgan_core.request import check_count, check_inputs, check_seed, choose_target, resolve_settings
from monailabel_app.jobs.work import Channel, Results, Study, Work, write_report

# Shares of a run's time that reading and writing take beside the engine.
_READ, _WRITE = 0.04, 0.06


@dataclass(frozen=True, kw_only=True)
class Run(Work):
    """One run of a model over files.

    Args:
        model: name in the registry.
        settings: choices of the card and of the engine.
        inputs: path of a volume for every input key.
        target: key of the wanted output, or None for the only one.
        seed: of everything random.
        count: how many variants.
        suffix: of the files written (``.nii``, ``.nii.gz``, ``.nrrd``, ``.mha``).
    """

    kind: ClassVar[str] = "run"
    reads: ClassVar[tuple[str, ...]] = ("inputs",)

    inputs: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    seed: int = 0
    count: int = 1
    suffix: str = ".nii"

    def describe(self) -> dict[str, Any]:
        """What a client sees of it."""
        own = {"target": self.target, "seed": self.seed, "count": self.count, "inputs": list(self.inputs)}
        return {**super().describe(), **own}

    def perform(
        self, session: engine.Session, folder: Path, channel: Channel, studies: Sequence[Study]
    ) -> Results:
        """Read, run, write ``KEY.nii`` and ``report.json`` into the folder.

        When the input is refused as unsuitable, ``report.json`` says why.

        Raises:
            MedganError: as `medgan_core.io` and `medgan_core.engine` do.
        """
        tell = _Teller(channel)
        inputs = {}
        for number, (key, path) in enumerate(self.inputs.items()):
            tell("read", _READ * number / len(self.inputs))
            inputs[key] = io.read(Path(path))
        options = engine.RunOptions(
            target=self.target, seed=self.seed, count=self.count, settings=dict(self.settings)
        )
        folder.mkdir(parents=True, exist_ok=True)
        try:
            outcome = engine.run(
                session,
                self.model,
                inputs,
                options,
                progress=lambda step: tell(step.stage, _READ + (1 - _READ - _WRITE) * step.fraction),
                cancel=channel.cancelled,
            )
        except UnsuitableError as error:
            write_report(folder, {"verdict": "fail", **(error.report or {}), "error": error.to_dict()})
            raise
        made = outcome.report.provenance
        tell("write", 1 - _WRITE)
        with ThreadPoolExecutor() as pool:
            written = {
                key: pool.submit(
                    io.write,
                    volume,
                    folder / f"{key}{self.suffix}",
                    metadata=provenance.flat(provenance.of_output(made, key)),
                )
                for key, volume in outcome.volumes.items()
            }
        files = {key: path.result().name for key, path in written.items()}
        write_report(folder, outcome.report.to_dict())
        tell("done", 1.0)
        return Results(files, outcome.report.verdict)


def checked(card: ModelCard, run: Run) -> Run:
    """The run with its target named, after everything that can be checked without the voxels was checked.

    Raises:
        UsageError: when inputs, target, seed, count or settings do not fit the card.
    """
    check_inputs(card, run.inputs)
    check_seed(run.seed)
    check_count(card, run.count)
    resolve_settings(card, run.settings)
    return replace(run, target=choose_target(card, run.target, run.inputs))


class _Teller:
    """Progress over the whole of a run: the engine's own is a part of it."""

    def __init__(self, channel: Channel) -> None:
        self._channel, self._start = channel, time.monotonic()

    def __call__(self, stage: str, fraction: float) -> None:
        if self._channel.cancelled():
            raise CancelledError()
        elapsed = time.monotonic() - self._start
        # Before a tenth of the work is done a guess would jump about.
        remaining = elapsed * (1 - fraction) / fraction if fraction > 0.1 else None
        self._channel.progress(Progress(fraction, stage, elapsed, remaining))
