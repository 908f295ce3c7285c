"""Inputs that a model takes and nobody gave, made up by a translation model from those that were given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from medgan_core.card import ModelCard, Setting
from medgan_core.errors import InputError, UsageError
from medgan_core.monitor import Monitor, Progress
from medgan_core.report import Row
from medgan_core.volume import Volume

SETTING = Setting(
    key="complete",
    title="Make up missing inputs",
    kind="bool",
    default=True,
    help="a translation model predicts the contrasts that were not given; the report says which",
)
"""For cards that name a model in `completes_with`."""

Plan = dict[str, Any]
Translate = Callable[[Mapping[str, Volume], str, Callable[[Progress], None]], tuple[Volume, Plan]]
"""From inputs and the key of the one wanted to its volume on the first input's grid, and the plan of that.

The third argument is told how far it is.
"""


@dataclass(frozen=True)
class Completed:
    """Inputs with what was made up.

    Args:
        volumes: in the order of the card.
        rows: that say what was made up, or why nothing was.
        plan: the translator's ``model``, ``version`` and ``sha256``, and ``plans`` by key of what it made;
            empty when it made nothing.
    """

    volumes: dict[str, Volume]
    rows: tuple[Row, ...] = ()
    plan: Plan = field(default_factory=dict)


def complete(
    card: ModelCard,
    translator: ModelCard,
    volumes: Mapping[str, Volume],
    translate: Translate,
    monitor: Monitor,
) -> Completed:
    """Add the inputs that the translator can make; none when it refuses those that were given.

    Args:
        card: of the model that wants them.
        translator: card of the model that makes them.
        volumes: given inputs, on one grid.
        translate: applies the translator.
        monitor: told at every step of work.
    """
    known = {port.key for port in translator.inputs}
    given = {key: volume for key, volume in volumes.items() if key in known}
    wanted = [p.key for p in card.inputs if p.key not in volumes and p.key in translator.targets]
    if not given or not wanted:
        return Completed(dict(volumes))
    made: dict[str, Volume] = {}
    plans: dict[str, Plan] = {}
    for number, key in enumerate(wanted):
        with monitor.share(number / len(wanted), (number + 1) / len(wanted)):
            try:
                made[key], plans[key] = translate(given, key, lambda told: monitor.step(told.fraction))
            except InputError as refused:
                why = f"{translator.name} refuses the input: {refused.got}"
                names = " and ".join(wanted)
                return Completed(dict(volumes), (Row(f"{names}: not made up", why, verdict="caution"),))
    how = f"by {translator.name} {translator.version} from {' and '.join(given)}"
    rows = tuple(Row(f"{key}: made up", how, verdict="caution") for key in wanted)
    together = {**volumes, **made}
    whole = {port.key: together[port.key] for port in card.inputs if port.key in together}
    return Completed(whole, rows, {**identity(translator), "plans": plans})


def identity(card: ModelCard) -> dict[str, str]:
    """What tells one version of a model from another: ``model``, ``version``, ``sha256``."""
    return {"model": card.name, "version": card.version, "sha256": card.weights.sha256}


def recorded(plan: Plan, translator: ModelCard) -> dict[str, Plan]:
    """The plans of a recorded completion by key, to be replayed.

    Raises:
        UsageError: when it was made by another version of the translator.
    """
    if plan and {key: plan.get(key) for key in identity(translator)} != identity(translator):
        raise UsageError(
            "The plan was made with another version of the model that makes up inputs",
            expected=f"{plan.get('model')} {plan.get('version')}, sha256 {str(plan.get('sha256'))[:12]}...",
            got=f"{translator.name} {translator.version}, sha256 {translator.weights.sha256[:12]}...",
            action="install that version, or leave the plan out",
        )
    return dict(plan.get("plans", {}))
