"""Do two volumes of one patient lie on each other? A rigid registration says by how much they do not.

Mattes' mutual information (Mattes 2003) on blocks of about 4 mm, so that contrasts may differ. Points are in
RAS mm throughout; SimpleITK serves as a registration library only and does not care about the frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan_core.foreground import foreground
from medgan_core.report import Row, Verdict
from medgan_core.resampling import resample
from medgan_core.volume import Geometry, Volume

__all__ = ["ALIGNED_MM", "FAR_MM", "Misalignment", "check", "resample"]

ALIGNED_MM = 2.0
"""Volumes whose foregrounds are on average this close count as aligned; registration itself errs by less."""
FAR_MM = 10.0
"""Beyond this a model that is told both lie on one grid is misled."""
GAIN = 0.02
"""A motion must raise mutual information by this share, else the volumes stay where they are."""

_BLOCK_MM = 4.0
_BINS = 32
_SEED = 1
_SHARE = 0.5
_MIN_SIDE = 6


@dataclass(frozen=True)
class Misalignment:
    """How one volume has to move to lie on another.

    Args:
        translation_mm: length of the shift of the reference's centre.
        rotation_deg: angle of the rotation.
        displacement_mm: mean distance that the corners of the reference's foreground move.
        transform: 4x4, RAS mm: moves the volume's points to where they belong.
        assessed: False when there was too little image to register.
    """

    translation_mm: float
    rotation_deg: float
    displacement_mm: float
    transform: NDArray[np.float64]
    assessed: bool = True

    @property
    def aligned(self) -> bool:
        """True when nothing needs to move."""
        return self.displacement_mm <= ALIGNED_MM

    @property
    def residual(self) -> str:
        """The misalignment in words."""
        if not self.assessed:
            return "too little image to tell"
        if self.aligned:
            return f"aligned within {ALIGNED_MM:g} mm"
        return (
            f"off by {self.displacement_mm:.1f} mm ({self.translation_mm:.1f} mm, {self.rotation_deg:.1f}°)"
        )

    def row(self, key: str, reference: str, *, applied: bool = False) -> Row:
        """The line for the report; `applied` says that the transform is used."""
        name = f"{key}: distance from {reference}"
        if not self.assessed:
            return Row(name, self.residual, "", f"{ALIGNED_MM:g}", "not assessed")
        verdict: Verdict = "pass"
        if not self.aligned:
            verdict = "fail" if self.displacement_mm > FAR_MM and not applied else "caution"
            name += " (rigid alignment applied)" if applied else " (set align=true to correct it)"
        return Row(name, round(self.displacement_mm, 1), "mm", f"{ALIGNED_MM:g}", verdict)


def check(reference: Volume, moving: Volume) -> Misalignment:
    """Register `moving` to `reference` rigidly, at about 4 mm; the same inputs give the same answer.

    Args:
        reference: stays where it is; its first channel is used.
        moving: of the same patient, any contrast, any grid.

    Returns:
        The motion that aligns them; none at all when it does not raise mutual information clearly.
    """
    fixed, other = _coarse(reference), _coarse(moving)
    box = _foreground_corners(fixed)
    if box is None or min(*fixed.geometry.shape, *other.geometry.shape) < _MIN_SIDE or _flat(other):
        return Misalignment(0.0, 0.0, 0.0, np.eye(4), assessed=False)
    found = _register(fixed, other, box.mean(axis=0))
    return _describe(np.linalg.inv(found), box)


def _coarse(volume: Volume) -> Volume:
    """Means over blocks of about 4 mm, clipped at the 99.5th percentile."""
    block = [max(1, round(_BLOCK_MM / s)) for s in volume.geometry.spacing]
    size = [max(1, n // b) for n, b in zip(volume.geometry.shape, block, strict=True)]
    block = [min(b, n) for b, n in zip(block, volume.geometry.shape, strict=True)]
    cut = volume.data[0][tuple(slice(0, n * b) for n, b in zip(size, block, strict=True))]
    parts = [side for pair in zip(size, block, strict=True) for side in pair]
    small = cut.astype(np.float32).reshape(parts).mean(axis=(1, 3, 5), dtype=np.float32)
    small = np.nan_to_num(small, nan=0.0, posinf=0.0, neginf=0.0)
    small = np.clip(small, *np.percentile(small, (0.5, 99.5)))
    step = np.diag([*map(float, block), 1.0])
    step[:3, 3] = (np.array(block) - 1) / 2
    return Volume(small, Geometry((size[0], size[1], size[2]), volume.geometry.affine @ step))


def _flat(volume: Volume) -> bool:
    return bool(np.ptp(volume.data) == 0)


def _foreground_corners(volume: Volume) -> NDArray[np.float64] | None:
    """Corners of the box around the foreground, (8, 3) RAS mm; None when there is no foreground."""
    where = np.argwhere(foreground(volume.data[0]))
    if not len(where):
        return None
    ends = np.stack([where.min(axis=0), where.max(axis=0)])
    corners = np.array(np.meshgrid(*ends.T, indexing="ij"), dtype=np.float64).reshape(3, 8).T
    return np.asarray(corners @ volume.geometry.affine[:3, :3].T + volume.geometry.affine[:3, 3])


def _register(fixed: Volume, moving: Volume, centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """The motion from points of `fixed` to points of `moving`, 4x4."""
    images = _image(fixed), _image(moving)
    still = _score(*images, _euler(centre, np.zeros(3)))
    tried: list[tuple[float, int, Any]] = []
    for shift in _starts(fixed, moving, centre):
        transform = _euler(centre, shift)
        if _improve(_method((3, 2)), images, transform):
            tried.append((_score(*images, transform), len(tried), transform))
    if not tried:
        return np.eye(4)
    transform = min(tried)[2]
    _improve(_method((1,)), images, transform)
    moves = _score(*images, transform) < still * (1.0 + GAIN)
    # Sums over voxels differ in their last bits from run to run; rounding makes the answer repeat.
    return np.round(_matrix(transform), 6) if moves else np.eye(4)


def _improve(method: Any, images: tuple[Any, Any], transform: Any) -> bool:
    """Optimise a transform in place; False when no voxel of one image falls into the other."""
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(*images)
    except RuntimeError:
        return False
    return True


def _starts(fixed: Volume, moving: Volume, centre: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Shifts to start from: as they lie, and with the middles of both foregrounds on each other."""
    yield np.zeros(3)
    box = _foreground_corners(moving)
    if box is not None:
        yield box.mean(axis=0) - centre


