"""Files that are not one whole volume, made byte by byte where a library would not make them."""

import gzip

import nibabel
import numpy as np
import pytest

from medgan_core import io
from medgan_core.errors import InputError
from medgan_core.volume import Geometry, Volume

SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha")
AFFINE = np.array([[2.0, 0, 0, 10], [0, 3.0, 0, 20], [0, 0, 4.0, 30], [0, 0, 0, 1]])


def volume(shape=(9, 8, 7), dtype="float32") -> Volume:
    data = np.random.default_rng(0).normal(100, 30, size=shape).astype(dtype)
    return Volume(data, Geometry(shape, AFFINE))


def nifti(path, *, shape=(5, 6, 7), dtype="f4", body=None, **fields):
    """A NIfTI-1 file with any header fields, believed or not."""
    header = nibabel.Nifti1Header(check=False)
    header.set_data_dtype(np.dtype(dtype))
    header["dim"] = [len(shape), *shape, *[1] * (7 - len(shape))]
    header["pixdim"] = [1, 2, 3, 4, 1, 1, 1, 1]
    header["srow_x"], header["srow_y"], header["srow_z"] = AFFINE[:3]
    header["qoffset_x"], header["qoffset_y"], header["qoffset_z"] = AFFINE[:3, 3]
    header["qform_code"] = header["sform_code"] = 1
    header["xyzt_units"] = 2
    header["scl_slope"] = 1
    header["magic"], header["vox_offset"] = b"n+1", 352
    for name, value in fields.items():
        if name.startswith("pixdim"):
            header["pixdim"][int(name[6:])] = value
        else:
            header[name] = value
    if body is None:
        body = np.arange(np.prod(shape)).astype(dtype).tobytes()
    content = header.binaryblock + bytes(4) + body
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def nrrd(path, body=bytes(24), **changes):
    fields = {
        "type": "uchar", "dimension": "3", "space": "left-posterior-superior", "sizes": "2 3 4",
        "space directions": "(1,0,0) (0,1,0) (0,0,1)", "encoding": "raw", "space origin": "(0,0,0)",
    } | {key.replace("_", " "): value for key, value in changes.items()}  # fmt: skip
    lines = ["NRRD0004", *(f"{key}: {value}" for key, value in fields.items() if value is not None), "", ""]
    path.write_bytes("\n".join(lines).encode() + body)
    return path


def mha(path, body=bytes(24), **changes):
    fields = {
        "ObjectType": "Image", "NDims": "3", "BinaryData": "True", "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False", "TransformMatrix": "1 0 0 0 1 0 0 0 1", "Offset": "0 0 0",
        "ElementSpacing": "1 1 1", "DimSize": "2 3 4", "ElementType": "MET_UCHAR",
    } | changes | {"ElementDataFile": changes.get("ElementDataFile", "LOCAL")}  # fmt: skip
    path.write_bytes("".join(f"{key} = {value}\n" for key, value in fields.items()).encode() + body)
    return path


def refused(path, match=None, **options) -> InputError:
    """The error both ways of reading give; it says what was expected, what came and what to do."""
    with pytest.raises(InputError, match=match) as caught:
        io.read(path, **options)
    error = caught.value
    assert all(error.to_dict().values())
    assert error.exit_status == 3
    return error


def refused_by_header(path, match=None, **options):
    with pytest.raises(InputError, match=match):
        io.read_header(path, **options)
    return refused(path, match, **options)
