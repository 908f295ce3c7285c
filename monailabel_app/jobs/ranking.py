"""What a model says of the store's images, as a job: strategies choose the next one to label by it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from medgan_core import candidates, engine, io
from medgan_core.errors import CancelledError, InputError, MedganError, UnsuitableError
from medgan_core.report import Report, Row
from monailabel_app.jobs.one_by_one import one_by_one
from monailabel_app.jobs.work import Channel, Results, Study, Work, place_of, write_report
from monailabel_app.problems import problem

_FOUND = "candidate.json"
_UNSUITABLE = (InputError.code, UnsuitableError.code)


@dataclass(frozen=True, kw_only=True)
class Ranking(Work):
    """A suggesting model over images of the datastore; one that does not suit it does not stop the others.

    Args:
        model: name of the model.
        images: path of each image by its id.
        sha256: of the model's weights as they were when it was asked for.
    """

    kind: ClassVar[str] = "ranking"
    reads: ClassVar[tuple[str, ...]] = ("images",)

    images: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""

    def studies(self) -> tuple[Study, ...]:
        """One for each image, in order."""
        return tuple(Study(image=image) for image in self.images)

    def perform(
        self, session: engine.Session, folder: Path, channel: Channel, studies: Sequence[Study]
    ) -> Results:
        """Look at every image that is left.

        ``report.json`` then has a row for each, and ``candidates``, as `seen` gives them.

        Raises:
            Paused: between two images, when another client waits.
            CancelledError: when cancelled.
        """

        def look(number: int, study: Study) -> Study:
            return self._seen(session, folder / place_of(number), study, channel)

        after = one_by_one(studies or self.studies(), channel, "image", look)
        found = seen(folder, after)
        rows = tuple(_row(study, found.get(study.image)) for study in after)
        report = Report(rows, {"model": self.model})
        write_report(folder, {**report.to_dict(), "candidates": found})
        return Results({}, report.verdict)

    def _seen(self, session: engine.Session, folder: Path, study: Study, channel: Channel) -> Study:
        """One image; what was found stays in its folder."""
        begin = time.monotonic()
        try:
            volume = io.read(Path(self.images[study.image]))
            found = candidates.look(session, self.model, volume, cancel=channel.cancelled)
        except CancelledError:
            raise
        except MedganError as error:
            return replace(study, state="failed", error=problem(error))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _FOUND).write_text(json.dumps(asdict(found)), encoding="utf-8")
        return replace(study, state="done", seconds=round(time.monotonic() - begin, 3))


def seen(folder: Path, studies: Sequence[Study]) -> dict[str, dict[str, Any] | None]:
    """Score and features of every image that was looked at, None for one that does not suit the model.

    One that failed otherwise, as its worker died, is not among them: it may be looked at again.

    Args:
        folder: of the results, of a ranking that may have been stopped on its way.
        studies: of the job.
    """
    found: dict[str, dict[str, Any] | None] = {}
    for number, study in enumerate(studies):
        if study.state == "done":
            place = folder / place_of(number) / _FOUND
            found[study.image] = json.loads(place.read_text(encoding="utf-8"))
        elif study.state == "failed" and (study.error or {}).get("code") in _UNSUITABLE:
            found[study.image] = None
    return found


def _row(study: Study, found: Mapping[str, Any] | None) -> Row:
    if found is None:
        return Row(study.image, str((study.error or {}).get("title", study.state)), "", "", "caution")
    return Row(study.image, float(f"{found['score']:.4g}"), "nats for each labelled voxel")
