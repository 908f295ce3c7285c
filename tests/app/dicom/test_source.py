"""A series of the PACS is read where its headers say it lies, plain or enhanced, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless

from medgan_core.errors import InputError
from monailabel_app.dicom.source import Source, read_series
from tests.app.dicom.conftest import PHANTOMS
from tests.app.dicom.phantoms import OBLIQUE, Phantom


@pytest.mark.parametrize("name", PHANTOMS)
def test_voxels_places_and_headers_go_together(name: str, tmp_path: Path) -> None:
    phantom = PHANTOMS[name]
    folder = phantom.write(tmp_path / name)
    volume, source = read_series(folder), Source.load(folder)
    np.testing.assert_array_equal(volume.data[0], phantom.voxels.T)
    np.testing.assert_allclose(volume.geometry.affine, phantom.affine(), atol=1e-6)
    assert source.geometry.close_to(volume.geometry, tolerance_mm=1e-9)
    for k, frame in enumerate(source.slices):
        np.testing.assert_allclose(frame.header.ImagePositionPatient, phantom.position(k), atol=1e-6)
        assert frame.header.AcquisitionTime == f"1012{k:02d}"


@pytest.mark.parametrize("compressed", [False, True])
def test_an_enhanced_object_is_read_like_the_plain_slices_it_stands_for(
    tmp_path: Path, compressed: bool
) -> None:
    phantom = Phantom(OBLIQUE)
    folder = phantom.write_enhanced(tmp_path / "e")
    if compressed:
        image = pydicom.dcmread(folder / "enhanced.dcm")
        image.compress(RLELossless)
        image.save_as(folder / "enhanced.dcm")
    volume, source = read_series(folder), Source.load(folder)
    np.testing.assert_array_equal(volume.data[0], phantom.voxels.T)
    np.testing.assert_allclose(volume.geometry.affine, phantom.affine(), atol=1e-6)
    assert source.geometry.close_to(volume.geometry)
    # Frames were stored from the last slice to the first; references say which one is meant.
    assert [frame.reference().ReferencedFrameNumber for frame in source.slices] == list(range(9, 0, -1))
    assert source.header.EchoTime == 14
    assert source.header.RepetitionTime == 612
    assert source.header.ScanningSequence == "SE"


def test_what_is_not_one_volume_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing"):
        read_series(Phantom(depths=(0, 1, 2, 3, 5, 6, 7, 8, 9)).write(tmp_path / "gap"))
    with pytest.raises(InputError, match="same place"):
        Source.load(Phantom(depths=(0, 1, 2, 0, 1, 2, 0, 1, 2)).write(tmp_path / "times"))
    damaged = Phantom().write(tmp_path / "damaged")
    (damaged / "095.dcm").write_bytes(b"<html>not DICOM</html>" * 20)
    with pytest.raises(InputError, match=r"095\.dcm cannot be read"):
        Source.load(damaged)
    with pytest.raises(InputError, match=r"095\.dcm cannot be read"):
        read_series(damaged)


def test_an_enhanced_object_that_is_cut_is_refused(tmp_path: Path) -> None:
    folder = Phantom().write_enhanced(tmp_path / "e")
    whole = (folder / "enhanced.dcm").read_bytes()
    (folder / "enhanced.dcm").write_bytes(whole[:-5000])
    with pytest.raises(InputError):
        read_series(folder)
