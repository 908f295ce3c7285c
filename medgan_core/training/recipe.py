"""What a recipe is: the settings of one training, frozen, and the few steps only it knows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, get_type_hints

from torch import Tensor, nn

from medgan_core.data.samples import Samples
from medgan_core.errors import UsageError
from medgan_core.losses.adversarial import OBJECTIVES
from medgan_core.training.loading import collate
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Forward, Networks
from medgan_core.training.player import Player

if TYPE_CHECKING:
    from medgan_core.card import Figure, ModelCard, Training

Batch = dict[str, Tensor]
Logs = Mapping[str, float | Tensor]

_VALIDATION_BATCHES = 6
_ABOVE_0 = ("updates", "batch", "size", "validate_every", "latent", "widths", "judge_widths")
_CHOICES = {"schedule": ("cosine", "constant"), "objective": tuple(OBJECTIVES)}
_FROM_0 = ("seed", "lr", "warmup", "clip", "ema", "patience", "rollbacks")


@dataclass(frozen=True)
class Findings:
    """What a validation found.

    Args:
        numbers: metrics by name; the recipe's `metric` is among them.
        pictures: (rows, columns, h, w), 0 black to 1 white, or None.
    """

    numbers: dict[str, float]
    pictures: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings every training has; each recipe adds its own. The defaults are the preset ``cpu``.

    Class variables: `name` is the recipe's; `gpu` holds the settings of the preset ``gpu`` that differ;
    `metric` is the validation number that says which weights are best, `best` whether it should be
    ``low`` or ``high``; `judges_all` tells that one validation looks at all samples there are;
    `tells_data` that the last of the card's data is all that it trained on, whatever sets these are of.

    Args:
        updates: of the run; in each, every player makes its steps.
        batch: samples a step, over all processes.
        lr: highest learning rate.
        schedule: ``cosine`` (down to a hundredth) or ``constant``, both after a linear warm-up.
        warmup: updates of the warm-up.
        clip: largest norm of a player's gradient.
        ema: decay of the moving average of the weights, which is what is saved as the model.
        seed: of weights, samples and noise.
        init: folder of an earlier run whose networks to start from, or "".
        validate_every: updates between validations.
        patience: validations without a better metric before the run ends early; 0 for never.
        rollbacks: how often the watch may go back to the last good weights before it ends the run.
    """

    name: ClassVar[str]
    gpu: ClassVar[Mapping[str, str]] = {}
    tells_data: ClassVar[bool] = False
    metric: ClassVar[str] = "loss"
    best: ClassVar[str] = "low"
    judges_all: ClassVar[bool] = False

    updates: int = 4000
    batch: int = 8
    lr: float = 8e-4
    schedule: str = "cosine"
    warmup: int = 100
    clip: float = 1.0
    ema: float = 0.998
    seed: int = 0
    init: str = ""
    validate_every: int = 500
    patience: int = 0
    rollbacks: int = 3

    def networks(self) -> dict[str, nn.Module]:
        """The networks by name, with random weights."""
        raise TypeError(f"{type(self).__name__} does not say what its networks are")

    def players(self) -> tuple[Player, ...]:
        """Who moves which networks, in the order of their steps."""
        raise TypeError(f"{type(self).__name__} does not say who its players are")

    def samples(self, data: Path, *, validation: bool) -> Samples:
        """Training samples, or those of the patients left out; `data` is a manifest's folder or a pack."""
        raise TypeError(f"{type(self).__name__} does not say what it trains on")

    def sample_seed(self, *, validation: bool) -> int:
        """Of the samples: other ones for validation."""
        return self.seed + 1_000_003 * validation

    def loss(self, player: str, networks: Networks, batch: Batch, moment: Moment) -> tuple[Tensor, Logs]:
        """What a player minimises on a batch, and numbers to log (a tensor is averaged without waiting)."""
        raise TypeError(f"{type(self).__name__} does not say what it minimises")

    def after_step(self, player: str, networks: Networks) -> None:
        """Called after each step of a player: for constraints on weights."""

    def validate(self, networks: Networks, samples: Samples, moment: Moment) -> Findings:
        """Judge the averaged weights; the same moment and samples at every validation of a run."""
        raise TypeError(f"{type(self).__name__} does not say how it is judged")

    def sample(self, networks: Networks, count: int, moment: Moment) -> dict[str, Tensor]:
        """Draw new images, (n, c, *spatial) each by name, 0 to 1 where the data are.

        Raises:
            UsageError: when the recipe makes no image from nothing; its model is applied with `run` then.
        """
        raise UsageError(
            f"{self.name} draws no samples from nothing",
            expected="a recipe of a generative model",
            got=self.name,
            action="apply its published model with medgan run",
        )

    def model(self, networks: Mapping[str, nn.Module]) -> nn.Module | None:
        """What is served of the trained networks; None when nothing of it can be served."""
        return None

    def card(self, training: Training) -> ModelCard | None:
        """The card of the finished model, without its figures; None when nothing is served.

        Limits that begin with "Trained on" are of the sets that the author of the recipe knows; a run on
        others says whose data these were instead (`data_sources.told`).
        """
        return None

    def measured(self, card: ModelCard, numbers: Mapping[str, float], command: str) -> ModelCard:
        """The card with what the validation of the weights that are served found: its figures."""
        return dataclasses.replace(card, figures=self.figures(numbers, command))

    def figures(self, numbers: Mapping[str, float], command: str) -> tuple[Figure, ...]:
        """What the card of a published run says of its quality.

        Args:
            numbers: of the validation of the weights that are served.
            command: that trained the run.
        """
        return ()


