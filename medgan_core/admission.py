"""May a model work on these inputs? Its card's domain and its gate asked, for every entry to the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from medgan_core import suitability
from medgan_core.card import ModelCard
from medgan_core.errors import UnsuitableError
from medgan_core.registry import Model
from medgan_core.report import Report, Row
from medgan_core.volume import Volume


def looked_at(card: ModelCard, inputs: Mapping[str, Volume]) -> list[Row]:
    """What the reader noted about each input, and voxels and field of view against the card.

    They are held against the card of every image, and of a label map where the result lies on its grid.

    Args:
        card: of the model.
        inputs: by key, in the order of the card.

    Raises:
        InputError: for an input no model can work on.
    """
    rows: list[Row] = []
    for number, (key, volume) in enumerate(inputs.items()):
        rows += [Row(f"{key}: note", note, verdict="caution") for note in volume.notes]
        labels = key in card.label_inputs
        if labels:
            suitability.check_label_map(key, volume)
            suitability.check_labels(card.input(key), volume)
        else:
            suitability.check_voxels(key, volume)
        if number == 0 or not labels:
            rows += suitability.geometry_rows(card.domain, key, volume, labels=labels)
    return rows


def gated(
    card: ModelCard,
    volumes: Mapping[str, Volume],
    rows: list[Row],
    find: Callable[[str], Model],
    *,
    allow: bool = False,
) -> list[Row]:
    """Rows of the gate, which is asked unless the rows so far fail already.

    Args:
        card: of the model.
        volumes: inputs by key.
        rows: on them so far.
        find: from the gate's name to the gate.
        allow: go on though a row fails.

    Raises:
        UnsuitableError: when a row fails, unless `allow`; its `report` has the rows.
    """
    failed = [row for row in rows if row.verdict == "fail"]
    told: list[Row] = []
    images = {key: volume for key, volume in volumes.items() if key not in card.label_inputs}
    if card.domain.gate and images and not failed:
        told = suitability.gate_rows(card.domain, images, find(card.domain.gate).network)
    failed += [row for row in told if row.verdict == "fail"]
    if failed and not allow:
        error = UnsuitableError(
            f"The input does not suit the model {card.name!r}",
            expected=f"{card.domain.anatomy}, {card.domain.modality}; "
            + "; ".join(f"{row.name}: {row.limit} {row.unit}".rstrip() for row in failed),
            got="; ".join(f"{row.name}: {row.value} {row.unit}".rstrip() for row in failed),
            action="choose another volume or model; to run all the same, set allow_unsuitable=true",
        )
        error.report = Report(tuple(rows + told)).to_dict()
        raise error
    return told
