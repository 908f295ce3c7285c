"""The PACS as MONAI Label's datastore."""

from __future__ import annotations

import stat
from pathlib import Path

import highdicom
import numpy as np
import pytest
from pydicom.uid import generate_uid

from medgan_core import io
from medgan_core.errors import InputError, UsageError
from monailabel_app.dicom.datastore import PacsDatastore, open_datastore
from monailabel_app.dicom.errors import PacsUnreachableError
from monailabel_app.dicom.pacs import Pacs
from monailabel_app.problems import UnknownImageError
from monailabel_app.studies import image_path
from tests.app.dicom.conftest import Orthanc, assert_valid
from tests.app.dicom.phantoms import Phantom


@pytest.fixture(scope="module")
def datastore(pacs: Pacs, tmp_path_factory: pytest.TempPathFactory) -> PacsDatastore:
    return PacsDatastore(pacs, str(tmp_path_factory.mktemp("cache")))


@pytest.mark.parametrize("name", ["oblique", "sagittal", "uneven", "ct", "enhanced"])
def test_an_image_is_its_series(datastore: PacsDatastore, archive: dict[str, Phantom], name: str) -> None:
    phantom = archive[name]
    path = image_path(datastore, datastore.pacs.settings.url, phantom.series)
    volume = io.read(path)
    np.testing.assert_array_equal(volume.data[0], phantom.voxels.T)
    np.testing.assert_allclose(volume.geometry.affine, phantom.affine(), atol=1e-4)
    assert datastore.series_of(path) == phantom.series
    assert datastore.source(phantom.series).geometry.close_to(volume.geometry)
    info = datastore.get_image_info(phantom.series)
    assert info["modality"] == phantom.modality
    assert "path" not in info
    assert bool(info["notes"]) == (name == "uneven")


def test_everything_is_listed_before_it_is_fetched(
    pacs: Pacs, archive: dict[str, Phantom], tmp_path: Path
) -> None:
    fresh = PacsDatastore(pacs, str(tmp_path))
    listed = fresh.json()["objects"]
    assert {phantom.series for phantom in archive.values()} <= set(listed) == set(fresh.list_images())
    assert listed[archive["ct"].series]["image"]["info"]["modality"] == "CT"
    assert fresh.status()["total"] == len(listed)
    assert list(tmp_path.rglob("*.nii")) == []
    (root,) = tmp_path.iterdir()
    assert stat.S_IMODE(root.stat().st_mode) == 0o700


def test_ids_that_are_no_series_are_unknown(datastore: PacsDatastore) -> None:
    for image_id in ("1.2.3", "head", "../1.2", "1..2", "1.2*", "9" * 65):
        with pytest.raises(UnknownImageError):
            image_path(datastore, datastore.pacs.settings.url, image_id)


def test_a_series_that_grew_is_fetched_again(
    orthanc: Orthanc, datastore: PacsDatastore, tmp_path: Path
) -> None:
    phantom = Phantom(shape=(16, 16, 6))
    files = sorted(phantom.write(tmp_path / "all").iterdir())
    (tmp_path / "late").mkdir()
    files[0].rename(tmp_path / "late" / "last.dcm")  # The slice at one end.
    orthanc.put(tmp_path / "all")
    assert io.read(datastore.get_image_uri(phantom.series)).geometry.shape == (16, 16, 5)
    orthanc.put(tmp_path / "late")
    assert io.read(datastore.get_image_uri(phantom.series)).geometry.shape == (16, 16, 6)


def test_a_series_that_is_not_one_volume_is_refused_and_leaves_nothing(
    orthanc: Orthanc, datastore: PacsDatastore, tmp_path: Path
) -> None:
    gap = Phantom(shape=(16, 16, 4), depths=(0, 1, 2, 4))
    orthanc.put(gap.write(tmp_path))
    before = sorted(datastore._root.iterdir())
    with pytest.raises(InputError, match="missing"):
        datastore.get_image_uri(gap.series)
    assert sorted(datastore._root.iterdir()) == before


def test_an_upload_cannot_pass_for_a_series(datastore: PacsDatastore, archive: dict[str, Phantom]) -> None:
    series = archive["axial"].series
    path = Path(datastore.get_image_uri(series))
    before = path.read_bytes()
    with pytest.raises(UsageError, match="come from the PACS"):
        datastore.add_image(series, datastore.get_image_uri(archive["ct"].series), {})
    assert path.read_bytes() == before
    assert datastore.series_of(path.with_name("other.nii")) is None
    assert datastore.series_of(Path("/nowhere") / path.name) is None


def test_a_final_label_becomes_a_segmentation_in_the_pacs(
    orthanc: Orthanc, datastore: PacsDatastore, archive: dict[str, Phantom], tmp_path: Path
) -> None:
    series = archive["oblique"].series
    volume = io.read(datastore.get_image_uri(series))
    labels = volume.with_data((volume.data > 600).astype(np.uint8))
    path = io.write(labels, tmp_path / "label.nii.gz")
    told = {"label_info": [{"name": "lesion"}]}
    assert datastore.save_label(series, str(path), "final", told) == series
    info = datastore.get_label_info(series, "final")
    (file,) = orthanc.files(info["SeriesInstanceUID"], tmp_path / "back")
    assert_valid(file)
    found = highdicom.seg.segread(file)
    assert [segment.SegmentLabel for segment in found.SegmentSequence] == ["lesion"]
    assert series in datastore.get_labeled_images()
    assert series not in datastore.get_unlabeled_images()
    # Other tags stay here.
    datastore.save_label(series, str(path), "draft", {})
    assert len(orthanc.series(info["SeriesInstanceUID"])["Instances"]) == 1


def test_a_pacs_that_is_not_there_hinders_nobody_at_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("monailabel.config.settings.MONAI_LABEL_DICOMWEB_CACHE_PATH", str(tmp_path))
    monkeypatch.delenv("MONAI_LABEL_DICOMWEB_USERNAME", raising=False)
    datastore = open_datastore("http://127.0.0.1:9/dicom-web/")
    assert datastore.name() == "http://127.0.0.1:9/dicom-web"
    for ask in (datastore.list_images, datastore.json, datastore.get_labeled_images):
        with pytest.raises(PacsUnreachableError):
            ask()
    with pytest.raises(PacsUnreachableError):
        datastore.get_image_uri(str(generate_uid()))