def _image(volume: Volume) -> Any:
    import SimpleITK as sitk  # late: most runs have one input

    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.data[0].T))
    spacing = np.array(volume.geometry.spacing)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((volume.geometry.affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(volume.geometry.affine[:3, 3].tolist())
    return image


def _method(shrink: tuple[int, ...]) -> Any:
    """Mattes mutual information from coarse to fine; fixed seed and one thread, so that it repeats."""
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(_SHARE, _SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-3, 100, relaxationFactor=0.5)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(shrink)
    method.SetSmoothingSigmasPerLevel([_BLOCK_MM * (n - 1) for n in shrink])
    return method


def _score(fixed: Any, moving: Any, transform: Any) -> float:
    """Negative mutual information over every voxel; 0 when the images do not overlap."""
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetInitialTransform(transform)
    try:
        return float(method.MetricEvaluate(fixed, moving))
    except RuntimeError:
        return 0.0


def _euler(centre: NDArray[np.float64], shift: NDArray[np.float64]) -> Any:
    import SimpleITK as sitk

    transform = sitk.Euler3DTransform()
    transform.SetCenter(centre.tolist())
    transform.SetTranslation(shift.tolist())
    return transform


def _matrix(transform: Any) -> NDArray[np.float64]:
    out = np.eye(4)
    out[:3, :3] = np.array(transform.GetMatrix()).reshape(3, 3)
    centre, shift = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    out[:3, 3] = centre + shift - out[:3, :3] @ centre
    return out


def _describe(transform: NDArray[np.float64], box: NDArray[np.float64]) -> Misalignment:
    """The motion in numbers, at the reference's foreground."""
    inverse = np.linalg.inv(transform)
    moved = box @ inverse[:3, :3].T + inverse[:3, 3]
    cosine = (np.trace(transform[:3, :3]) - 1) / 2
    return Misalignment(
        translation_mm=float(np.linalg.norm(moved.mean(axis=0) - box.mean(axis=0))),
        rotation_deg=float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))),
        displacement_mm=float(np.linalg.norm(moved - box, axis=1).mean()),
        transform=transform,
    )
