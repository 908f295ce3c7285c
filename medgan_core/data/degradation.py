"""What to undo: slices that are too thick, and regions that are lost. Wrapped around any samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from medgan_core.data.draws import DEGRADATION, generators
from medgan_core.data.masks import MASKS, Draw, LesionShapes
from medgan_core.data.samples import Samples
from medgan_core.errors import UsageError

Profile = Literal["box", "gaussian"]
_FOREGROUND = 0.1
_ATTEMPTS = 10


def slice_profile(factor: int, profile: Profile) -> Tensor:
    """Weights of the fine slices that a thick one is made of; they sum to 1.

    Args:
        factor: thickness of a thick slice in fine slices.
        profile: ``box`` weighs the fine slices within the thickness equally. ``gaussian`` has its full
            width at half maximum there and reaches into the neighbours, as selective excitation does
            (Zhao et al., "SMORE", IEEE Trans Med Imaging 2021); it is cut off at 1.5 thicknesses from the
            middle.

    Returns:
        (factor,) or (3 factor,).
    """
    if profile == "box":
        return torch.full((factor,), 1.0 / factor)
    taps = 3 * factor
    offset = torch.arange(taps) - (taps - 1) / 2
    weights = torch.exp(-4 * torch.log(torch.tensor(2.0)) * (offset / factor) ** 2)
    return weights / weights.sum()


def thick_slices(image: Tensor, *, factor: int, axis: int = -1, profile: Profile = "gaussian") -> Tensor:
    """Thick slices as a scanner would have taken them from the same body.

    Thick slice m covers the fine slices m factor to (m + 1) factor - 1, so its centre is at
    ``(m + 0.5) factor - 0.5`` in fine slices. The outermost fine slices are repeated beyond the ends.

    Args:
        image: any shape, floating.
        factor: how many times thicker.
        axis: across the slices; its length must be a multiple of the factor.
        profile: see `slice_profile`.

    Returns:
        The same shape, shorter along `axis`.

    Raises:
        UsageError: when the length is not a multiple, or the profile is unknown.
    """
    count = image.shape[axis]
    if factor < 1 or count % factor or profile not in ("box", "gaussian"):
        raise UsageError(
            "Such thick slices cannot be made",
            expected="a profile box or gaussian, and a number of slices that is a multiple of the factor",
            got=f"{profile}, {count} slices, factor {factor}",
            action="choose another size",
        )
    weights = slice_profile(factor, profile).to(image)
    pad = (len(weights) - factor) // 2
    last = image.movedim(axis, -1)
    rows = functional.pad(last.reshape(-1, 1, count), (pad, pad), mode="replicate")
    out = functional.conv1d(rows, weights.view(1, 1, -1), stride=factor)
    return out.reshape(*last.shape[:-1], count // factor).movedim(-1, axis)


class ThickSliceSamples:
    """Adds to every sample the thick slices of its image.

    Args:
        samples: with the fine image; the slice axis should be one of isotropic voxels.
        factor: 2 or 4 as a rule.
        axis: of the image without batch axis; -1 is the last spatial one.
        profiles: drawn with equal chance, see `slice_profile`. Scanners differ: a network that knows one
            alone sharpens slices of another too much.
        key: of the image.
        seed: of the profiles.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        factor: int,
        axis: int = -1,
        profiles: Sequence[Profile] = ("gaussian",),
        key: str = "image",
        seed: int = 0,
    ) -> None:
        self._samples, self._factor, self._axis = samples, factor, axis
        self._profiles, self._key, self._seed = profiles, key, seed

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """The sample and ``low``, its image with fewer slices."""
        sample = self._samples[number]
        rng, _ = generators(self._seed, number, DEGRADATION)
        profile = self._profiles[int(rng.integers(len(self._profiles)))]
        low = thick_slices(sample[self._key], factor=self._factor, axis=self._axis, profile=profile)
        return {**sample, "low": low}


class MaskedSamples:
    """Adds to every sample a region to repair; at least half of it is foreground where that can be found.

    Args:
        samples: with the whole image.
        kinds: of masks, drawn with equal chance: ``blob``, ``box``, ``slices`` (see `masks`), ``lesion``.
        lesions: shapes for the kind ``lesion``; take them from training patients only.
        key: of the image.
        name: of the mask in the sample.
        seed: of the masks.

    Raises:
        UsageError: on an unknown kind, or ``lesion`` without shapes.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        kinds: Sequence[str] = ("blob", "box", "slices"),
        lesions: LesionShapes | None = None,
        key: str = "image",
        name: str = "hole",
        seed: int = 0,
    ) -> None:
        draws: dict[str, Draw] = {**MASKS, **({"lesion": lesions} if lesions is not None else {})}
        wrong = [kind for kind in kinds if kind not in draws]
        if wrong or not kinds:
            raise UsageError(
                "There is no such kind of mask",
                expected=", ".join(draws),
                got=", ".join(wrong) or "none",
                action="choose one of these; lesion needs lesion maps",
            )
        self._samples, self._draws = samples, [draws[kind] for kind in kinds]
        self._key, self._name, self._seed = key, name, seed

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """The sample, ``hole`` (1, *spatial), 1 where to repair, and ``masked``, the image with 0 there."""
        sample = self._samples[number]
        image = sample[self._key]
        rng, generator = generators(self._seed, number, DEGRADATION)
        draw = self._draws[int(rng.integers(len(self._draws)))]
        inside = (image > _FOREGROUND).any(dim=0)
        best, overlap = torch.zeros(inside.shape, dtype=torch.bool), -1.0
        for _ in range(_ATTEMPTS):
            mask = draw(tuple(inside.shape), rng, generator)
            share = float((mask & inside).sum()) / max(1, int(mask.sum()))
            if share > overlap:
                best, overlap = mask, share
            if overlap >= 0.5:
                break
        hole = best[None].float()
        return {**sample, self._name: hole, "masked": image * (1 - hole)}
