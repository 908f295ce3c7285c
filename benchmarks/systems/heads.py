"""Heads that may be shown: simulated from a label map, and the MNI152 template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from medgan_core.data.cases import Case, Storage, Stored
from medgan_core.data.stacks import Stack, stack
from medgan_core.data.study import Study, part
from medgan_core.data.training_set import open_training_set
from medgan_core.foreground import foreground, percentile_scale
from medgan_core.physics.mr_signal import Contrast
from medgan_core.physics.noise import rician
from medgan_core.physics.simulation import Head, add_lesions, signals, tissue_map
from medgan_core.physics.tissues import INDEX
from medgan_core.volume import Geometry

_TEXTURE = 0.04
_NOISE = 0.02
_LESION = "lesion"
_HEAD = 5  # a seed whose protocol tells grey from white matter and shows lesions in FLAIR
_SPOTS = 2  # a seed with which spots are drawn rather than a tumour
_SLAB = 24  # slices
_BLUR = 0.5  # voxels: tissues of a label map have no partial volume


def simulated(
    data: Path,
    contrasts: Sequence[str],
    *,
    pixel_mm: float,
    plane: str = "axial",
    seed: int = _HEAD,
    lesions: bool = False,
) -> Stack:
    """`simulated_case` in slices; with lesions the stack knows where they are.

    Args:
        data: a manifest's folder, or a pack.
        contrasts: of the head.
        pixel_mm: see `stacks.stack`.
        plane: see `stacks.PLANES`.
        seed: see `simulated_case`.
        lesions: see `simulated_case`.
    """
    case = simulated_case(data, contrasts, seed=seed, lesions=lesions)
    return stack(case, contrasts, plane=plane, pixel_mm=pixel_mm, label=_LESION if lesions else None)


def simulated_case(data: Path, contrasts: Sequence[str], *, seed: int = _HEAD, lesions: bool = False) -> Case:
    """One head by the MR signal equations from the first label map listed as ``val``, with 2 % Rician noise.

    Args:
        data: a manifest's folder, or a pack.
        contrasts: of the head, all of the same tissues.
        seed: of tissue parameters, protocol and noise.
        lesions: paint spots as of multiple sclerosis into the white matter.

    Returns:
        The images by contrast, and where spots are as the label ``lesion``.

    Raises:
        UsageError: when there is no label map to validate on.
    """
    labels = label_case(data)
    tissue = torch.from_numpy(tissue_map(labels.label("labels")))
    generator = torch.Generator().manual_seed(seed)
    if lesions:
        tissue = add_lesions(tissue, np.random.default_rng(_SPOTS), generator)
    head = Head.draw(np.random.default_rng(seed))
    fine = signals(tissue, head, cast("tuple[Contrast, ...]", tuple(contrasts)), generator, _TEXTURE)
    images = {}
    for key, clean in zip(contrasts, fine.numpy(), strict=True):
        blurred = ndimage.gaussian_filter(clean, _BLUR)
        scale = percentile_scale(blurred, foreground(blurred))
        noisy = rician(torch.from_numpy(blurred / np.float32(scale)), _NOISE, generator=generator)
        images[key] = _stored(noisy.numpy(), labels.geometry)
    spots = (tissue == INDEX["ms lesion"]).numpy().astype(np.int16)
    return Case(labels.study, images, {_LESION: Stored(spots, 1.0, 1.0, labels.geometry)})


def label_case(data: Path) -> Case:
    """The first label map listed as ``val``, under the key ``labels``.

    Raises:
        UsageError: when there is none.
    """
    there = open_training_set(data)
    maps = there.select(labels=["labels"], coverage=("head",))
    return there.case(part(maps, validation=True, purpose="simulated heads")[0], ["labels"])


def template(contrast: str, *, pixel_mm: float, plane: str = "axial") -> Stack:
    """`template_case` in slices.

    Args:
        contrast: that it is taken for; the template is T1.
        pixel_mm: see `stacks.stack`.
        plane: see `stacks.PLANES`.
    """
    return stack(template_case(contrast), [contrast], plane=plane, pixel_mm=pixel_mm)


def template_case(contrast: str = "T1") -> Case:
    """The MNI152 T1 template of nilearn: an average of 152 adults, brain only, 1 mm."""
    from nilearn.datasets import load_mni152_template  # late: it comes with the extra `scene`

    image = load_mni152_template(resolution=1)
    values = np.asarray(image.get_fdata(), dtype=np.float32)
    i, j, k = values.shape
    scaled = values / np.float32(percentile_scale(values, foreground(values, stripped=True)))
    study = Study("nilearn", "MNI152", "", "test", coverage="brain")
    return Case(study, {contrast: _stored(scaled, Geometry((i, j, k), image.affine))})


def shown(stack: Stack, *, spatial_dims: int, count: int = 3) -> tuple[Stack, list[int]]:
    """What a network needs to be given for a picture of a few slices, and which of its slices to show.

    Args:
        stack: a head.
        spatial_dims: of the network: in 2D the slices that are shown suffice, spread over the middle of the
            head; in 3D it is given a slab around its middle.
        count: of slices.
    """
    filled = stack.filled_slices(0.6)
    places = np.linspace(0.3, 0.8, count)
    if spatial_dims == 2:
        chosen = [filled[round(f * (len(filled) - 1))] for f in places]
        return replace(stack, images=stack.images[:, chosen], share=None), list(range(count))
    slab = filled[max(0, (len(filled) - _SLAB) // 2) :][:_SLAB]
    return replace(stack, images=stack.images[:, slab], share=None), [
        round(f * (len(slab) - 1)) for f in places
    ]


def framed(images: Tensor, size: Sequence[int]) -> Tensor:
    """The middle of images (n, h, w) as (n, *size), filled up with black, anterior (or upper) side up."""
    out = images.float()
    for axis, side in enumerate(size, start=1):
        spare = out.shape[axis] - side
        out = out.narrow(axis, max(spare, 0) // 2, min(side, out.shape[axis]))
        before = max(-spare, 0) // 2
        out = functional.pad(out, (0, 0) * (2 - axis) + (before, max(-spare, 0) - before))
    return out.transpose(1, 2).flip(1)


def _stored(image: NDArray[np.float32], geometry: Geometry) -> Stored:
    levels = Storage().levels
    return Stored(np.round(image * levels).astype(np.int16), 1 / levels, 1.0, geometry)
