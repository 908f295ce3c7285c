"""Active learning: which image to label next."""

from __future__ import annotations

import json
import math
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.exception import ImageNotFoundException
from monailabel.interfaces.tasks.strategy import Strategy

from medgan_core import active, candidates
from medgan_core.card import ModelCard
from medgan_core.errors import InputError
from medgan_core.registry import Registry
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.ranking import Ranking, seen
from monailabel_app.jobs.work import REPORT
from monailabel_app.tasks import Runner

ASKING = {
    "epistemic": "The image whose views a suggesting model answers most differently",
    "diversity": "The image that a suggesting model finds least like all that have a label",
}
"""Strategies of `medgan_core.active` that ask a model, by name."""

_MOST = 64
_NOTED = "candidate"
RESERVED = ("id", "ts", "name", "path", "user", "dice", "checks", "strategy", _NOTED)
"""Of what is noted about an image or a label: the server's own, which no client writes."""


class First(Strategy):  # type: ignore[misc]
    """The first image without a final label, by id."""

    def __init__(self) -> None:
        super().__init__("The first image without a label, by name")

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any] | None:
        """The choice, or None when every image has a label."""
        images = sorted(datastore.get_unlabeled_images())
        return {"id": images[0]} if images else None


class Random(Strategy):  # type: ignore[misc]
    """Any image without a final label; one that was given out lately is less likely to come again."""

    def __init__(self) -> None:
        super().__init__("Any image without a label, rather one that was not given out lately")

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any] | None:
        """The choice and its weight (seconds since it was given out); None when every image has a label."""
        images = sorted(datastore.get_unlabeled_images())
        if not images:
            return None
        weights = [_seconds_since(datastore.get_image_info(image), request["strategy"]) for image in images]
        (chosen,) = random.choices(range(len(images)), weights=weights)
        return {"id": images[chosen], "weight": weights[chosen]}


class Ranked(Strategy):  # type: ignore[misc]
    """The first in an order of `medgan_core.active`, by what a model says of every image.

    What it said is noted with each image, so it looks at an image once, and again when that is stored anew or
    the model changed. Of many new images without a label it looks at 64 with every choice.

    Args:
        name: of the strategy.
        registry: where models are.
        stored: where an image of the datastore lies, by id.
        runner: has the model look; asked for at every call, as the server sets it after the app is made.
    """

    def __init__(
        self, name: str, registry: Registry, stored: Callable[[str], Path], runner: Callable[[], Runner]
    ) -> None:
        super().__init__(ASKING[name])
        self._name, self._registry, self._stored, self._runner = name, registry, stored, runner

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any] | None:
        """The choice, after the model has looked at what it had not seen; None when every image has a label.

        Args:
            request: ``model`` names the one to ask (default: the first that suggests segmentations).
            datastore: MONAI Label's.

        Raises:
            UsageError: when there is no such model.
            InputError: when it can work on none of the images.
        """
        work = self.unseen(request, datastore)
        if work is not None:
            folder = Path(tempfile.mkdtemp(prefix="medgan-"))
            try:
                self._runner()(work, folder)
                found = json.loads((folder / REPORT).read_text(encoding="utf-8"))["candidates"]
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            _note(datastore, work, found)
        return self.choose(request, datastore)

    def unseen(self, request: Mapping[str, Any], datastore: Any) -> Ranking | None:
        """What the model must look at before a choice; None when there is nothing to see or to choose.

        Those that have a label are all among them: the others are compared with them.

        Raises:
            UsageError: when there is no such model.
        """
        images = sorted(datastore.get_unlabeled_images())
        if not images:
            return None
        card = self._card(request)
        labelled, others = (
            [image for image in some if _noted(datastore, image, card) is None]
            for some in (sorted(datastore.get_labeled_images()), images)
        )
        paths = {image: str(self._stored(image)) for image in (*labelled, *others[:_MOST])}
        return Ranking(model=card.name, images=paths, sha256=card.weights.sha256) if paths else None

    def has_seen(self, request: Mapping[str, Any], datastore: Any) -> bool:
        """Whether the model looked at an image without a label, so that `choose` has something to say.

        Raises:
            UsageError: when there is no such model.
        """
        card, images = self._card(request), datastore.get_unlabeled_images()
        return any(_noted(datastore, image, card) is not None for image in images)

    def choose(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any] | None:
        """The choice by what is noted; None when every image has a label.

        Raises:
            UsageError: when there is no such model.
            InputError: when it can work on none of the images.
        """
        images = sorted(datastore.get_unlabeled_images())
        if not images:
            return None
        card, labelled = self._card(request), sorted(datastore.get_labeled_images())
        notes = {image: _noted(datastore, image, card) for image in (*images, *labelled)}
        seen = {image: note for image, note in notes.items() if note and note["score"] is not None}
        known, done = ([image for image in some if image in seen] for some in (images, labelled))
        if not known:
            unsuited = sum(notes[image] is not None for image in images)
            raise InputError(
                f"The model {card.name!r} can work on none of the images without a label",
                expected=f"{card.domain.anatomy}, {card.domain.modality}",
                got=f"{unsuited} images that do not suit it, {len(images) - unsuited} that it has not seen",
                action="ask again" if unsuited < len(images) else "choose another strategy, or another model",
            )
        features = np.array([seen[image]["features"] for image in (*known, *done)])
        pool = active.Pool(
            scores=np.array([seen[image]["score"] for image in known]),
            features=features[: len(known)],
            labelled=features[len(known) :],
        )
        chosen = known[int(active.order(self._name, pool)[0])]
        return {"id": chosen, "model": card.name, "score": seen[chosen]["score"]}

    def _card(self, request: Mapping[str, Any]) -> ModelCard:
        return candidates.find(self._registry, str(request.get("model") or ""))


def note(datastore: Any, job: Job) -> None:
    """Note with each image what a ranking saw of it, also one that was stopped on its way.

    Args:
        datastore: MONAI Label's.
        job: whose work is a ranking.
    """
    if isinstance(job.work, Ranking):
        found = seen(job.folder / "results", job.studies)
        _note(datastore, job.work, found, job.created.timestamp())


def _note(
    datastore: Any, work: Ranking, found: Mapping[str, Mapping[str, Any] | None], asked: float = math.inf
) -> None:
    """Note what was found; not with an image that was stored anew since the ranking was asked for."""
    for image, said in found.items():
        info = datastore.get_image_info(image)
        known = info.get(_NOTED, {})
        if info.get("ts", 0) > asked or known.get(work.model, {}).get("sha256") == work.sha256:
            continue
        told = {"sha256": work.sha256, "score": None, **(said or {})}
        with suppress(ImageNotFoundException):  # removed meanwhile
            datastore.update_image_info(image, {_NOTED: {**known, work.model: told}})


def _noted(datastore: Any, image: str, card: ModelCard) -> dict[str, Any] | None:
    """What the model as it is now said of an image; None without. An image stored anew has no notes."""
    note: dict[str, Any] | None = datastore.get_image_info(image).get(_NOTED, {}).get(card.name)
    return note if note and note["sha256"] == card.weights.sha256 else None


def _seconds_since(info: Mapping[str, Any], strategy: str) -> int:
    """Since the strategy gave an image out, at least 1; since 1970 when it never did."""
    served = info.get("strategy", {}).get(strategy, {}).get("ts", 0)
    return max(1, int(time.time()) - int(served))
