"""The same model over many studies, as one job that makes way for others between two studies."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from medgan_core import engine, io
from medgan_core.errors import CancelledError, MedganError
from medgan_core.monitor import Progress
from monailabel_app.jobs.one_by_one import one_by_one
from monailabel_app.jobs.pictures import write_picture
from monailabel_app.jobs.run import Run
from monailabel_app.jobs.work import Channel, Results, Study, Work, place_of, write_report
from monailabel_app.problems import problem

_VERDICTS = ("pass", "not assessed", "caution", "fail")


@dataclass(frozen=True, kw_only=True)
class Batch(Work):
    """A model over studies of the datastore; a study that is refused does not stop the others.

    Args:
        model: name in the registry.
        settings: choices of the card and of the engine.
        images: path of the image by its id.
        stamps: `monailabel_app.studies.stamp` of the image by its id, when the batch was asked for.
        input: key of the card's input that the images are.
        target: key of the wanted output, or None for the only one.
        seed: of everything random, the same for each study.
        suffix: of the files written.
        tag: under which the datastore keeps each result as a label of its image; empty for not at all.
    """

    kind: ClassVar[str] = "batch"
    patient: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("images",)

    images: Mapping[str, str] = field(default_factory=dict)
    stamps: Mapping[str, str] = field(default_factory=dict)
    input: str = "image"
    target: str | None = None
    seed: int = 0
    suffix: str = ".nii"
    tag: str = ""

    def studies(self) -> tuple[Study, ...]:
        """One for each image, in order."""
        return tuple(Study(image=image) for image in self.images)

    def describe(self) -> dict[str, Any]:
        """What a client sees of it."""
        own = {"target": self.target, "seed": self.seed, "inputs": [self.input]}
        return {**super().describe(), **own}

    def perform(
        self, session: engine.Session, folder: Path, channel: Channel, studies: Sequence[Study]
    ) -> Results:
        """Every study that is neither done nor failed; results go into ``001/``, ``002/``, ... of the folder.

        Raises:
            Paused: between two studies, when another client waits.
            CancelledError: when cancelled.
        """
        start, given = time.monotonic(), studies or self.studies()

        def done(number: int, study: Study) -> Study:
            return self._one(session, folder, _Part(channel, number, len(given), start), study)

        after = one_by_one(given, channel, "study", done)
        report = self._report(after)
        write_report(folder, report)
        files = {key: name for study in after for key, name in study.results.items()}
        return Results(files, str(report["verdict"]))

    def _one(self, session: engine.Session, folder: Path, part: _Part, study: Study) -> Study:
        place, begin = place_of(part.number), time.monotonic()
        run = Run(
            model=self.model,
            settings=self.settings,
            inputs={self.input: self.images[study.image]},
            target=self.target,
            seed=self.seed,
            suffix=self.suffix,
        )
        try:
            made = run.perform(session, folder / place, part, ())
            _picture(run, folder / place, made)
        except CancelledError:
            raise
        except MedganError as error:
            return replace(study, state="failed", error=problem(error), seconds=_since(begin))
        results = {f"{place}/{key}": f"{place}/{name}" for key, name in made.files.items()}
        return replace(study, state="done", results=results, verdict=made.verdict, seconds=_since(begin))

    def _report(self, studies: Sequence[Study]) -> dict[str, Any]:
        """One row for each study; its own report lies beside its volumes."""
        rows = []
        for study in studies:
            verdict = study.verdict or "fail"
            value = study.state if study.error is None else study.error["title"]
            rows.append(
                {"name": study.image, "value": value, "unit": "", "limit": "done", "verdict": verdict}
            )
        worst = max((_VERDICTS.index(row["verdict"]) for row in rows), default=1)
        return {
            "verdict": _VERDICTS[worst],
            "rows": rows,
            "provenance": {"model": self.model, "seed": self.seed, "synthetic": True},
        }


def _picture(run: Run, folder: Path, made: Results) -> None:
    """Leave a slice of the input and of every result beside them, for the cohort's page."""
    for key, path in run.inputs.items():
        write_picture(io.read(Path(path)), folder / f"input-{key}.png")
    for key, name in made.files.items():
        write_picture(io.read(folder / name), folder / f"result-{key}.png")


def _since(begin: float) -> float:
    return round(time.monotonic() - begin, 3)


class _Part:
    """A run's channel, as the part of a batch that it is."""

    def __init__(self, channel: Channel, number: int, count: int, start: float) -> None:
        self.number, self._count, self._channel, self._start = number, count, channel, start
        self.study, self.cancelled = channel.study, channel.cancelled

    def progress(self, step: Progress) -> None:
        fraction = (self.number + step.fraction) / self._count
        elapsed = time.monotonic() - self._start
        stage = f"study {self.number + 1} of {self._count}: {step.stage}"
        self._channel.progress(Progress(fraction, stage, elapsed, step.remaining_s, step.note))

    def wanted(self) -> Literal[False]:
        return False