@dataclass(frozen=True, kw_only=True)
class Supervised(Recipe):
    """One network, one player, one loss on a batch; judged by the same loss on patients left out."""

    def network(self) -> nn.Module:
        """The network with random weights."""
        raise TypeError(f"{type(self).__name__} does not say what its network is")

    def error(self, forward: Forward, batch: Batch) -> tuple[Tensor, Logs]:
        """The loss to minimise, and numbers to log; `forward` is the network in mixed precision."""
        raise TypeError(f"{type(self).__name__} does not say what it minimises")

    def networks(self) -> dict[str, nn.Module]:
        """The one network."""
        return {"model": self.network()}

    def players(self) -> tuple[Player, ...]:
        """The one player."""
        return (Player(name="model", networks=("model",)),)

    def loss(self, player: str, networks: Networks, batch: Batch, moment: Moment) -> tuple[Tensor, Logs]:
        """`error` of the one network."""
        return self.error(networks["model"], batch)

    def validate(self, networks: Networks, samples: Samples, moment: Moment) -> Findings:
        """Mean loss and logs over fixed batches."""
        sums: dict[str, float] = {}
        for number in range(_VALIDATION_BATCHES):
            first = number * self.batch
            batch = collate([samples[n] for n in range(first, first + self.batch)])
            loss, logs = self.error(
                networks["model"], {k: v.to(moment.device, non_blocking=True) for k, v in batch.items()}
            )
            for key, value in {"loss": loss, **logs}.items():
                sums[key] = sums.get(key, 0.0) + float(value) / _VALIDATION_BATCHES
        return Findings(sums)

    def model(self, networks: Mapping[str, nn.Module]) -> nn.Module | None:
        """The one network."""
        return networks["model"]


R = TypeVar("R", bound=Recipe)


def configure(cls: type[R], settings: Mapping[str, str]) -> R:
    """A recipe with some settings given as text (``key=value`` on the command line).

    Raises:
        UsageError: on an unknown key, a value that does not fit its type, or one that nothing can be trained
            with.
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
        _require_choice(key, values[key])
        _require_sense(key, values[key])
    return cls(**values)


def _require_choice(key: str, value: Any) -> None:
    """Refuse a word that is none of those there are."""
    if key in _CHOICES and value not in _CHOICES[key]:
        raise UsageError(
            f"The setting {key!r} is not valid",
            expected="one of " + ", ".join(_CHOICES[key]),
            got=str(value),
            action="correct the setting, or leave it out",
        )


def _require_sense(key: str, value: Any) -> None:
    """Refuse a number with which nothing can be trained."""
    numbers = [n for n in (value if isinstance(value, tuple) else (value,)) if isinstance(n, int | float)]
    least = "above 0" if key in _ABOVE_0 else "0 or more" if key in _FROM_0 else "of any sign"
    wrong = (key in _ABOVE_0 and min(numbers) <= 0) or (key in _FROM_0 and min(numbers) < 0)
    if wrong or not all(map(math.isfinite, numbers)):
        raise UsageError(
            f"The setting {key!r} is not valid",
            expected=f"a finite number, {least}",
            got=str(value),
            action="correct the setting, or leave it out",
        )


def _convert(hint: Any, text: str) -> Any:
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    if hint in (int, float, str):
        return hint(text)
    return tuple(int(part) for part in text.split(","))
