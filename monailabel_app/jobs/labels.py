"""What is measured of a submitted label, and what the figures say beside those of the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from medgan_core import label_checks
from medgan_core.errors import InputError
from medgan_core.report import Report, Row, Verdict
from medgan_core.volume import Volume

DICE, LABELS = "dice", "labels"
METHODS = {
    DICE: "Dice of submitted labels with a model's own, both from the store",
    LABELS: "Submitted labels that are empty, mirrored, off the image's grid, or of an unusual volume",
}
_SAME_PLACE_MM = 0.01
_LEAST_DICE = 0.5
_MOST_SCORE = 3.5


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Figures of one label map; labels are text, as keys of JSON are.

    Args:
        volumes_ml: volume by label.
        on_grid: whether it lies on its image's grid; None when no image was looked at.
        mirrored: along which axes it seems to be mirrored; empty for none.
        overlaps: Dice with the other segmentation by label; None when there is no other.
    """

    volumes_ml: Mapping[str, float] = field(default_factory=dict)
    on_grid: bool | None = None
    mirrored: str = ""
    overlaps: Mapping[str, float] | None = None


def measure(label: Volume, image: Volume | None, reference: Volume | None) -> Measured:
    """Figures of one label map.

    Args:
        label: as it was submitted.
        image: that it is of; None when only the overlap is wanted.
        reference: another segmentation of the same image, if there is one.

    Raises:
        InputError: when it, or the reference, is no label map, or they do not lie on each other.
    """
    labels = label_checks.label_map(label)
    on_grid = None if image is None else label.geometry.close_to(image.geometry, tolerance_mm=_SAME_PLACE_MM)
    mirrored, overlaps = None, None
    if image is not None and on_grid:
        mirrored = label_checks.mirrored_beside_image(labels, image.data[0])
    if reference is not None:
        other = _beside(label, reference)
        if image is not None:
            mirrored = mirrored or label_checks.mirrored_beside_labels(labels, other)
        overlaps = _texts(label_checks.overlaps(labels, other))
    volumes = _texts(label_checks.volumes_ml(labels, label.geometry.spacing))
    return Measured(volumes_ml=volumes, on_grid=on_grid, mirrored=mirrored or "", overlaps=overlaps)


def judge(method: str, found: Mapping[str, Measured]) -> dict[str, Report]:
    """A report on every label.

    Args:
        method: ``dice`` or ``labels``.
        found: figures of all labels by their image's id; volumes are compared among them.
    """
    return _JUDGES[method](found)


def score(method: str, measured: Measured, report: Report) -> Any:
    """What a client of MONAI Label gets for an image: a number for ``dice``, an object for ``labels``."""
    if method == DICE:
        values = (measured.overlaps or {}).values()
        return round(fmean(values), 6) if values else None
    findings = [f"{row.name}: {row.value}" for row in report.rows if row.verdict in ("caution", "fail")]
    return {"verdict": report.verdict, "findings": findings, "volumes_ml": dict(measured.volumes_ml)}


def _dice(found: Mapping[str, Measured]) -> dict[str, Report]:
    return {image: Report(tuple(_overlap_rows(one))) for image, one in found.items()}


def _overlap_rows(one: Measured) -> list[Row]:
    limit = f">= {_LEAST_DICE}"
    return [
        Row(f"Dice of label {label}", round(value, 4), "", limit, _when(value >= _LEAST_DICE, "caution"))
        for label, value in (one.overlaps or {}).items()
    ]


def _plausible(found: Mapping[str, Measured]) -> dict[str, Report]:
    rows = {image: _rows(one) for image, one in found.items()}
    for label in sorted({label for one in found.values() for label in one.volumes_ml}, key=int):
        volumes = {image: one.volumes_ml[label] for image, one in found.items() if label in one.volumes_ml}
        outliers = label_checks.outlying(volumes)
        for image, volume in volumes.items():
            rows[image].append(_volume_row(label, volume, outliers.get(image)))
    return {image: Report(tuple(of_image)) for image, of_image in rows.items()}


def _rows(one: Measured) -> list[Row]:
    count = len(one.volumes_ml)
    grid = Row("On the image's grid", "yes" if one.on_grid else "no", "", "yes", _when(one.on_grid, "fail"))
    labels = Row("Labels", count, "", ">= 1", _when(count > 0, "fail"))
    seen = count > 0 and one.on_grid
    mirrored = Row(
        "Mirrored",
        f"along {one.mirrored}" if one.mirrored else "not seen",
        "",
        "not seen",
        _when(not one.mirrored, "caution") if seen or one.mirrored else "not assessed",
    )
    return [grid, labels, mirrored]


def _volume_row(label: str, volume: float, outlier: label_checks.Outlier | None) -> Row:
    name, value = f"Volume of label {label}", round(volume, 4)
    if outlier is None:
        return Row(name, value, "mL", "too few labels to compare with")
    limit = f"near {outlier.median:.4g}, the median of {outlier.n}"
    return Row(name, value, "mL", limit, _when(abs(outlier.score) <= _MOST_SCORE, "caution"))


def _when(good: bool | None, otherwise: Verdict) -> Verdict:
    return "pass" if good else otherwise


def _beside(label: Volume, reference: Volume) -> label_checks.LabelMap:
    """The reference's labels.

    Raises:
        InputError: when they lie elsewhere.
    """
    if not label.geometry.close_to(reference.geometry, tolerance_mm=_SAME_PLACE_MM):
        raise InputError(
            "The label and the model's own do not lie on each other",
            expected=f"a label on the grid of the model's own, {reference.geometry.shape}",
            got=f"{label.geometry.shape}, or another place",
            action="resample the label to the grid of its image",
        )
    return label_checks.label_map(reference)


def _texts(values: Mapping[int, float]) -> dict[str, float]:
    return {str(label): value for label, value in values.items()}


_JUDGES: dict[str, Callable[[Mapping[str, Measured]], dict[str, Report]]] = {
    DICE: _dice,
    LABELS: _plausible,
}
