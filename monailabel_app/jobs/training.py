"""A training as a job: it keeps its state, makes way for others, and goes on from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from medgan_core import engine
from medgan_core.training import train
from monailabel_app.jobs.stretch import stretch
from monailabel_app.jobs.work import Channel, Results, Study, Work, write_report


@dataclass(frozen=True, kw_only=True)
class Training(Work):
    """A recipe over the studies of a folder.

    Args:
        model: name of the recipe.
        settings: of the recipe, as text.
        data: folder with a manifest, or of a BIDS data set.
        out: run folder, which `medgan publish` reads; one in the job's folder goes with the job.
        max_minutes: stop, resumable, after so long; None for the recipe's own end.
    """

    kind: ClassVar[str] = "train"
    patient: ClassVar[bool] = True

    data: str
    out: str
    max_minutes: float | None = None

    def perform(
        self, session: engine.Session, folder: Path, channel: Channel, studies: Sequence[Study]
    ) -> Results:
        """Train, from the state in the run folder if there is one.

        Raises:
            Paused: when another client waits and this stretch was long enough to be worth its start.
            MedganError: as `medgan_core.training.train` does.
        """
        out = Path(self.out)

        def work(pauses: Callable[[], bool]) -> str:
            return train(
                self.model,
                data=Path(self.data),
                out=out,
                settings={key: str(value) for key, value in self.settings.items()},
                resume=out.exists(),
                max_minutes=self.max_minutes,
                preset="cpu" if session.device == "cpu" else "gpu",
                # A worker has no children: the server could not end them with it.
                workers=0,
                progress=channel.progress,
                cancel=lambda: channel.cancelled() or pauses(),
            )

        said = stretch(channel, work)
        state = "finished" if said.startswith("finished") else "stopped before its end, resumable"
        row = {"name": "Training", "value": state, "unit": "", "limit": "", "verdict": "not assessed"}
        write_report(
            folder,
            {
                "verdict": "not assessed",
                "rows": [row],
                "provenance": {"recipe": self.model, "settings": dict(self.settings), "run": out.name},
            },
        )
        return Results({}, "not assessed")
