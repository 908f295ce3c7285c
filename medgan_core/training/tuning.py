"""A published model trained on with the studies of one site, and published again as a further version.

The version before is measured on patients held back, its weights are trained on with the others, and what
comes of it is measured on the same patients. It comes into use when it is better. The version before may have
seen those patients; then the gain is told too small, never too large.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medgan_core.card import ModelCard
from medgan_core.data.study import Study
from medgan_core.engine import Session
from medgan_core.errors import InputError, UsageError
from medgan_core.evaluation import measure
from medgan_core.monitor import Monitor, Progress
from medgan_core.preprocess import Preprocess
from medgan_core.registry import CARD, Registry
from medgan_core.training import cohort, folder, loop, publishing
from medgan_core.training.before_after import BeforeAfter
from medgan_core.training.recipe import configure
from medgan_core.training.recipes import (
    brain_suggest,
    denoise,
    hippocampus_suggest,
    lesion_suggest,
    translate,
)
from medgan_core.training.recipes.tuned import (
    TunedBrainSuggest,
    TunedDenoise,
    TunedHippocampusSuggest,
    TunedLesionSuggest,
    TunedTranslate,
)
from medgan_core.whole_files import replacing

Suggestions = TunedHippocampusSuggest | TunedBrainSuggest | TunedLesionSuggest
Recipes = TunedTranslate | TunedDenoise | Suggestions
_RECIPES: dict[str, tuple[type[Recipes], Preprocess]] = {
    TunedTranslate.name: (TunedTranslate, translate.PREPROCESS),
    TunedDenoise.name: (TunedDenoise, denoise.PREPROCESS),
    TunedHippocampusSuggest.name: (TunedHippocampusSuggest, hippocampus_suggest.PREPROCESS),
    TunedBrainSuggest.name: (TunedBrainSuggest, brain_suggest.PREPROCESS),
    TunedLesionSuggest.name: (TunedLesionSuggest, lesion_suggest.PREPROCESS),
}
_GIVEN = (
    *("init", "slices", "widths", "blocks", "fold", "real_share", "patience"),
    *("labelled", "generated", "mix", "painter", "sets"),
)
"""Decided by model and cohort; early stopping would choose weights on the patients that judge them."""

_PUBLISHED = "published.json"
_STAGES = {"before": (0.0, 0.1), "training": (0.1, 0.9), "after": (0.9, 1.0)}


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What came of it.

    Args:
        card: of the new version.
        used: it is the version in use now.
        found: the figures of both versions.
    """

    card: ModelCard
    used: bool
    found: BeforeAfter


def recipe_of(card: ModelCard, settings: Mapping[str, str], *, gpu: bool) -> Recipes:
    """The recipe that tunes a model.

    Args:
        card: of the model.
        settings: of the recipe, as text.
        gpu: take the preset for one.

    Raises:
        UsageError: when the model cannot be tuned, or on a setting that is wrong or not free.
    """
    if card.training.recipe not in _RECIPES:
        raise _untunable(card, card.training.recipe or "none")
    cls, preprocess = _RECIPES[card.training.recipe]
    if fixed := sorted(set(settings) & set(_GIVEN)):
        raise UsageError(
            "Some settings cannot be chosen when a model is tuned",
            expected="settings other than " + ", ".join(_GIVEN),
            got=", ".join(fixed),
            action="leave them out",
        )
    options = card.architecture.options
    recipe = replace(
        configure(cls, {**cls.gpu, **settings} if gpu else settings),
        slices=options.get("slices", 0),
        widths=tuple(options.get("widths", ())),
    )
    if isinstance(recipe, Suggestions):
        recipe = replace(recipe, blocks=options.get("blocks", 0))
    if recipe.architecture != card.architecture or preprocess != card.preprocess:
        raise _untunable(card, f"another network or preprocessing than {cls.name} has now")
    return recipe


def _untunable(card: ModelCard, got: str) -> UsageError:
    return UsageError(
        f"The model {card.name!r} cannot be tuned",
        expected="a model of one of the recipes " + ", ".join(_RECIPES),
        got=got,
        action="choose another model, or train a recipe on your data (medgan train)",
    )


def _nobody_to_judge(card: ModelCard, held_back: int) -> InputError:
    return InputError(
        f"No study held back can judge {card.name!r}",
        expected=f"{card.domain.anatomy}, {card.domain.modality}"
        + (", with a label map of the model's labels alone" if card.task == "suggest" else ""),
        got=f"{held_back} studies that do not suit it",
        action="add studies, or list in manifest.csv who is held back (val)",
    )


