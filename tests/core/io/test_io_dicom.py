"""A DICOM series is read where its slices say it lies, or refused when they are not one volume."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medgan_core import io
from medgan_core.errors import InputError
from medgan_core.io import dicom

UID = "1.2.826.0.1.3680043.2.1125.1"
ROW, COLUMN = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, -1.0])


def save_slice(path: Path, data, position, *, row=ROW, column=COLUMN, spacing=(0.8, 1.2), **tags) -> None:
    """One file; spacing is (between rows, between columns), place in LPS mm, as DICOM has them."""
    image = sitk.GetImageFromArray(np.asarray(data)[None])
    image.SetSpacing((spacing[1], spacing[0], 2.5))
    image.SetOrigin([float(p) for p in position])
    direction = np.stack([row, column, np.cross(row, column)], axis=1)
    image.SetDirection(direction.ravel().tolist())
    known = {
        "0008|0008": "ORIGINAL\\PRIMARY", "0008|0060": "MR", "0020|000e": f"{UID}.1", "0020|000d": f"{UID}.0",
        "0008|103e": "T1 test", "0020|0032": "\\".join(f"{p:.6f}" for p in position),
        "0020|0037": "\\".join(f"{n:.8f}" for n in (*row, *column)), "0018|0050": "2.5",
        "0008|0018": f"{UID}.2.{abs(hash(path.name)) % 10**9}",
    }  # fmt: skip
    for key, value in (known | {key.replace("_", "|"): value for key, value in tags.items()}).items():
        image.SetMetaData(key, value)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(path))
    writer.Execute(image)


NORMAL = np.cross(ROW, COLUMN)
ORIGIN = np.array([-30.0, 11.0, 42.0])
VOXELS = np.random.default_rng(0).integers(0, 900, size=(6, 5, 4)).astype(np.int16)  # (k, j, i)


def series(folder: Path, *, step=2.5 * NORMAL, places=range(6), **options) -> Path:
    """Slices whose file names run against their place."""
    folder.mkdir(exist_ok=True)
    for n, place in enumerate(places):
        save_slice(folder / f"{99 - n}.dcm", VOXELS[n % 6], ORIGIN + place * step, **options)
    return folder


def refused(folder: Path, match: str) -> InputError:
    with pytest.raises(InputError, match=match) as caught:
        io.read_header(folder)
    assert all(caught.value.to_dict().values())
    return caught.value


def test_voxels_and_place_are_those_of_the_slices(tmp_path):
    found = io.read(series(tmp_path / "s"))
    np.testing.assert_array_equal(found.data[0], VOXELS.T)
    assert found.data.dtype == np.int16
    lps = np.eye(4)
    lps[:3, :3] = np.stack([ROW * 1.2, COLUMN * 0.8, NORMAL * 2.5], axis=1)
    lps[:3, 3] = ORIGIN
    np.testing.assert_allclose(found.geometry.affine, np.diag([-1, -1, 1, 1]) @ lps, atol=1e-5)
    assert found.notes == ()
    header = io.read_header(tmp_path / "s")
    assert header.geometry.close_to(found.geometry)
    assert (header.dtype, header.voxels) == (np.dtype("int16"), 120)


def test_agrees_with_itk_on_a_plain_series(tmp_path):
    folder = series(tmp_path / "s")
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    image = sitk.ReadImage(files)
    found = io.read(folder)
    np.testing.assert_array_equal(found.data[0], sitk.GetArrayFromImage(image).T)
    point = image.TransformContinuousIndexToPhysicalPoint((3.0, 4.0, 5.0))
    np.testing.assert_allclose(found.geometry.corners()[-1] * (-1, -1, 1), point, atol=1e-3)


def test_rescale_is_applied_slice_by_slice(tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    for n in range(3):
        tags = {"0028_1053": str(1 + n), "0028_1052": "-100"}
        save_slice(folder / f"{n}.dcm", VOXELS[n], ORIGIN + n * NORMAL, **tags)
    stored = [sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{n}.dcm")))[0] for n in range(3)]
    found = io.read(folder)
    assert found.data.dtype == np.float32
    np.testing.assert_allclose(found.data[0], np.stack(stored).T)


def test_missing_slice(tmp_path):
    error = refused(series(tmp_path / "s", places=(0, 1, 2, 4, 5, 6)), "missing")
    assert "behind slice 3" in error.got


def test_uneven_slices(tmp_path):
    refused(series(tmp_path / "s", places=(0, 1, 2.2, 3, 4, 5)), "uneven")


def test_slightly_uneven_slices_are_noted(tmp_path):
    found = io.read(series(tmp_path / "s", places=(0, 1, 2.03, 3, 4, 5)))
    assert "vary" in found.notes[0]
    assert found.geometry.spacing[2] == pytest.approx(2.5, abs=1e-4)


def test_two_slices_at_one_place(tmp_path):
    refused(series(tmp_path / "s", places=(0, 1, 2, 0, 1, 2)), "same place")


def test_mixed_pixel_spacing(tmp_path):
    folder = series(tmp_path / "s", places=range(5))
    save_slice(folder / "x.dcm", VOXELS[5], ORIGIN + 5 * 2.5 * NORMAL, spacing=(0.9, 1.2))
    refused(folder, "pixel spacing")


def test_mixed_size(tmp_path):
    folder = series(tmp_path / "s", places=range(5))
    save_slice(folder / "x.dcm", VOXELS[5][:-1], ORIGIN + 5 * 2.5 * NORMAL)
    refused(folder, "size")


def test_localizer_that_says_so_is_left_out_with_a_note(tmp_path):
    folder = series(tmp_path / "s")
    tags = {"0008_0008": "ORIGINAL\\PRIMARY\\LOCALIZER"}
    save_slice(folder / "x.dcm", VOXELS[0], ORIGIN, row=COLUMN, column=NORMAL, **tags)
    found = io.read(folder)
    np.testing.assert_array_equal(found.data[0], VOXELS.T)
    assert "localizer" in found.notes[0]


def test_localizer_that_does_not_say_so_is_refused(tmp_path):
    folder = series(tmp_path / "s")
    save_slice(folder / "x.dcm", VOXELS[0], ORIGIN, row=COLUMN, column=NORMAL)
    refused(folder, "parallel planes")


def test_tilted_gantry_keeps_its_shear(tmp_path):
    step = 2.5 * NORMAL + 0.4 * COLUMN
    found = io.read(series(tmp_path / "s", step=step))
    np.testing.assert_allclose(found.geometry.affine[:3, 2] * (-1, -1, 1), step, atol=1e-5)
    assert "degrees" in found.notes[0]


def test_shifted_slice_is_refused(tmp_path):
    folder = series(tmp_path / "s", places=range(5))
    save_slice(folder / "x.dcm", VOXELS[5], ORIGIN + 4.99 * 2.5 * NORMAL + 40 * ROW)
    folder2 = tmp_path / "t"
    folder2.mkdir()
    for n in range(6):
        shift = 30 * ROW if n == 3 else 0
        save_slice(folder2 / f"{n}.dcm", VOXELS[n], ORIGIN + n * 2.5 * NORMAL + shift)
    refused(folder2, "shifted")


def test_several_series_are_listed(tmp_path):
    folder = series(tmp_path / "s")
    tags = {"0020_000e": f"{UID}.7", "0008_103e": "FLAIR test"}
    save_slice(folder / "x.dcm", VOXELS[0], ORIGIN, **tags)
    error = refused(folder, "one DICOM series")
    assert "T1 test" in error.got
    assert "FLAIR test" in error.got


def test_one_slice_takes_its_thickness(tmp_path):
    found = io.read(series(tmp_path / "s", places=range(1)))
    assert found.geometry.shape == (4, 5, 1)
    assert found.geometry.spacing[2] == pytest.approx(2.5)
    assert "single slice" in found.notes[0]


def test_folder_without_dicom(tmp_path):
    refused(tmp_path, "no DICOM series")
    (tmp_path / "a.dcm").write_bytes(b"DICM" * 100)
    refused(tmp_path, "no DICOM series")


def test_a_single_dicom_file_points_to_its_folder(tmp_path):
    folder = series(tmp_path / "s", places=range(1))
    with pytest.raises(InputError, match="format") as caught:
        io.read(folder / "99.dcm")
    assert "folder" in caught.value.action


def test_cut_slice_is_refused(tmp_path):
    folder = series(tmp_path / "s")
    whole = (folder / "97.dcm").read_bytes()
    (folder / "97.dcm").write_bytes(whole[:-11])
    with pytest.raises(InputError):
        io.read(folder)


def test_huge_series_is_refused(tmp_path):
    with pytest.raises(InputError, match="more voxels"):
        io.read(series(tmp_path / "s"), max_voxels=119)


def test_colour_is_refused(tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    for n in range(3):
        image = sitk.GetImageFromArray(np.zeros((1, 5, 4, 3), np.uint8), isVector=True)
        image.SetOrigin((0.0, 0.0, float(n)))
        for key, value in {"0008|0060": "OT", "0020|000e": f"{UID}.1", "0020|000d": f"{UID}.0"}.items():
            image.SetMetaData(key, value)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(folder / f"{n}.dcm"))
        writer.Execute(image)
    refused(folder, "plain slices")


def test_nothing_is_left_behind_and_a_dead_child_is_a_clear_error(tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    folder = series(tmp_path / "s")
    io.read(folder)
    with pytest.raises(InputError):
        io.read(tmp_path)
    with pytest.raises(InputError, match="no answer"):
        dicom.read_series(folder, max_voxels=1000, timeout_s=0.01)
    monkeypatch.setattr(sys, "executable", str(killer(tmp_path)))
    with pytest.raises(InputError, match="ended with status"):
        io.read(folder)
    assert list(scratch.iterdir()) == []


def killer(folder: Path) -> Path:
    """A program that dies at once, in place of the interpreter."""
    if os.name == "nt":
        path = folder / "die.bat"
        path.write_text("@exit 139\n")
    else:
        path = folder / "die.sh"
        path.write_text("#!/bin/sh\nkill -SEGV $$\n")
        path.chmod(0o755)
    return path


def test_the_child_does_not_import_from_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "SimpleITK.py").write_text("raise SystemExit(77)\n")
    (tmp_path / "medgan_core.py").write_text("raise SystemExit(77)\n")
    folder = series(tmp_path / "s")
    monkeypatch.chdir(tmp_path)
    assert io.read(folder).geometry.shape == (4, 5, 6)


def test_the_parent_needs_no_itk(tmp_path):
    """Reading does not load SimpleITK into this process: what kills it kills the child alone."""
    folder = series(tmp_path / "s")
    code = f"import sys; from medgan_core import io; io.read({str(folder)!r}); print(sorted(sys.modules))"
    root = Path(io.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=root, capture_output=True, text=True)
    assert "'numpy'" in done.stdout
    assert "'SimpleITK'" not in done.stdout
