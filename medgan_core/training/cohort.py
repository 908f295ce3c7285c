"""The studies of a folder that a model can be tuned on, and the patients held back to judge it."""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medgan_core import io
from medgan_core.card import Label, ModelCard
from medgan_core.data import bids, naming
from medgan_core.data.manifest import Manifest
from medgan_core.data.study import Study
from medgan_core.errors import InputError, UsageError
from medgan_core.suitability import unknown_values
from medgan_core.whole_files import replacing

_HELD_BACK = 0.2
_MOST = {"train": 48, "val": 12}
_MANIFESTS = ("manifest.csv", "manifest.json")
_FINAL = Path("labels", "final")
"""Where MONAI Label's datastore keeps submitted labels, below the images, each named as its image is."""

FOREIGN = "with values that the model does not know"
"""Why a submitted label is left out."""

IMAGE, LABELS = "T1", "labels"
"""Keys of a labelled crop, as the recipes on crops take them; the second is that of every label map."""


@dataclass(frozen=True)
class Cohort:
    """Studies with the images, or for a model that suggests segmentations the label maps, to learn from.

    Args:
        studies: listed as ``train``, or as ``val`` where the patient is held back.
        left_out: how many submitted labels are not among them, by reason.
    """

    studies: tuple[Study, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)

    @staticmethod
    def of(
        folder: Path,
        card: ModelCard,
        submitted: Mapping[str, Path] | None = None,
        *,
        opening: AbstractContextManager[Any] | None = None,
    ) -> Cohort:
        """What a folder holds for a model; names and headers are read, and the final labels of the chosen.

        The folder has a manifest, is a BIDS folder, or its file names tell patient and contrast (`naming`).
        Patients listed as ``val`` are held back; where none is, a fifth of them, and at least one.
        Patients listed as ``test`` are not looked at. Of very many, 48 studies to train on and 12 held back
        are taken, evenly by name, so that memory and time stay bounded. For translation the images of a
        study lie on one grid: those off the first one's are left out. For suggestions a study is an image, or
        the model's inputs, with a label map on its grid: one that the manifest lists, or a final label of the
        datastore. To a model of one input every image with a label map is a study; a name that ends in no
        contrast is then a patient's as a whole.

        Args:
            folder: of the data.
            card: of the model; one that translates needs two of its inputs, one of them a target.
            submitted: final labels of the images in the folder itself, by their names without ending; None
                takes those in ``labels/final``, of several of one name the newest. One with values that are
                none of the model's is left out, and another study takes its place.
            opening: held while a label is open; entered anew for each.

        Raises:
            UsageError: when too few patients fit.
            InputError: when the manifest is not in order, or a file is no volume.
        """
        suggests = card.task == "suggest"
        apart = suggests and len(card.inputs) == 1
        studies = _studies(folder, apart=apart)
        found = [s for s in studies if s.split != "test" and (suggests or s.of_head)]
        finals = (_finals(folder) if submitted is None else submitted) if suggests else {}
        if suggests:
            named = [case for s in found for case in _labelled(s, card, folder, finals)]
        else:
            named = [fit for s in found if (fit := _with_images(s, card)) is not None]
        foreign, bounded, chosen = _chosen(named, card, set(finals.values()), opening or nullcontext())
        known = [study for study in named if foreign.isdisjoint(study.labels.values())]
        left_out = _left_out(
            finals,
            ("not of an image that the model learns from", named),
            (FOREIGN, known),
            (f"beyond {_MOST['train']} studies to train on and {_MOST['val']} to judge", bounded),
            ("not on the image's grid", chosen),
        )
        if {s.split for s in chosen} != {"train", "val"}:
            raise _too_few(card, fitting=len(chosen), named=len(named), found=len(found), left_out=left_out)
        return Cohort(tuple(chosen), left_out)

    @property
    def held_back(self) -> tuple[Study, ...]:
        """The studies of the patients held back."""
        return tuple(s for s in self.studies if s.split == "val")

    @property
    def files(self) -> list[Path]:
        """All images and label maps."""
        return [path for s in self.studies for path in (*s.images.values(), *s.labels.values())]

    @property
    def patients(self) -> int:
        """How many patients there are to train on."""
        return len({s.patient for s in self.studies if s.split == "train"})

    def to_list(self) -> list[dict[str, Any]]:
        """The studies as plain JSON types; paths are absolute."""
        return [
            {
                "set": s.source or "site",
                "patient": s.patient,
                "visit": s.visit,
                "split": s.split,
                "coverage": s.coverage,
                "licence": s.licence,
                "images": {key: str(path.resolve()) for key, path in s.images.items()},
                "labels": {key: str(path.resolve()) for key, path in s.labels.items()},
            }
            for s in self.studies
        ]