def tune(
    session: Session,
    name: str,
    *,
    studies: Sequence[Mapping[str, Any]],
    out: Path,
    command: str,
    settings: Mapping[str, str] | None = None,
    default: bool = False,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] = lambda: False,
    pause: Callable[[], bool] = lambda: False,
) -> Tuning:
    """Tune a model and publish the result; called again with the same folder, go on where it stopped.

    Args:
        session: its device is worked on; new versions go into the last folder of its registry.
        name: of the model.
        studies: what `cohort.Cohort.to_list` gave.
        out: run folder, of a training as any other (see `folder`); beside it lie ``base/``, the version tuned
            from, and ``cohort/``.
        command: for the card.
        settings: of the recipe, as text.
        default: use the new version from now on even when it is not better.
        progress: called at every step of work.
        cancel: polled at every step of work.
        pause: polled where the work can go on later without loss; like `cancel` otherwise.

    Raises:
        UsageError: when the model cannot be tuned.
        InputError: when a study cannot be used.
        ModelError: when the training goes wrong.
        CancelledError: when cancelled or paused.
    """
    base = _base(session.registry, name, out / folder.BASE)
    patients = cohort.write(studies, out / "cohort")
    gpu = session.device != "cpu"
    recipe = recipe_of(base, settings or {}, gpu=gpu)
    recipe = replace(recipe, init=str(out / folder.BASE / name))
    stretch = _Stretch(session, progress, cancel, pause)
    before = stretch.measured(out / folder.BASE, name, patients.held_back, out / "before.json")
    if not before:
        raise _nobody_to_judge(base, len(patients.held_back))
    if not folder.is_done(out):
        loop.train(
            recipe,
            data=out / "cohort",
            out=out,
            command=command,
            device=session.device,
            resume=folder.is_run(out),
            # The caller may be a process that must have no children.
            workers=0,
            progress=stretch.telling("training"),
            cancel=stretch.stopped,
        )
    after = stretch.measured(out / "models", recipe.name, patients.held_back, out / "after.json")
    found = BeforeAfter(version=base.version, before=before, after=after)
    models = session.registry.folders[-1]
    if (out / _PUBLISHED).is_file():
        return _published(out, found, name, models)
    in_use = publishing.keep(name, shelf=session.registry, models=models)
    # Another version may have come into use meanwhile; this one was not compared with it.
    better = found.better and in_use.weights.sha256 == base.weights.sha256
    card, used = publishing.publish(
        out, name=name, default=default or better, models=models, figures=found.figures(command)
    )
    with replacing(out / _PUBLISHED) as draft:
        draft.write_text(json.dumps({"version": card.version, "used": used}), encoding="utf-8")
    return Tuning(card=card, used=used, found=found)


def _published(out: Path, found: BeforeAfter, name: str, models: Path) -> Tuning:
    """What an earlier stretch made: the job was stopped between publishing and telling."""
    told = json.loads((out / _PUBLISHED).read_text(encoding="utf-8"))
    card = ModelCard.load(models / name / told["version"] / CARD)
    return Tuning(card=card, used=told["used"], found=found)


def _base(shelf: Registry, name: str, place: Path) -> ModelCard:
    """The version to tune, copied once, so that it stays the same whatever comes into use meanwhile."""
    if not (place / name).is_dir():
        source = shelf.load(name).folder
        draft = place / f".{name}"
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(source, draft)
        draft.rename(place / name)
    return Registry([place]).card(name)


class _Stretch:
    """What one stretch of the work reports to, and whom it asks whether to stop."""

    def __init__(
        self,
        session: Session,
        progress: Callable[[Progress], None] | None,
        cancel: Callable[[], bool],
        pause: Callable[[], bool],
    ) -> None:
        self._session, self._progress, self._cancel, self._pause = session, progress, cancel, pause

    def stopped(self) -> bool:
        return self._cancel() or self._pause()

    def telling(self, stage: str) -> Callable[[Progress], None] | None:
        """Progress of a stage as a part of the whole; what is left of the whole is not known."""
        if self._progress is None:
            return None
        tell, (begin, end) = self._progress, _STAGES[stage]
        return lambda step: tell(
            replace(step, fraction=begin + (end - begin) * step.fraction, remaining_s=None)
        )

    def measured(self, place: Path, name: str, studies: Sequence[Study], file: Path) -> list[dict[str, Any]]:
        """Figures on every study; those of a study are kept in the file as soon as they are there."""
        done: list[list[dict[str, Any]]] = []
        if file.is_file():
            done = json.loads(file.read_text(encoding="utf-8"))
        # Beside the model lie those that check its input.
        shelf = Registry([*self._session.registry.folders, place])
        session = Session(self._session.device, self._session.memory_limit, shelf)
        monitor = Monitor(self.telling(file.stem), self.stopped)
        with monitor.stage(f"measuring {file.stem}", 1.0):
            for number, study in enumerate(studies[len(done) :], start=len(done)):
                monitor.step(number / len(studies))
                done.append(measure(session, name, study, cancel=self._cancel))
                with replacing(file) as draft:
                    draft.write_text(json.dumps(done), encoding="utf-8")
        return [row for rows in done for row in rows]
