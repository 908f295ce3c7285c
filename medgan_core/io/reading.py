"""A path in, a `Volume` out: the format by name, then the voxels as the checked header says."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan_core.errors import InputError
from medgan_core.io import dicom, metaimage, nifti, nrrd, streams
from medgan_core.io.layout import MAX_VOXELS, Header, Layout
from medgan_core.volume import Volume

_PARSERS: dict[str, Callable[..., Layout]] = {
    ".nii": nifti.parse,
    ".nii.gz": nifti.parse,
    ".nrrd": nrrd.parse,
    ".mha": metaimage.parse,
}
_DETACHED = {".nhdr": ".nrrd", ".mhd": ".mha", ".hdr": ".nii", ".img": ".nii"}
FORMATS = "NIfTI (.nii, .nii.gz), NRRD (.nrrd), MetaImage (.mha), or a folder with one DICOM series"


def read(path: str | os.PathLike[str], *, max_voxels: int = MAX_VOXELS) -> Volume:
    """Read a volume.

    Integers stay as they are stored; stored scaling gives float32. Voxels that are not finite become 0.
    What had to be decided or repaired is in the volume's notes.

    Args:
        path: a NIfTI, NRRD or MetaImage file, or a folder with one DICOM series.
        max_voxels: larger volumes are refused before memory is taken.

    Returns:
        One channel, (1, i, j, k), on its grid in RAS mm.

    Raises:
        InputError: when there is no such file, it is damaged, or it is not one 3D volume of real numbers.
    """
    path = Path(path)
    if path.is_dir():
        volume = dicom.read_series(path, max_voxels=max_voxels)
        return _finite(volume.data[0], volume.notes, volume)
    layout = _parse(path, max_voxels)
    data = streams.voxels(path, layout).reshape(layout.header.geometry.shape, order="F")
    if (layout.slope, layout.inter) != (1.0, 0.0):
        data = _scaled(data, layout)
    volume = Volume(data, layout.header.geometry, layout.header.notes)
    return _finite(data, volume.notes, volume)


def read_header(path: str | os.PathLike[str], *, max_voxels: int = MAX_VOXELS) -> Header:
    """Check a file's header and what it claims, without decompressing its voxels.

    Args:
        path: as for `read`.
        max_voxels: larger volumes are refused.

    Raises:
        InputError: when the header alone shows that `read` would refuse the file.
    """
    path = Path(path)
    if path.is_dir():
        return dicom.read_series_header(path, max_voxels=max_voxels)
    layout = _parse(path, max_voxels)
    streams.check_room(path, layout)
    return layout.header


def _parse(path: Path, max_voxels: int) -> Layout:
    name = path.name.lower()
    suffix = ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower()
    if suffix in _DETACHED:
        raise InputError(
            f"{path.name} is a header or a data file without the other",
            expected=f"header and voxels in one file ({_DETACHED[suffix]})",
            got=f"a {suffix} file, which names another file for its voxels",
            action=f"save the volume as {_DETACHED[suffix]}",
        )
    if suffix not in _PARSERS:
        raise InputError(
            f"{path.name} is not in a format that can be read",
            expected=FORMATS,
            got=suffix or "a name without ending",
            action="export the volume in one of these formats; for DICOM give the folder",
        )
    if not path.is_file():
        raise InputError("There is no such file", expected="a volume", got=str(path), action="check the path")
    try:
        return _PARSERS[suffix](path, max_voxels=max_voxels)
    except OSError as error:
        raise InputError(
            f"{path.name} cannot be opened",
            expected="a readable file",
            got=error.strerror or str(error),
            action="check the file and its permissions",
        ) from error


def _scaled(data: NDArray[Any], layout: Layout) -> NDArray[np.float32]:
    """Stored values times slope plus intercept, float32; wide integers are scaled in float64 first."""
    narrow = data.dtype.itemsize <= 2 or data.dtype == np.float32
    out: NDArray[Any] = data.astype(np.float32 if narrow else np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        np.multiply(out, out.dtype.type(layout.slope), out=out)
        np.add(out, out.dtype.type(layout.inter), out=out)
        return np.asarray(out, dtype=np.float32)


def _finite(data: NDArray[Any], notes: tuple[str, ...], volume: Volume) -> Volume:
    """Replace what is not finite by 0, and say how much of it there was."""
    if data.dtype.kind != "f":
        return volume
    good = np.isfinite(data)
    bad = data.size - int(np.count_nonzero(good))
    if bad == 0:
        return volume
    clean = np.where(good, data, data.dtype.type(0))
    share = 100 * bad / data.size
    note = f"{bad:,} voxels ({share:.2g} %) were not finite numbers; they were set to 0."
    return Volume(clean, volume.geometry, (*notes, note))