def write(studies: Sequence[Mapping[str, Any]], folder: Path) -> Cohort:
    """Make a folder with the files of what `Cohort.to_list` gave and a ``manifest.json`` of them, once.

    A label map that is submitted anew, or an image that is stored anew, changes nothing here: labels are
    copied, images linked where the disk allows it. A folder that was made before stays as it is.

    Returns:
        The cohort; its files are those in the folder.

    Raises:
        InputError: when a file is no longer there.
        OSError: when it cannot be written.
    """
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        kept = [_kept(study, folder, f"{number:03d}") for number, study in enumerate(studies, start=1)]
        with replacing(manifest) as draft:
            draft.write_text(json.dumps({"studies": kept}, indent=2), encoding="utf-8")
    return Cohort(Manifest.load(folder).studies)


def _kept(study: Mapping[str, Any], folder: Path, name: str) -> dict[str, Any]:
    """A study with its files in a folder of this name, and named relative to the folder of all."""
    kept = dict(study)
    for kind, put in (("images", _link), ("labels", shutil.copyfile)):
        kept[kind] = {}
        for number, (key, source) in enumerate(study[kind].items(), start=1):
            path = Path(source)
            place = Path(name, kind, f"{number}{path.name.removeprefix(naming.stem(path.name))}")
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            if not path.is_file():
                raise InputError(
                    "A file of the studies is not there any more",
                    expected=path.name,
                    got="nothing",
                    action="submit the tuning again",
                )
            put(path, folder / place)
            kept[kind][key] = place.as_posix()
    return kept


def _link(source: Path, place: Path) -> None:
    """Another name of a file, or a copy where the disk does not allow that."""
    try:
        os.link(source, place)
    except OSError:
        shutil.copyfile(source, place)


def _studies(folder: Path, *, apart: bool) -> Sequence[Study]:
    if any((folder / name).is_file() for name in _MANIFESTS) or bids.is_bids(folder):
        return Manifest.load(folder).studies
    return naming.read(folder, apart=apart)


def _with_images(study: Study, card: ModelCard) -> Study | None:
    """The study with the images of use for the model alone, or None when they are too few."""
    translates = card.task == "translate"
    keys = [port.key for port in card.inputs] if translates else study.magnitudes
    images = {key: study.images[key] for key in keys if key in study.images}
    enough = len(images) >= 2 and bool(set(images) & set(card.targets)) if translates else bool(images)
    return replace(study, images=images, labels={}) if enough else None


def _labelled(study: Study, card: ModelCard, folder: Path, finals: Mapping[str, Path]) -> list[Study]:
    """What the model takes of a study with its label map alone; several where each image has one of its own.

    The label map that a manifest lists is that of the first of them.
    """
    listed = study.labels.get(LABELS) or next(iter(study.labels.values()), None)
    coverage = "crop" if len(card.inputs) == 1 else study.coverage
    cases: list[Study] = []
    for images in _inputs(study, card):
        names = [naming.stem(path.name) for path in images.values() if path.parent == folder]
        label = listed or next((finals[name] for name in names if name in finals), None)
        listed = None
        if label is not None:
            visit = study.visit if not cases else names[0]
            cases.append(
                replace(study, visit=visit, coverage=coverage, images=images, labels={LABELS: label})
            )
    return cases


def _inputs(study: Study, card: ModelCard) -> list[dict[str, Path]]:
    """What a model that suggests may be given: any image as a crop, or those of several inputs by their keys.

    An image whose name tells no contrast, alone in its study, is the first input.
    """
    if len(card.inputs) == 1:
        return [{IMAGE: study.images[key]} for key in study.magnitudes]
    images = {port.key: study.images[port.key] for port in card.inputs if port.key in study.images}
    if not images and len(study.images) == 1:
        images = {card.inputs[0].key: next(iter(study.images.values()))}
    return [images] if all(port.key in images for port in card.inputs if port.required) else []


def _finals(folder: Path) -> dict[str, Path]:
    """Final labels of a datastore's folder by their images' names, of several of one name the newest."""
    found = [path for path in (folder / _FINAL).glob("[!.]*.*") if path.is_file()]
    return {naming.stem(path.name): path for path in sorted(found, key=lambda path: path.stat().st_mtime)}


