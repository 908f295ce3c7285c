"""Checks of submitted labels as a job: each is measured, then all are judged beside each other."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from medgan_core import candidates, engine, io
from medgan_core.errors import CancelledError, MedganError
from medgan_core.report import Report, Row
from medgan_core.volume import Volume
from monailabel_app.jobs.labels import Measured, judge, measure, score
from monailabel_app.jobs.one_by_one import one_by_one
from monailabel_app.jobs.work import Channel, Results, Study, Work, place_of, write_report
from monailabel_app.problems import problem

_FIGURES = "figures.json"


@dataclass(frozen=True, kw_only=True)
class Scoring(Work):
    """A scoring method over labels of the datastore; one that cannot be read does not stop the others.

    Args:
        model: name of the method: ``dice`` or ``labels``.
        labels: path of the submitted label by its image's id.
        images: path of the image by its id; without one the label is not compared with it.
        references: path of another segmentation, a model's own, by the image's id, where there is one.
        tag: that the submitted labels have in the datastore.
        predictor: name of a model that segments the images for which there is no other segmentation, or "".
    """

    kind: ClassVar[str] = "scoring"
    patient: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("labels", "images", "references")

    labels: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    tag: str = "final"
    predictor: str = ""

    def studies(self) -> tuple[Study, ...]:
        """One for each label, in order."""
        return tuple(Study(image=image) for image in self.labels)

    def perform(
        self, session: engine.Session, folder: Path, channel: Channel, studies: Sequence[Study]
    ) -> Results:
        """Measure every label that is left, then judge all.

        ``report.json`` then has a row for each, and ``scores``: what MONAI Label's clients get, by image.

        Raises:
            Paused: between two labels, when another client waits.
            CancelledError: when cancelled.
        """

        def measured(number: int, study: Study) -> Study:
            return self._measured(session, folder / place_of(number), study, channel)

        after = one_by_one(studies or self.studies(), channel, "label", measured)
        return self._judged(folder, after, channel)

    def _measured(self, session: engine.Session, folder: Path, study: Study, channel: Channel) -> Study:
        """One label; its figures stay in its folder until all are judged."""
        begin, image = time.monotonic(), study.image
        try:
            volume = io.read(Path(self.images[image])) if image in self.images else None
            other = self._other(session, image, volume, channel)
            found = measure(io.read(Path(self.labels[image])), volume, other)
        except CancelledError:
            raise
        except MedganError as error:
            return replace(study, state="failed", error=problem(error))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _FIGURES).write_text(json.dumps(asdict(found)), encoding="utf-8")
        return replace(study, state="done", seconds=round(time.monotonic() - begin, 3))

    def _other(
        self, session: engine.Session, image: str, volume: Volume | None, channel: Channel
    ) -> Volume | None:
        """Another segmentation of the image, if there is one."""
        if image in self.references:
            return io.read(Path(self.references[image]))
        if not self.predictor or volume is None:
            return None
        card = session.model(self.predictor).card
        inputs = {candidates.asked(card).key: volume}
        made = engine.run(session, card.name, inputs, engine.RunOptions(), cancel=channel.cancelled)
        return made.volumes[card.outputs[0].key]

    def _judged(self, folder: Path, studies: Sequence[Study], channel: Channel) -> Results:
        found = {
            study.image: Measured(**json.loads((folder / place_of(n) / _FIGURES).read_text(encoding="utf-8")))
            for n, study in enumerate(studies)
            if study.state == "done"
        }
        reports = judge(self.model, found)
        for number, study in enumerate(studies):
            if study.image in reports:
                write_report(folder / place_of(number), reports[study.image].to_dict())
                channel.study(replace(study, verdict=reports[study.image].verdict))
        whole = Report(
            tuple(_row(study, reports.get(study.image)) for study in studies),
            {"method": self.model, "tag": self.tag},
        )
        scores: dict[str, Any] = {image: score(self.model, found[image], reports[image]) for image in found}
        write_report(folder, {**whole.to_dict(), "scores": scores})
        return Results({}, whole.verdict)


def _row(study: Study, report: Report | None) -> Row:
    if report is None:
        return Row(study.image, str((study.error or {}).get("title", study.state)), "", "readable", "fail")
    return Row(study.image, report.verdict, "", "pass", report.verdict)
