"""The process that opens DICOM files from outside, and may die doing so.

``python -m medgan_core.io.dicom_child FOLDER SCRATCH MAX_VOXELS voxels|header`` writes ``result.json`` and,
when asked for voxels, ``voxels.npy`` (k, j, i) into SCRATCH.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from medgan_core.errors import InputError, MedganError
from medgan_core.io.dicom_series import Slice, Stack, common_rescale, stack

_NUMBERS = {
    "rows": "0028|0010", "columns": "0028|0011", "frames": "0028|0008", "samples": "0028|0002",
}  # fmt: skip


def main(folder: str, scratch: str, max_voxels: str, what: str) -> None:
    """Read the series and leave the result, or the error, in the scratch folder."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        result = _read(folder, Path(scratch), int(max_voxels), what == "voxels")
    except MedganError as error:
        result = {"error": error.to_dict()}
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1][-300:]
        result = {
            "error": InputError(
                "The DICOM files cannot be decoded",
                expected="the slices of one series",
                got=reason,
                action="export the series again, or convert it to NIfTI or NRRD",
            ).to_dict()
        }
    (Path(scratch) / "result.json").write_text(json.dumps(result), encoding="utf-8")


def _read(folder: str, scratch: Path, max_voxels: int, with_voxels: bool) -> dict[str, Any]:
    files = _only_series(folder)
    found = stack([_slice(file, folder) for file in files], max_voxels=max_voxels)
    paths = [str(Path(folder) / s.file) for s in found.slices]
    reader = sitk.ImageFileReader()
    reader.SetFileName(paths[0])
    reader.ReadImageInformation()
    pixel = reader.GetPixelID() if common_rescale(found.slices) else sitk.sitkFloat32
    dtype = sitk.GetArrayViewFromImage(sitk.Image([1, 1], pixel)).dtype
    if with_voxels:
        _voxels(paths, pixel, found, scratch)
    return {
        "shape": found.shape,
        "affine": found.affine.tolist(),
        "notes": list(found.notes),
        "dtype": dtype.str,
    }


def _voxels(paths: list[str], pixel: int, found: Stack, scratch: Path) -> None:
    """Decode slice by slice; the files were put in order by their place, so ITK's grid is not used."""
    i, j, _ = found.shape
    slices = []
    for path in paths:
        data = sitk.GetArrayFromImage(sitk.ReadImage(path, pixel))
        if data.size != i * j:
            raise InputError("A slice has another size than its header says", got=Path(path).name)
        slices.append(data.reshape(j, i))
    np.save(scratch / "voxels.npy", np.stack(slices), allow_pickle=False)


def _only_series(folder: str) -> list[str]:
    """Files of the one series in a folder.

    Raises:
        InputError: when there is none, or there are several.
    """
    found = sitk.ImageSeriesReader.GetGDCMSeriesIDs(folder)
    series = {uid: list(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(folder, uid)) for uid in found}
    if len(series) != 1:
        listed = "; ".join(_describe(files) for files in list(series.values())[:12])
        raise InputError(
            "The folder does not hold one DICOM series" if series else "The folder holds no DICOM series",
            expected="the slices of exactly one series",
            got=f"{len(series)} series: {listed}" if series else "no DICOM image",
            action="choose a folder with one series" if series else "choose the folder of a series",
        )
    return next(iter(series.values()))


def _describe(files: list[str]) -> str:
    tags = _tags(files[0])
    name = tags.get("0008|103e", "without description").strip()
    return f"{tags.get('0008|0060', '?').strip()} {name!r}, {len(files)} file(s)"


def _tags(file: str) -> dict[str, str]:
    reader = sitk.ImageFileReader()
    reader.SetFileName(file)
    reader.LoadPrivateTagsOff()
    reader.ReadImageInformation()
    wanted = ("0008|", "0018|0050", "0018|0088", "0020|0032", "0020|0037", "0028|")
    return {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys() if key.startswith(wanted)}


def _slice(file: str, folder: str) -> Slice:
    tags = _tags(file)
    whole = {name: int(float(tags.get(key, "1").strip() or 1)) for name, key in _NUMBERS.items()}
    slope, inter = _floats(tags, "0028|1053") or (1.0,), _floats(tags, "0028|1052") or (0.0,)
    thickness = _floats(tags, "0018|0088") or _floats(tags, "0018|0050") or (0.0,)
    return Slice(
        file=str(Path(file).relative_to(folder)),
        spacing=_floats(tags, "0028|0030"),
        orientation=_floats(tags, "0020|0037"),
        position=_floats(tags, "0020|0032"),
        rescale=(slope[0], inter[0]),
        thickness=thickness[0],
        modality=tags.get("0008|0060", "").strip(),
        localizer="LOCALIZER" in tags.get("0008|0008", "").upper(),
        **whole,
    )


def _floats(tags: dict[str, str], key: str) -> tuple[float, ...]:
    try:
        return tuple(float(n) for n in tags.get(key, "").split("\\") if n.strip())
    except ValueError:
        return ()


if __name__ == "__main__":
    main(*sys.argv[1:5])
