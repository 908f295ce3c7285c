"""MONAI Label's view of a model: a task that hands the work to whoever runs it, and waits."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from medgan_core import engine
from medgan_core.card import ModelCard
from medgan_core.registry import Registry
from monailabel_app.jobs.work import REPORT, Results, Silence, Work
from monailabel_app.stock import answer, config, describe, label_names, read_request

Runner = Callable[[Work, Path], Results]
"""Does the work, writes into the folder, returns when it is done."""


class InlineRunner:
    """Runs in this process, one at a time: what the stock server gets, without progress or cancel.

    Args:
        registry: where models are.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry, self._lock = registry, threading.Lock()
        self._session: engine.Session | None = None

    def __call__(self, work: Work, folder: Path) -> Results:
        """Do the work; `MedganError` when it fails."""
        with self._lock:
            if self._session is None:
                self._session = engine.Session(registry=self._registry)
            return work.perform(self._session, folder, Silence(), ())


class ModelTask(InferTask):  # type: ignore[misc]
    """One model of the registry as an infer task of MONAI Label.

    Args:
        card: the model's.
        stored: where an image of the datastore lies, by id.
        runner: does the work; asked for at every call, as the server sets it after the app is made.
    """

    def __init__(self, card: ModelCard, stored: Callable[[str], Path], runner: Callable[[], Runner]) -> None:
        super().__init__(
            type=InferType.SEGMENTATION if card.task == "suggest" else InferType.OTHERS,
            labels=label_names(card),
            dimension=3,
            description=f"{card.title}: {card.description}",
            config=config(card),
        )
        self.card, self._stored, self._runner = card, stored, runner

    def info(self) -> dict[str, Any]:
        """What stock clients expect, and the model's card beside it."""
        return {**super().info(), "card": describe(self.card)}

    def is_valid(self) -> bool:
        """True: the card was read."""
        return True

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Run the model.

        Args:
            request: ``image`` is a path; further keys as in `stock.read_request`.

        Returns:
            A fresh temporary file, which MONAI Label deletes once it is sent, and the report.

        Raises:
            MedganError: when the request or the input is refused, or the run fails.
        """
        labels = Path(request["label"]) if request.get("label") else None
        asked = read_request(self.card, request, Path(request["image"]), self._stored, labels)
        folder = Path(tempfile.mkdtemp(prefix="medgan-"))
        try:
            results = self._runner()(asked.work, folder)
            key = asked.choose(results.files)
            report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
            number, path = tempfile.mkstemp(suffix=asked.work.suffix, prefix=f"medgan-{key}-")
            os.close(number)
            shutil.move(folder / results.files[key], path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return path, answer(self.card, key, results.files, report)
