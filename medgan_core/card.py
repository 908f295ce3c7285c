"""The model card: everything a model says about itself, as JSON beside its weights."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from medgan_core.errors import ModelError
from medgan_core.parsing import parse
from medgan_core.preprocess import Preprocess

Task = Literal["translate", "denoise", "synthesize", "suggest", "restore", "detect", "gate"]
Kind = Literal["image", "labels", "trust", "map"]

IMAGE, LABEL_MAP, REFERENCE = "image", "labels", "reference"
SEGMENTATION, UNCERTAINTY = "segmentation", "uncertainty"
"""Keys of ports that appliers look for; others are a card's own."""


@dataclass(frozen=True, kw_only=True)
class Label:
    """One value of a label map.

    Args:
        value: of its voxels; 0 is never a label.
        name: that a person reads.
        colour: ``#rrggbb`` in which it is shown.
        snomed: code of the structure in SNOMED CT, for DICOM SEG; "" when there is none.
    """

    value: int
    name: str
    colour: str
    snomed: str = ""


@dataclass(frozen=True, kw_only=True)
class Port:
    """One thing a model takes or gives.

    Args:
        key: the short name used everywhere (``T1``, ``image``, ``labels``, ``trust``).
        title: the name a person reads.
        kind: image, labels, trust (expected absolute error of an output image), or map (something else to
            look at over the input; its unit says what).
        required: an input that must be there; optional ones are counted by `ModelCard.min_inputs`.
        unit: the scale of an output's voxels, in words.
        slice_factor: an output on a grid of its own has so many slices for each of the first input's, within
            the same outer faces; 1 is the first input's grid.
        labels: of a label map, what its values mean; none for a mask, in which any value but 0 is inside.
        apart: an input that may be of another patient: it is not brought onto the first one's grid.
    """

    key: str
    title: str
    kind: Kind = "image"
    required: bool = False
    unit: str = ""
    slice_factor: int = 1
    labels: tuple[Label, ...] = ()
    apart: bool = False


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A choice a person may make for a run, with its bounds."""

    key: str
    title: str
    kind: Literal["float", "int", "bool", "choice"]
    default: float | int | bool | str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    help: str = ""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Which network and with which options: `medgan_core.networks.build(name, options)`."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Where a volume lies that is made from nothing: axes along R, A, S, its middle at the origin.

    Args:
        shape: voxels along (R, A, S).
        spacing_mm: of the voxels.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Domain:
    """What the model was made for; the suitability check compares an input with it.

    Args:
        anatomy: what must be in the field of view, in words.
        modality: ``MR`` or ``CT``.
        spacing_mm: smallest and largest voxel side.
        extent_mm: smallest and largest field of view along any side.
        gate: name of the shipped gate model that recognises anatomy and contrast, or "".
        strict: refuse an input the gate does not recognise (else only caution).
        slice_ratio: smallest and largest distance of the slices as a multiple of the pixels' side; None when
            the model does not mind.
    """

    anatomy: str
    modality: str
    spacing_mm: tuple[float, float]
    extent_mm: tuple[float, float]
    gate: str = ""
    strict: bool = True
    slice_ratio: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """A data set the weights were trained on.

    Args:
        name: in words.
        patients: whose data were looked at.
        licence: of the data.
        citation: of who made them.
        share_alike: whether what is derived must have the same licence.
        note: what else is to be said, or "".
        set: its name in a manifest; "" for one that no manifest lists.
    """

    name: str
    patients: int
    licence: str
    citation: str
    share_alike: bool = False
    note: str = ""
    set: str = ""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How the weights came about: one command, what it ran on and for how long."""

    command: str
    recipe: str
    updates: int
    minutes: float
    device: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number with its spread and the command that prints it.

    Args:
        name: of the number.
        value: the number.
        unit: its unit, and what it is the mean of where that is not patients.
        n: patients behind it, or what `unit` says it is the mean of.
        split: who they are.
        command: prints it.
        spread: standard deviation over the n.
        baseline: what it is to be seen beside, in words.
    """

    name: str
    value: float
    unit: str
    n: int
    split: str
    command: str
    spread: float | None = None
    baseline: str = ""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The weights file beside the card and its hash."""

    file: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """A model's full description; `from_dict` refuses unknown keys and wrong types.

    Args:
        name: lower-case words with hyphens; also the folder's name.
        version: ``major.minor.patch``.
        title: the name a person reads.
        description: two or three sentences for a person.
        task: what it does.
        inputs: what it takes; `min_inputs` of them must be given.
        outputs: what it gives. A run asks for one of those of the first one's kind by its key; those of other
            kinds (trust map, segmentation, uncertainty) come with it.
        architecture: the network.
        preprocess: from the source's grid to the network's and back.
        domain: what it was made for.
        data: what it was trained on.
        training: how.
        licence: of the weights.
        figures: measured quality.
        limits: what it must not be used for and where it fails, in sentences.
        weights: file and hash.
        settings: choices of a run that this model understands.
        min_inputs: how many inputs must be given at least.
        trust_calibration: factor that makes the predicted expected error right on left-out patients.
        volume_calibration: for each label of a suggested segmentation the factor that makes the 90 % interval
            of its volume right on left-out patients (`metrics.volume_interval`); none where not measured.
        sides: values (left, right) of the labels of a suggested segmentation that are one class of the
            network; the plane half way through the head tells them apart.
        completes_with: name of the translation model that makes up inputs which are not given, or "".
        views: 3 when predictions along all three axes are averaged where voxels are nearly cubes, else 1.
        grid: of what is made when no input is given.
    """

    name: str
    version: str
    title: str
    description: str
    task: Task
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    architecture: Architecture
    preprocess: Preprocess
    domain: Domain
    data: tuple[DataSource, ...]
    training: Training
    licence: str
    figures: tuple[Figure, ...]
    limits: tuple[str, ...]
    weights: Weights
    settings: tuple[Setting, ...] = ()
    min_inputs: int = 1
    trust_calibration: float = 1.0
    volume_calibration: tuple[float, ...] = ()
    sides: tuple[tuple[int, int], ...] = ()
    completes_with: str = ""
    views: Literal[1, 3] = 1
    grid: Grid | None = None

    @property
    def runnable(self) -> bool:
        """Whether a person can run it; a gate is only asked by other models."""
        return self.task != "gate"

    @property
    def label_inputs(self) -> tuple[str, ...]:
        """Keys of the inputs that are label maps."""
        return tuple(port.key for port in self.inputs if port.kind == "labels")

    @property
    def targets(self) -> tuple[str, ...]:
        """Keys of the outputs a run can be asked for: those of the first one's kind."""
        return tuple(port.key for port in self.outputs if port.kind == self.outputs[0].kind)

    @property
    def label_classes(self) -> tuple[int, ...]:
        """For each label of a suggested segmentation its class in the network, counted from 1."""
        return label_classes(self.outputs[0].labels, self.sides)

    def input(self, key: str) -> Port:
        """The input of this key."""
        return next(port for port in self.inputs if port.key == key)

    def port(self, key: str) -> Port:
        """The output behind a result's key, which may be numbered (``image-002``)."""
        return next(p for p in self.outputs if key == p.key or key.startswith(f"{p.key}-"))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain

    @staticmethod
    def from_dict(plain: dict[str, Any]) -> ModelCard:
        """Read a card from plain JSON types.

        Raises:
            ModelError: on a missing or unknown key or a value of the wrong type.
        """
        return parse(ModelCard, plain, where="card")

    def save(self, path: Path) -> None:
        """Write the card as JSON."""
        path.write_text(json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    @staticmethod
    def load(path: Path) -> ModelCard:
        """Read a card.

        Raises:
            ModelError: when the file is missing, is not JSON, or is not a card.
        """
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ModelError(
                "The model card cannot be read",
                expected=f"a JSON file {path.name}",
                got=f"{type(error).__name__}: {error}",
                action="install or publish the model again",
            ) from error
        return ModelCard.from_dict(plain)


def label_classes(labels: tuple[Label, ...], sides: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    """Classes of labels in their order, counted from 1; the right one of two sides has that of the left.

    Raises:
        ModelError: when the left label of a right one does not stand before it.
    """
    left_of = {right: left for left, right in sides}
    found: dict[int, int] = {}
    for label in labels:
        first = left_of.get(label.value)
        if first is not None and first not in found:
            raise ModelError(
                f"The label {label.value} is a right side without its left one",
                expected=f"the label {first} before it",
                got=", ".join(map(str, found)) or "none before it",
                action="correct the card, or publish the model again",
            )
        found[label.value] = len(set(found.values())) + 1 if first is None else found[first]
    return tuple(found.values())
