"""From nothing to a better model in the panel: samples, suggestion, label, next case, tuned version."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import slicer.util
from local_server import LocalServer
from MedGANLib import segments
from MedGANLib.client import Client
from MedGANLib.grids import ijk_to_ras
from MedGANLib.site import Site
from MedGANLib.stored import STORED

from medgan_core import io
from medgan_core.training.recipes.hippocampus_suggest import HippocampusSuggest
from medgan_core.volume import Geometry, Volume
from tests.crops import write_crops
from tests.models import toy_pairs
from tests.scene.conftest import wait_until
from tests.scene.test_scene_panel import choose, connect, grab, run, text
from tests.small_site import publish_toy

SUGGEST = "hippocampus-suggest"
PARTS = {"Anterior hippocampus", "Posterior hippocampus"}


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    """Labelled crops: ``c0-T1.nii.gz`` and ``c0-labels.nii.gz`` to ``c5``; those of c0 are left-handed."""
    folder = write_crops(tmp_path_factory.mktemp("crops"), train=6, val=0)
    for path in folder.glob("c0-*"):
        right = io.read(path)
        shape = right.geometry.shape
        matrix = np.diag([-1.0, 1.0, 1.0, 1.0])
        matrix[0, 3] = shape[0] - 1
        io.write(Volume(right.data[:, ::-1].copy(), Geometry(shape, matrix)), path)
    return folder


@pytest.fixture(scope="module")
def site(crops, tmp_path_factory):
    """A server with three stored crops without a label, a model that draws pairs and one that suggests."""
    folder = tmp_path_factory.mktemp("site")
    models = folder / "models"
    toy_pairs(models)
    publish_toy(models, HippocampusSuggest(widths=(8, 8)), name=SUGGEST)
    (folder / "studies").mkdir()
    for name in ("c0", "c1", "c2"):
        shutil.copy(crops / f"{name}-T1.nii.gz", folder / "studies" / f"{name}.nii.gz")
    server = LocalServer(folder, environment={"MEDGAN_MODELS": str(models)}, start_s=400)
    server.start()
    yield server.address
    server.stop()


def found(headless, kind):
    return {node.GetName(): node for node in slicer.util.getNodesByClass(kind, headless.scene)}


def finished(panel, part, seconds=90.0):
    wait_until(lambda: not part.is_running, seconds)
    return text(panel.ui.annotateMessage) + text(panel.ui.tuneMessage)


def stored(site, image, *, labels):
    """The labels of a stored image, by tag."""
    objects = Client(site).connection.json("GET", "/datastore/?output=all")["objects"]
    return objects[image]["labels"] if labels else objects[image]


def test_samples_from_nothing_are_images_with_segmentations(panel, site, headless, pictures):
    connect(panel, site)
    choose(panel, "synthesize", "hippocampus-synthesize")
    assert panel.ui.countBox.isVisibleTo(panel.parent)
    assert panel.ui.runButton.isEnabled()
    panel.ui.countSpin.setValue(2)
    panel.ui.seedSpin.setValue(5)
    run(panel)
    assert text(panel.ui.messageLabel) == ""
    images = {
        n: v
        for n, v in found(headless, "vtkMRMLScalarVolumeNode").items()
        if v.GetAttribute("MedGAN.Synthetic")
    }
    drawn = found(headless, "vtkMRMLSegmentationNode")
    assert sorted(images) == ["image (synthetic) 001", "image (synthetic) 002"]
    assert len(drawn) == 2
    for image, segmentation in zip(images.values(), drawn.values(), strict=True):
        assert {one.GetName() for _, one in segments.each(segmentation)} == PARTS
        assert segments.image_of(segmentation) is image
        assert image.GetAttribute("MedGAN.Seed") == "5"
    first, second = (slicer.util.arrayFromVolume(node) for node in images.values())
    assert not np.array_equal(first, second)
    composite = headless.slice_view("Red").GetSliceCompositeNode()
    assert composite.GetBackgroundVolumeID() == images["image (synthetic) 001"].GetID()
    assert panel.ui.sampleSelector.count() == 2
    panel.ui.sampleSelector.setCurrentIndex(1)
    assert composite.GetBackgroundVolumeID() == images["image (synthetic) 002"].GetID()
    assert [bool(node.GetDisplayVisibility()) for node in drawn.values()] == [False, True]
    assert "image (synthetic) 002" in text(panel.ui.resultLabel)
    grab(panel, pictures / "panel-14-samples.png")
    label_input(panel, headless, site, next(iter(drawn.values())), next(iter(images.values())))


def label_input(panel, headless, site, segmentation, image):
    """A segmentation goes in with the values that the card knows, on the grid it was drawn on."""
    before = set(found(headless, "vtkMRMLSegmentationNode"))
    panel.ui.countSpin.setValue(1)
    panel.tasks._form.choose({"labels": segmentation})
    run(panel)
    assert text(panel.ui.messageLabel) == ""
    (made,) = set(found(headless, "vtkMRMLSegmentationNode")) - before
    again = found(headless, "vtkMRMLSegmentationNode")[made]
    there = segments.to_label_map(headless.scene, segmentation, image, None)
    back = segments.to_label_map(headless.scene, again, image, None)
    assert np.array_equal(slicer.util.arrayFromVolume(there), slicer.util.arrayFromVolume(back))


def test_a_suggestion_is_corrected_and_submitted_and_the_next_case_comes(
    panel, site, headless, crops, pictures
):
    connect(panel, site)
    panel.ui.annotateSection.setProperty("collapsed", False)
    names = [panel.ui.strategySelector.itemText(n) for n in range(panel.ui.strategySelector.count())]
    assert names == ["diversity", "epistemic", "first", "random"]
    choose(panel, "suggest", SUGGEST)
    panel.ui.strategySelector.setCurrentIndex(names.index("first"))
    panel.ui.nextButton.click()
    finished(panel, panel.annotation)
    (case,) = found(headless, "vtkMRMLScalarVolumeNode").values()
    assert (case.GetName(), case.GetAttribute(STORED)) == ("c0", "c0")
    assert headless.slice_view("Red").GetSliceCompositeNode().GetBackgroundVolumeID() == case.GetID()
    assert panel.tasks._form.inputs() == {"image": case}
    run(panel)
    assert text(panel.ui.messageLabel) == ""
    suggestion = panel.annotation.selector.currentNode()
    assert suggestion.GetName() == "c0 (suggested)"
    assert {one.GetName() for _, one in segments.each(suggestion)} == PARTS
    uncertainty = found(headless, "vtkMRMLScalarVolumeNode")["c0: uncertainty of the segmentation"]
    assert ijk_to_ras(uncertainty) == ijk_to_ras(case)
    assert "stored image c0" in text(panel.ui.labelTarget)
    corrected = correct(headless, suggestion, case, crops / "c0-labels.nii.gz")
    panel.annotation.choose(corrected)
    panel.ui.submitButton.click()
    assert "final label of c0" in finished(panel, panel.annotation)
    assert list(stored(site, "c0", labels=True)) == ["final"]
    check_the_stored_label(site, "c0", crops / "c0-labels.nii.gz", crops / "from-the-store.nrrd")
    grab(panel, pictures / "panel-15-label.png")
    panel.ui.strategySelector.setCurrentIndex(names.index("epistemic"))
    panel.ui.nextButton.click()
    finished(panel, panel.annotation, 200)
    cases = {node.GetAttribute(STORED) for node in found(headless, "vtkMRMLScalarVolumeNode").values()}
    assert cases - {"c0", None} <= {"c1", "c2"}
    assert len(cases - {"c0", None}) == 1


def correct(headless, suggestion, case, truth):
    """What a person makes of a suggestion: here a label map from a file, under the same names."""
    drawn = headless.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "truth")
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(truth))
    assert storage.ReadData(drawn)
    made = segments.from_label_map(
        headless.scene, drawn, segments.meaning(suggestion), "corrected", image=case
    )
    headless.scene.RemoveNode(drawn)
    return made


def test_a_label_of_an_image_that_was_replaced_meanwhile_is_refused(panel, site, headless, crops):
    store = Site(Client(site).connection)
    store.store_image(str(crops / "c4-T1.nii.gz"), "a0")
    connect(panel, site)
    choose(panel, "suggest", SUGGEST)
    panel.ui.strategySelector.setCurrentIndex(panel.ui.strategySelector.findText("first"))

    def fetched():
        panel.ui.nextButton.click()
        finished(panel, panel.annotation)
        return panel.tasks._form.inputs()["image"]

    def submitted(image):
        label = headless.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "label")
        corrected = correct(headless, label, image, crops / "c4-labels.nii.gz")
        for (_, segment), name in zip(segments.each(corrected), sorted(PARTS), strict=True):
            segment.SetName(name)
        panel.annotation.choose(corrected)
        panel.ui.submitButton.click()
        return finished(panel, panel.annotation)

    old = fetched()
    store.store_image(str(crops / "c5-T1.nii.gz"), "a0")
    assert "not the image any more" in submitted(old)
    assert stored(site, "a0", labels=True) == {}
    new = fetched()
    assert new is not old
    assert "final label of a0" in submitted(new)
    store._connection.open("DELETE", "/datastore/", params={"id": "a0"}).close()
    assert "not the image any more" in submitted(new)


def test_a_volume_that_is_not_stored_is_stored_with_its_label(panel, site, headless, crops):
    image = headless.load_volume(crops / "c3-T1.nii.gz", "Doe^Jane T1")
    label = headless.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "nothing")
    connect(panel, site)
    choose(panel, "suggest", SUGGEST)
    panel.annotation.choose(label)
    assert not panel.ui.submitButton.isEnabled()
    assert "drawn on no volume" in text(panel.ui.labelTarget)
    label.SetReferenceImageGeometryParameterFromVolumeNode(image)
    panel.annotation.submit(panel.server.access)
    assert "has no segment" in text(panel.ui.annotateMessage)
    assert not panel.annotation.is_running
    corrected = correct(headless, label, image, crops / "c3-labels.nii.gz")
    for (_, segment), name in zip(segments.each(corrected), sorted(PARTS), strict=True):
        segment.SetName(name)
    panel.annotation.choose(corrected)
    assert "not in the server's store" in text(panel.ui.labelTarget)
    panel.ui.submitButton.click()
    message = finished(panel, panel.annotation)
    name = image.GetAttribute(STORED)
    assert name in message
    assert name.startswith("case-")
    about = stored(site, name, labels=False)
    assert "Doe" not in str(about)
    assert list(about["labels"]) == ["final"]
    assert "stored image " + name in text(panel.ui.labelTarget)
    refuse_a_name_that_another_case_has(panel, headless, corrected, crops, name)


def refuse_a_name_that_another_case_has(panel, headless, corrected, crops, name):
    """Nothing that is stored is replaced by a volume that happens to have its name."""
    other = headless.load_volume(crops / "c4-T1.nii.gz", name)
    corrected.SetReferenceImageGeometryParameterFromVolumeNode(other)
    panel.update()
    assert panel.ui.caseEdit.text() == name
    panel.ui.submitButton.click()
    assert f"has a case {name} already" in finished(panel, panel.annotation)


def test_a_model_is_tuned_on_the_labels_and_one_click_goes_back(panel, site, headless, crops, pictures):
    store = Site(Client(site).connection)
    for name in ("c0", "c1", "c2"):
        store.store_label(str(crops / f"{name}-labels.nii.gz"), name)
    for name in ("c4", "c5"):
        store.store_image(str(crops / f"{name}-T1.nii.gz"), name)
        store.store_label(str(crops / f"{name}-labels.nii.gz"), name)
    connect(panel, site)
    choose(panel, "suggest", SUGGEST)
    panel.ui.tuneSection.setProperty("collapsed", False)
    panel.ui.updatesSpin.setValue(30)
    panel.ui.tuneButton.click()
    wait_until(lambda: panel.ui.tuneBar.value() > 0 or not panel.tuning.is_running, 200)
    assert panel.ui.tuneBar.isVisibleTo(panel.parent)
    assert panel.ui.tuneCancelButton.isEnabled()
    finished(panel, panel.tuning, 400)
    assert "1.0.1" in text(panel.ui.tuneMessage)
    wait_until(lambda: not panel.server.is_connecting)
    rows = [
        [panel.ui.versionsTable.item(r, c).text() for c in range(4)]
        for r in range(panel.ui.versionsTable.rowCount())
    ]
    tuned = [row for row in rows if row[0].startswith("1.0.1")]
    assert {row[1] for row in tuned} == {f"Dice, {part}" for part in PARTS}
    assert all(row[3].startswith("1.0.0 ") for row in tuned)
    grab(panel, pictures / "panel-16-tuned.png")
    used = {version["version"]: version["default"] for version in store.versions(SUGGEST)}
    other = next(version for version, default in used.items() if not default)
    assert text(panel.ui.useButton) == f"Use {other}"
    panel.ui.useButton.click()
    assert f"{other} is in use" in finished(panel, panel.tuning)
    assert {v["version"]: v["default"] for v in store.versions(SUGGEST)}[other]
    assert text(panel.ui.useButton) != f"Use {other}"


def test_a_model_that_cannot_be_tuned_says_so(panel, site):
    connect(panel, site)
    choose(panel, "synthesize", "hippocampus-synthesize")
    panel.ui.tuneButton.click()
    assert "cannot be tuned" in finished(panel, panel.tuning)
    assert not panel.ui.tuneBar.isVisibleTo(panel.parent)


def check_the_stored_label(site, image, truth, file):
    """The stored label of an image is that of a file, voxel by voxel, on the same grid."""
    asked = {"label": image, "tag": "final"}
    with Client(site).connection.open("GET", "/datastore/label", params=asked) as answer:
        file.write_bytes(answer.content)
    label, truth = io.read(file), io.read(truth)
    assert np.array_equal(label.data, truth.data)
    assert label.geometry.close_to(truth.geometry, tolerance_mm=1e-3)
