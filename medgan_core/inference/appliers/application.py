"""What an applier is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan_core.card import ModelCard
from medgan_core.errors import UsageError
from medgan_core.inference.compiled import Compiled
from medgan_core.inference.plan import Plan
from medgan_core.inference.views import Views
from medgan_core.inference.whole import Whole
from medgan_core.monitor import Monitor
from medgan_core.report import Row
from medgan_core.volume import Volume


@dataclass(frozen=True, kw_only=True)
class Application:
    """A prepared network, and the volumes it is applied to.

    Args:
        card: of the model.
        ready: its network, prepared as its applier wants it.
        volumes: inputs by key, on one grid, in the order of the card; none where it needs none.
        target: key of the wanted output.
        seed: of everything random.
        count: how many samples to draw.
        settings: all of them, with their values.
        views: a recorded plan to replay; None to make one.
        memory_limit: bytes that inference may plan with; None asks the device.
        monitor: told at every step of work.
    """

    card: ModelCard
    ready: Compiled | Whole
    volumes: Mapping[str, Volume]
    target: str
    seed: int
    count: int
    settings: Mapping[str, Any]
    views: Views | None
    memory_limit: int | None
    monitor: Monitor

    @property
    def compiled(self) -> Compiled:
        """The network of slabs."""
        assert isinstance(self.ready, Compiled)
        return self.ready

    @property
    def whole(self) -> Whole:
        """The network that is applied in one piece."""
        assert isinstance(self.ready, Whole)
        return self.ready

    @property
    def first(self) -> Volume:
        """The first input, whose place the result has."""
        return next(iter(self.volumes.values()))

    def plans(self, axes: Sequence[int]) -> list[Plan | None]:
        """The recorded plan for slices along each of these axes, or None for each.

        Raises:
            UsageError: when what was recorded is along others.
        """
        if self.views is None:
            return [None for _ in axes]
        recorded = [view.axis for view in self.views.views]
        if recorded != list(axes):
            raise UsageError(
                "The plan was made for another model",
                expected=f"one with slices along the axes {', '.join(map(str, axes))}",
                got=", ".join(map(str, recorded)) or "none",
                action="replay a plan with the model it was recorded for",
            )
        return [view.plan for view in self.views.views]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an applier gives: volumes by the card's keys, how they were computed, and rows on them."""

    volumes: dict[str, Volume]
    views: Views
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Applier:
    """How one kind of network is applied.

    Args:
        apply: from the inputs to the answer.
        slabs: the network is one of slabs, which back ends, plan and tiles are for; else it is a `Whole`.
        views: it looks along as many axes as the setting ``views`` says.
    """

    apply: Callable[[Application], Answer]
    slabs: bool = True
    views: bool = False

    def check_settings(self, name: str, settings: Mapping[str, Any]) -> None:
        """Refuse settings of the engine that leave this applier as it is.

        Args:
            name: of the model.
            settings: with their values.

        Raises:
            UsageError: naming those that are neither ``auto`` nor what it does anyway.
        """
        always = {} if self.slabs else {"backend": "torch", "precision": "fp32"}
        always |= {} if self.views else {"views": "1"}
        wrong = {key: only for key, only in always.items() if settings[key] not in ("auto", only)}
        if wrong:
            raise UsageError(
                f"The model {name!r} leaves no choice of {' and '.join(wrong)}",
                expected=", ".join(f"{key}=auto or {only}" for key, only in wrong.items()),
                got=", ".join(f"{key}={settings[key]}" for key in wrong),
                action="leave these settings out",
            )


def notes(texts: Sequence[str]) -> list[Row]:
    """Remarks of inference as rows, each once."""
    return [Row("Inference", text, verdict="caution") for text in dict.fromkeys(texts)]


def voxels(volume: Volume) -> NDArray[np.float32]:
    """The volume's one channel, (i, j, k) float32, with 0 for what is not finite."""
    data = np.asarray(volume.data[0], dtype=np.float32)
    return np.nan_to_num(data, nan=0.0, posinf=0.0, neginf=0.0)
