"""A DICOM series (a folder), opened in a child process that may die.

The child (`medgan_core.io.dicom_child`) leaves the voxels as a plain array and the rest as JSON in a
temporary folder, which is gone when this returns, whatever happened.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import medgan_core
from medgan_core.errors import InputError, MedganError, ResourceError
from medgan_core.io.layout import Header, header
from medgan_core.volume import Geometry, Volume

TIMEOUT_S = 600.0


def read_series(folder: Path, *, max_voxels: int, timeout_s: float = TIMEOUT_S) -> Volume:
    """The one series in a folder.

    Raises:
        InputError: when there is none or several, slices do not form one volume, or the reader died.
    """
    with tempfile.TemporaryDirectory(prefix="medgan-") as scratch:
        result = _child(folder, Path(scratch), max_voxels, timeout_s, "voxels")
        data = np.load(Path(scratch) / "voxels.npy", allow_pickle=False)
    return Volume(data.T, _geometry(result), tuple(result["notes"]))


def read_series_header(folder: Path, *, max_voxels: int, timeout_s: float = TIMEOUT_S) -> Header:
    """The grid of the one series in a folder; voxels are not decoded.

    Raises:
        InputError: as `read_series`.
    """
    with tempfile.TemporaryDirectory(prefix="medgan-") as scratch:
        result = _child(folder, Path(scratch), max_voxels, timeout_s, "header")
    return header(_geometry(result), np.dtype(result["dtype"]), result["notes"])


def _geometry(result: dict[str, Any]) -> Geometry:
    i, j, k = result["shape"]
    return Geometry((i, j, k), np.array(result["affine"]))


def _child(folder: Path, scratch: Path, max_voxels: int, timeout_s: float, what: str) -> dict[str, Any]:
    """Run the child and return its JSON.

    ``-P`` keeps the working directory out of the child's import path.
    """
    command = [sys.executable, "-P", "-m", "medgan_core.io.dicom_child"]
    command += [str(folder.resolve()), str(scratch), str(max_voxels), what]
    root = str(Path(medgan_core.__file__).resolve().parent.parent)
    known = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([root, *([known] if known else [])])
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            env={**os.environ, "PYTHONPATH": path},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _unreadable(folder, f"no answer within {timeout_s:.0f} s") from error
    except OSError as error:
        raise ResourceError("The reading process could not be started", got=str(error)) from error
    answer = scratch / "result.json"
    if done.returncode != 0 or not answer.is_file():
        raise _unreadable(folder, f"the reading process ended with status {done.returncode}")
    result: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    if "error" in result:
        parts = {key: result["error"][key] for key in ("expected", "got", "action")}
        refused: MedganError = InputError(result["error"]["what"], **parts)
        raise refused
    return result


def _unreadable(folder: Path, got: str) -> InputError:
    return InputError(
        f"The DICOM files in {folder.name} cannot be read",
        expected="a folder with the slices of one series",
        got=got,
        action="export the series again, or convert it to NIfTI or NRRD",
    )