def _chosen(
    named: list[Study], card: ModelCard, finals: set[Path], opening: AbstractContextManager[Any]
) -> tuple[set[Path], list[Study], list[Study]]:
    """Final labels that mean nothing to the model, the studies taken without these, and those that fit."""
    labels = [label for port in card.outputs for label in port.labels]
    fit = {"translate": _on_one_grid, "suggest": _on_label_grid}.get(card.task, lambda study, _: study)
    foreign: set[Path] = set()
    looked_at: set[Path] = set()
    while True:
        bounded = _bounded(_split([s for s in named if foreign.isdisjoint(s.labels.values())]))
        chosen = [one for study in bounded if (one := fit(study, card)) is not None]
        new = {path for study in chosen for path in study.labels.values()} & finals - looked_at
        found = {path for path in new if _is_foreign(path, labels, opening)}
        if not found:
            return foreign, bounded, chosen
        foreign, looked_at = foreign | found, looked_at | new


def _is_foreign(path: Path, labels: Sequence[Label], opening: AbstractContextManager[Any]) -> bool:
    with opening:
        return bool(unknown_values(io.read(path).data, labels).size)


def _left_out(finals: Mapping[str, Path], *steps: tuple[str, Sequence[Study]]) -> dict[str, int]:
    """How many submitted labels every step left out: its reason, and the studies that were there after it."""
    left, found = set(finals.values()), {}
    for reason, studies in steps:
        kept = left & {path for study in studies for path in study.labels.values()}
        if kept != left:
            found[reason] = len(left - kept)
        left = kept
    return found


def _on_label_grid(study: Study, card: ModelCard) -> Study | None:
    """The study without the images off its label map's grid, or None when one that is needed is off."""
    grid = io.read_header(study.labels[LABELS]).geometry
    images = {
        key: path
        for key, path in study.images.items()
        if io.read_header(path).geometry.close_to(grid, tolerance_mm=1e-2)
    }
    needed = {IMAGE} if len(card.inputs) == 1 else {port.key for port in card.inputs if port.required}
    return replace(study, images=images) if images and needed <= set(images) else None


def _on_one_grid(study: Study, card: ModelCard) -> Study | None:
    """The study without the images off the first one's grid, or None when too few are left."""
    grids = {key: io.read_header(path).geometry for key, path in study.images.items()}
    first = next(iter(grids.values()))
    images = {k: p for k, p in study.images.items() if grids[k].close_to(first, tolerance_mm=1e-2)}
    return _with_images(replace(study, images=images), card)


def _split(studies: list[Study]) -> list[Study]:
    """As listed, where that leaves some on either side; else a fifth of the patients is held back.

    Whom is decided by a hash of the names, so that most stay where they are when others come.
    """
    if {s.split for s in studies} == {"train", "val"}:
        return studies
    patients = sorted({s.patient for s in studies}, key=lambda name: zlib.crc32(name.encode()))
    held = patients[: max(1, round(len(patients) * _HELD_BACK))]
    return [replace(s, split="val" if s.patient in held else "train") for s in studies]


def _bounded(studies: list[Study]) -> list[Study]:
    chosen = []
    for split, most in _MOST.items():
        part = sorted((s for s in studies if s.split == split), key=lambda s: (s.patient, s.visit))
        count = min(most, len(part))
        chosen += [part[number * len(part) // count] for number in range(count)]
    return chosen


def _too_few(
    card: ModelCard, *, fitting: int, named: int, found: int, left_out: Mapping[str, int]
) -> UsageError:
    wanted = "a clean MR image of the head or brain"
    where = "listed in manifest.csv, in BIDS layout, or named PATIENT_T1.nii.gz or PATIENT/T1.nii.gz"
    if card.task == "suggest":
        wanted, where = (
            "a final label on its image's grid",
            "submitted to the store, or listed in manifest.csv",
        )
    if card.task == "translate":
        wanted = f"two or more of {', '.join(port.key for port in card.inputs)} on one grid"
    return UsageError(
        f"There is too little to tune {card.name!r} on",
        expected=f"at least two patients (one is held back) with {wanted}, {where}",
        got=f"{found} studies, {named} with such images, {fitting} of use"
        + "".join(f"; {count} submitted labels {reason}" for reason, count in left_out.items()),
        action="name the files so, or put a manifest.csv beside them (docs/rest.md)",
    )
