"""What a shipped model is shown on: simulated heads and the MNI152 template, never a patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.systems.heads import label_case, simulated_case, template_case
from medgan_core.engine import Session, run
from medgan_core.physics.labels import LABEL_NAMES
from medgan_core.physics.noise import rician
from medgan_core.physics.simulation import tissue_map
from medgan_core.physics.tissues import INDEX
from medgan_core.request import RunOptions
from medgan_core.volume import Geometry, Volume

_NOISE, _THICK, _RADIUS_MM = 0.09, 4, 14.0
_NUMBER = {name: value for value, name in LABEL_NAMES.items()}


@dataclass(frozen=True, kw_only=True)
class Example:
    """One run of a model.

    Args:
        inputs: by key.
        options: of the run.
        axis: of the arrays, that the slices of the picture are perpendicular to.
        shown: first and last of these slices, as shares of the way through.
        said: what the inputs are, in a sentence.
    """

    inputs: Mapping[str, Volume]
    options: RunOptions = field(default_factory=RunOptions)
    axis: int = 2
    shown: tuple[float, float] = (0.35, 0.65)
    said: str


@cache
def template() -> Volume:
    """MNI152, T1."""
    return template_case().images["T1"].volume()


@cache
def head(data: Path) -> Mapping[str, Volume]:
    """A simulated head with spots as of multiple sclerosis, by contrast."""
    images = simulated_case(data, ("T1", "T2", "FLAIR"), lesions=True).images
    return {key: image.volume() for key, image in images.items()}


def label_map(data: Path) -> Volume:
    """A whole head, FreeSurfer's numbers."""
    labels = label_case(data).labels["labels"].volume()
    return labels.with_data(labels.data.astype(np.int16))


def thick(volume: Volume, count: int = _THICK) -> Volume:
    """Slices of so many slices' mean each."""
    data = volume.data[..., : volume.data.shape[-1] // count * count]
    means = data.reshape(*data.shape[:-1], -1, count).mean(-1)
    affine = volume.geometry.affine @ np.diag([1.0, 1.0, count, 1.0])
    affine[:3, 3] += volume.geometry.affine[:3, 2] * (count - 1) / 2
    return _volume(means, affine)


def noisy(volume: Volume, sigma: float = _NOISE) -> Volume:
    """With Rician noise, sigma as a share of the value 1."""
    clean, generator = torch.from_numpy(volume.data), torch.Generator().manual_seed(0)
    return volume.with_data(rician(clean, sigma, generator=generator).numpy())


def ball(volume: Volume, radius_mm: float = _RADIUS_MM) -> Volume:
    """A mask beside the middle of a volume."""
    shape = volume.geometry.shape
    axes = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    middle = [(n - 1) * share for n, share in zip(shape, (0.68, 0.5, 0.55), strict=True)]
    steps = zip(axes, middle, volume.geometry.spacing, strict=True)
    distance = np.sqrt(sum(((a - m) * mm) ** 2 for a, m, mm in steps))
    return volume.with_data((distance < radius_mm).astype(np.uint8)[None])


def _volume(data: NDArray[Any], affine: NDArray[Any]) -> Volume:
    _, i, j, k = data.shape
    return Volume(data, Geometry((i, j, k), affine))


def with_tumour(labels: Volume) -> Volume:
    """A map of FreeSurfer's numbers with a tumour, and oedema in the white matter around it."""
    data = labels.data.copy()
    white = tissue_map(data) == INDEX["white"]
    data[(ball(labels, 2 * _RADIUS_MM).data > 0) & white] = _NUMBER["Oedema around a tumour"]
    data[ball(labels).data > 0] = _NUMBER["Solid or enhancing tumour"]
    return labels.with_data(data)


_PAIRS = "hippocampus-synthesize"
_ON_TEMPLATE = "the MNI152 template (T1)"
_ON_HEAD = "a simulated head with spots as of multiple sclerosis"


def _translate(data: Path, session: Session) -> Example:
    return Example(inputs={"T1": template()}, options=RunOptions(target="T2"), said=_ON_TEMPLATE)


def _denoise(data: Path, session: Session) -> Example:
    return Example(
        inputs={"image": noisy(head(data)["T2"])}, said=f"a simulated T2 with {_NOISE:.0%} of Rician noise"
    )


def _thin_slices(data: Path, session: Session) -> Example:
    said = f"{_ON_TEMPLATE}, slices of {_THICK} mm"
    return Example(inputs={"image": thick(template())}, axis=1, said=said)


def _inpaint(data: Path, session: Session) -> Example:
    inputs = {"image": template(), "mask": ball(template())}
    return Example(inputs=inputs, shown=(0.52, 0.6), said=f"{_ON_TEMPLATE} and a mask")


def _variants(data: Path, session: Session) -> Example:
    return Example(inputs={"image": template()}, options=RunOptions(count=3), said=_ON_TEMPLATE)


def _hippocampus(data: Path, session: Session) -> Example | None:
    if _PAIRS not in session.registry.names():
        return None
    crop = run(session, _PAIRS, {}, RunOptions()).volumes["image"]
    return Example(inputs={"image": crop}, axis=0, said=f"a crop that `{_PAIRS}` drew from nothing")


def _anomaly(data: Path, session: Session) -> Example:
    said = f"{_ON_HEAD}: eyes and skull stand out, a small lesion (third slice) is missed"
    return Example(inputs={"FLAIR": head(data)["FLAIR"]}, said=said)


def _brain(data: Path, session: Session) -> Example:
    return Example(inputs={"image": template()}, said=_ON_TEMPLATE)


def _lesions(data: Path, session: Session) -> Example:
    return Example(inputs={"FLAIR": head(data)["FLAIR"], "T1": head(data)["T1"]}, said=_ON_HEAD)


def _pairs(data: Path, session: Session) -> Example:
    return Example(inputs={}, options=RunOptions(count=4), axis=0, said="nothing: four pairs are drawn")


def _painted(data: Path, session: Session) -> Example:
    return Example(
        inputs={"labels": with_tumour(label_map(data))},
        options=RunOptions(target="FLAIR", count=2),
        said="a label map of a head with a tumour painted into it, two seeds",
    )


EXAMPLES: Mapping[str, Callable[[Path, Session], Example | None]] = {
    "brain-mr-translate": _translate,
    "mr-denoise": _denoise,
    "mr-thin-slices": _thin_slices,
    "mr-inpaint": _inpaint,
    "mr-variants": _variants,
    _PAIRS: _pairs,
    "brain-mr-synthesize": _painted,
    "hippocampus-suggest": _hippocampus,
    "brain-suggest": _brain,
    "lesion-suggest": _lesions,
    "flair-anomaly": _anomaly,
}
"""By a model's name, from the folder with the manifest and where other models run; None for no picture."""
