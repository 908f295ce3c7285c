"""A `Volume` into a file: NIfTI-1, NRRD or MetaImage by the name's ending, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from medgan_core.errors import ResourceError, UsageError
from medgan_core.io import nifti_write
from medgan_core.io.spaces import swap
from medgan_core.volume import Volume
from medgan_core.whole_files import replacing

_TYPES = {"float16": "float32", "bool": "uint8"}
"""Types no format here has, and what they are written as."""


def write(volume: Volume, path: str | os.PathLike[str], *, metadata: Mapping[str, str] | None = None) -> Path:
    """Write a volume of one channel; a file of that name is replaced only by a whole new one.

    Args:
        volume: voxels keep their type (float32 stays float32). When its geometry was read from a NIfTI
            file, qform, sform and codes are written as they were, byte for byte.
        path: ends in .nii, .nii.gz, .nrrd or .mha; its folder must exist.
        metadata: names and texts that travel with the volume: as JSON in a NIfTI header extension
            (code 6, comment), as key/value pairs of NRRD, as fields of MetaImage (line breaks become spaces).

    Returns:
        The path.

    Raises:
        UsageError: when the ending is unknown or there are several channels.
        ResourceError: when the file cannot be written.
    """
    path = Path(path)
    suffix = ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()
    if suffix not in _WRITERS:
        raise UsageError(
            f"{path.name} is not in a format that can be written",
            expected=", ".join(_WRITERS),
            got=suffix or "a name without ending",
            action="choose one of these endings",
        )
    if volume.channels != 1:
        raise UsageError(
            "A file holds one channel",
            expected="a volume (1, i, j, k)",
            got=f"{volume.channels} channels",
            action="write each channel into a file of its own",
        )
    kind = _TYPES.get(volume.data.dtype.name)
    if kind is not None:
        volume = volume.with_data(volume.data.astype(kind))
    try:
        with replacing(path, ending=suffix) as draft:
            _WRITERS[suffix](volume, draft, dict(metadata or {}))
    except (OSError, RuntimeError) as error:
        raise ResourceError(
            f"{path.name} could not be written",
            expected="a folder that exists, with room and permission",
            got=str(error).strip().splitlines()[-1],
            action="check the folder and the disk",
        ) from error
    return path


def _write_itk(volume: Volume, path: Path, metadata: dict[str, str]) -> None:
    import SimpleITK as sitk  # late: only these formats need it

    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.data[0].T))
    affine = swap(volume.geometry.affine)
    spacing = np.array(volume.geometry.spacing)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    for key, text in metadata.items():
        image.SetMetaData(key, text.replace("\n", " ") if path.suffix == ".mha" else text)
    sitk.WriteImage(image, str(path), useCompression=False)


_WRITERS: dict[str, Callable[[Volume, Path, dict[str, str]], None]] = {
    ".nii": nifti_write.write,
    ".nii.gz": nifti_write.write,
    ".nrrd": _write_itk,
    ".mha": _write_itk,
}
