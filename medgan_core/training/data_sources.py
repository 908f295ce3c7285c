"""What a model's card says of its data: who was looked at in training, not who might have been.

A run's ``data.json`` lists every file there was (``files``) and the patients whose arrays were read to train
on (``read``), also by the run whose weights it began with. A recipe's card names the open sets that its
author knows: here each gets the number of its patients that were read, a set of which nobody was read is
left out, and sets that the recipe does not know are added under their own name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from medgan_core.card import DataSource, ModelCard
from medgan_core.data.witness import Patient
from medgan_core.registry import CARD
from medgan_core.training import folder
from medgan_core.training.recipe import Recipe

_TRAINED_ON = "Trained on "
"""How a limit begins that is of the sets which the author of a recipe knows."""


def note(run: Path, read: Collection[Patient], *, init: str = "") -> None:
    """Keep who was read for the training of a run, beside those it had read before it was resumed.

    Args:
        run: its folder.
        read: for its own samples.
        init: the run or model that its weights began with, "" for none.
    """
    before = folder.read(Path(init)) if init else None
    folder.write_read(run, sorted({*read, *(before or ()), *(folder.read(run) or ())}))


def told(recipe: Recipe, card: ModelCard, run: Path) -> ModelCard:
    """The recipe's card with the sources of a run, and of the model that its weights began with.

    As it is where the run does not say who was read. Where the recipe tells its data itself only the last of
    them is counted.
    """
    read = folder.read(run)
    if not read:
        return card
    if recipe.tells_data:
        *known, own = card.data
        return replace(card, data=(*known, replace(own, patients=len(read))))
    found = {source.name: source for source in sources(card.data, read, folder.there(run))}
    before = Path(recipe.init) / CARD
    for source in ModelCard.load(before).data if recipe.init and before.is_file() else ():
        own = found.setdefault(source.name, source)
        found[source.name] = max(own, source, key=lambda one: one.patients)
    return _own(replace(card, data=tuple(found.values())), known={source.name for source in card.data})


def _own(card: ModelCard, known: Collection[str]) -> ModelCard:
    """The card without what its recipe's author says of sets that were not read, where others were.

    The licence of the weights is then that of the data.
    """
    if all(source.name in known for source in card.data):
        return card
    names = ", ".join(source.name for source in card.data)
    said = f"{_TRAINED_ON}{names}; what other patients, scanners and contrasts bring was not seen."
    limits = (*(limit for limit in card.limits if not limit.startswith(_TRAINED_ON)), said)
    licences = " and ".join(dict.fromkeys(source.licence for source in card.data))
    return replace(card, limits=limits, licence=licences)


def sources(
    known: Sequence[DataSource], read: Collection[Patient], there: Collection[Patient]
) -> tuple[DataSource, ...]:
    """The sources of the patients read.

    Args:
        known: what is known of sets, by their name in the manifest; one without a set stays as it is.
        read: the patients whose arrays were read.
        there: all patients of the data.

    Returns:
        Known ones in their order, then unknown ones by name.
    """
    mine, all_of = Counter(p.set for p in read), Counter(p.set for p in {*there, *read})
    found = []
    for source in known:
        if not source.set:
            found.append(source)
        elif source.set in mine:
            found.append(_counted(source, mine[source.set], all_of[source.set]))
    for name in sorted(set(mine) - {source.set for source in known}):
        licences = sorted({p.licence for p in read if p.set == name} - {""})
        licence = ", ".join(licences) or "not stated"
        source = DataSource(name=name, patients=0, licence=licence, citation="not stated", set=name)
        found.append(_counted(source, mine[name], all_of[name]))
    return tuple(found)


def _counted(source: DataSource, mine: int, all_of_it: int) -> DataSource:
    share = f"{mine} of the {all_of_it} patients there are" if mine < all_of_it else ""
    return replace(source, patients=mine, note="; ".join(part for part in (source.note, share) if part))
