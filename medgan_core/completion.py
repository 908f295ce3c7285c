"""Inputs that a model takes and nobody gave, made up by a translation model from those that were given."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from medgan_core.card import ModelCard, Setting
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

Translate = Callable[[Mapping[str, Volume], str, Callable[[Progress], None]], Volume]
"""From inputs and the key of the one wanted to its volume on the first input's grid; tells its progress."""


def complete(
    card: ModelCard,
    translator: ModelCard,
    volumes: Mapping[str, Volume],
    translate: Translate,
    monitor: Monitor,
) -> tuple[dict[str, Volume], list[Row]]:
    """The inputs with those that the translator can add, in the order of the card, and rows that say so.

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
        return dict(volumes), []
    made: dict[str, Volume] = {}
    rows = []
    for number, key in enumerate(wanted):
        with monitor.share(number / len(wanted), (number + 1) / len(wanted)):
            made[key] = translate(given, key, lambda told: monitor.step(told.fraction))
        how = f"by {translator.name} {translator.version} from {' and '.join(given)}"
        rows.append(Row(f"{key}: made up", how, verdict="caution"))
    together = {**volumes, **made}
    return {port.key: together[port.key] for port in card.inputs if port.key in together}, rows
