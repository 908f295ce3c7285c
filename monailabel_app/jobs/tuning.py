"""A published model tuned on the site's studies, as a job: in stretches, as any training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from medgan_core import engine
from medgan_core.report import Report, Row
from medgan_core.training import tuning
from monailabel_app.jobs.stretch import stretch
from monailabel_app.jobs.work import Channel, Results, Study, Work, write_report


@dataclass(frozen=True, kw_only=True)
class Tuning(Work):
    """A model, and the studies to tune and to judge it on.

    Args:
        model: name in the registry.
        settings: of the recipe, as text.
        cohort: the studies, as `medgan_core.training.cohort.Cohort.to_list` gives them.
        out: run folder; one in the job's folder goes with the job.
        default: use the new version from now on even when it is not better.
        left_out: how many submitted labels are not among the studies, by reason.
    """

    kind: ClassVar[str] = "tune"
    patient: ClassVar[bool] = True

    cohort: Sequence[Mapping[str, Any]]
    out: str
    default: bool = False
    left_out: Mapping[str, int] = field(default_factory=dict)

    def perform(
        self, session: engine.Session, folder: Path, channel: Channel, studies: Sequence[Study]
    ) -> Results:
        """Tune, from where an earlier stretch stopped; ``report.json`` compares both versions.

        Raises:
            Paused: when another client waits and this stretch was long enough to be worth its start.
            MedganError: as `medgan_core.training.tuning.tune` does.
        """
        settings = {key: str(value) for key, value in self.settings.items()}

        def work(pauses: Callable[[], bool]) -> tuning.Tuning:
            return tuning.tune(
                session,
                self.model,
                studies=self.cohort,
                out=Path(self.out),
                command=f"POST /train/{self.model}" + "".join(f" {k}={v}" for k, v in settings.items()),
                settings=settings,
                default=self.default,
                progress=channel.progress,
                cancel=channel.cancelled,
                pause=pauses,
            )

        made = stretch(channel, work)
        version = _version(made, session.registry.card(self.model).version)
        provenance = {
            "model": self.model,
            "version": made.card.version,
            "sha256": made.card.weights.sha256,
            "tuned_from": made.found.version,
            "settings": settings,
        }
        left_out = [
            Row("Submitted labels left out", count, "", reason, "caution")
            for reason, count in self.left_out.items()
        ]
        report = Report((version, *left_out, *made.found.rows()), provenance)
        write_report(folder, report.to_dict())
        return Results({}, report.verdict)


def _version(made: tuning.Tuning, in_use: str) -> Row:
    """What came of it, with the version that is in use now: another may have come while it trained."""
    before = made.found.version
    if in_use == made.card.version:
        told = "used from now on"
    elif in_use == before:
        told = f"not used; {before} stays in use"
    else:
        told = f"not used; {in_use}, which came into use meanwhile, was not compared with it"
    good = made.found.better and in_use in (made.card.version, before)
    better = "better" if made.found.better else "not better"
    return Row(
        "Version",
        f"{made.card.version}, {better} than {before}, {told}",
        limit=made.found.rule,
        verdict="pass" if good else "caution",
    )
