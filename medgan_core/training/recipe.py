"""What a recipe is: the settings of one training, frozen, and the few steps only it knows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, get_type_hints

from torch import Tensor, nn

from medgan_core.errors import UsageError

if TYPE_CHECKING:
    from medgan_core.card import ModelCard, Training


Forward = Callable[..., Tensor]


class Samples(Protocol):
    """Training samples by number; the same number always gives the same sample."""

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """One sample as named tensors without a batch axis."""
        ...


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings every training has; each recipe adds its own. The defaults are the preset ``cpu``.

    `name` is the recipe's and its model's; `gpu` holds the settings of the preset ``gpu`` that differ.

    Args:
        updates: steps of the optimiser.
        batch: samples a step.
        lr: highest learning rate (AdamW; linear warm-up, then a cosine down to a hundredth).
        warmup: updates of the warm-up.
        clip: largest norm of the gradient.
        ema: decay of the moving average of the weights, which is what is saved as the model.
        seed: of weights, samples and noise.
        init: folder of an earlier run whose model to start from, or "".
    """

    name: ClassVar[str]
    gpu: ClassVar[Mapping[str, str]] = {}

    updates: int = 4000
    batch: int = 8
    lr: float = 8e-4
    warmup: int = 100
    clip: float = 1.0
    ema: float = 0.998
    seed: int = 0
    init: str = ""

    def network(self) -> nn.Module:
        """The network with random weights."""
        raise TypeError(f"{type(self).__name__} does not say what its network is")

    def samples(self, data: Path, *, validation: bool) -> Samples:
        """Training samples, or those of the patients left out."""
        raise TypeError(f"{type(self).__name__} does not say what it trains on")

    def loss(self, forward: Forward, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """The loss to minimise, and numbers to log; `forward` is the network in mixed precision."""
        raise TypeError(f"{type(self).__name__} does not say what it minimises")

    def card(self, training: Training) -> ModelCard:
        """The card of the finished model, without its figures."""
        raise TypeError(f"{type(self).__name__} does not describe its model")


R = TypeVar("R", bound=Recipe)


def configure(cls: type[R], settings: Mapping[str, str]) -> R:
    """A recipe with some settings given as text (``key=value`` on the command line).

    Raises:
        UsageError: on an unknown key or a value that does not fit its type.
    """
    hints = get_type_hints(cls)
    fields = {f.name: hints[f.name] for f in dataclasses.fields(cls)}
    values: dict[str, Any] = {}
    for key, text in settings.items():
        if key not in fields:
            raise UsageError(
                f"The recipe {cls.name!r} has no setting {key!r}",
                expected="one of " + ", ".join(fields),
                got=key,
                action="correct --set",
            )
        try:
            values[key] = _convert(fields[key], text)
        except ValueError as error:
            raise UsageError(
                f"The setting {key!r} is not valid",
                expected=getattr(fields[key], "__name__", str(fields[key])),
                got=text,
                action="correct --set",
            ) from error
    return cls(**values)


def _convert(hint: Any, text: str) -> Any:
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    if hint in (int, float, str):
        return hint(text)
    return tuple(int(part) for part in text.split(","))
