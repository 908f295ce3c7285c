"""Label maps and segmentations in the scene: names, colours, values, grids; several samples; suggestions."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from headless import vtk_image
from MedGANLib import segments
from MedGANLib.grids import copy_geometry, ijk_to_ras
from MedGANLib.logic import SceneLogic
from MedGANLib.results import Request, load_results
from MedGANLib.trust import trust_range
from MedGANLib.view import SceneView

from medgan_core import io
from tests.scene.conftest import head

LABELS = [
    {"value": 2, "name": "Front", "colour": "#e6a23c"},
    {"value": 5, "name": "Nowhere", "colour": "#00ff00"},
    {"value": 7, "name": "Back", "colour": "#3c8ce6"},
]
PAIRS = {
    "name": "pairs",
    "task": "synthesize",
    "min_inputs": 0,
    "inputs": [{"key": "labels", "kind": "labels"}, {"key": "reference", "apart": True}],
    "outputs": [
        {"key": "image"},
        {"key": "segmentation", "kind": "labels", "title": "Parts", "labels": LABELS},
    ],
}
SUGGEST = {
    "name": "parts",
    "task": "suggest",
    "inputs": [{"key": "image", "required": True}],
    "outputs": [
        {"key": "segmentation", "kind": "labels", "labels": LABELS},
        {"key": "uncertainty", "kind": "map", "title": "Uncertainty", "unit": "0 certain, 1 undecided"},
    ],
}
REPORT = {"verdict": "pass", "rows": [], "provenance": {}}


def parts(shape=(24, 64, 80)):
    """A label map with two structures, array (k, j, i)."""
    drawn = np.zeros(shape, dtype=np.int16)
    drawn[4:9, 10:30, 12:40], drawn[12:20, 20:50, 30:60] = 2, 7
    return drawn


@pytest.fixture
def drawn(headless, oblique):
    """`parts` on the oblique grid, as a label map node."""
    node = headless.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "drawn")
    node.SetAndObserveImageData(vtk_image(parts()))
    copy_geometry(oblique, node)
    return node


def said(segmentation):
    return {one.GetName(): (one.GetLabelValue(), one.GetColor()) for _, one in segments.each(segmentation)}


def test_segments_have_names_colours_and_values_and_missing_ones_can_be_drawn(headless, oblique, drawn):
    made = segments.from_label_map(headless.scene, drawn, LABELS, "made", image=oblique)
    found = said(made)
    assert set(found) == {"Front", "Nowhere", "Back"}
    assert {name: value for name, (value, _) in found.items()} == {"Front": 2, "Nowhere": 5, "Back": 7}
    assert found["Front"][1] == pytest.approx((230 / 255, 162 / 255, 60 / 255))
    assert segments.image_of(made) is oblique
    assert segments.meaning(made) == LABELS


@pytest.mark.parametrize("reference", [True, False])
def test_a_segmentation_goes_back_to_the_same_voxels(headless, oblique, drawn, reference):
    made = segments.from_label_map(headless.scene, drawn, LABELS, "made", image=oblique)
    again = segments.to_label_map(headless.scene, made, oblique if reference else None, None)
    assert np.array_equal(slicer.util.arrayFromVolume(again), parts())
    assert np.allclose(ijk_to_ras(again), ijk_to_ras(oblique), atol=1e-6)


def test_values_follow_the_names_that_the_model_knows(headless, oblique, drawn):
    made = segments.from_label_map(headless.scene, drawn, [], "made", image=oblique)
    with pytest.raises(RuntimeError, match="Front, Nowhere, Back"):
        segments.to_label_map(headless.scene, made, oblique, LABELS)
    for (_, segment), name in zip(segments.each(made), ("back ", "Front"), strict=True):
        segment.SetName(name)
    again = slicer.util.arrayFromVolume(segments.to_label_map(headless.scene, made, oblique, LABELS))
    assert np.array_equal(again == 7, parts() == 2)
    assert np.array_equal(again == 2, parts() == 7)


def test_nothing_drawn_is_refused_and_leaves_nothing(headless, oblique, drawn):
    slicer.util.updateVolumeFromArray(drawn, np.zeros((24, 64, 80), dtype=np.int16))
    made = segments.from_label_map(headless.scene, drawn, LABELS, "made", image=oblique)
    assert list(said(made)) == ["Front", "Nowhere", "Back"]
    before = headless.scene.GetNumberOfNodes()
    with pytest.raises(RuntimeError, match="Draw a segment"):
        segments.to_label_map(headless.scene, made, oblique, None)
    assert headless.scene.GetNumberOfNodes() == before


def redraw(segmentation, name, mask, image):
    """Replace a segment by a mask (k, j, i) on the grid of an image."""
    oriented, matrix = slicer.vtkOrientedImageData(), vtk.vtkMatrix4x4()
    oriented.DeepCopy(vtk_image(mask.astype(np.uint8)))
    image.GetIJKToRASMatrix(matrix)
    oriented.SetGeometryFromImageToWorldMatrix(matrix)
    (found,) = (one for one, segment in segments.each(segmentation) if segment.GetName() == name)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.SetBinaryLabelmapToSegment(oriented, segmentation, found, logic.MODE_REPLACE)


def test_segments_that_overlap_are_refused_by_name(headless, oblique, drawn):
    made = segments.from_label_map(headless.scene, drawn, LABELS, "made", image=oblique)
    beside, over = parts() == 0, parts() == 0
    over[8, 20, 20] = True  # one voxel of Front
    redraw(made, "Nowhere", over, oblique)
    before = headless.scene.GetNumberOfNodes()
    with pytest.raises(RuntimeError, match=r"Front and Nowhere overlap"):
        segments.to_label_map(headless.scene, made, oblique, None)
    assert headless.scene.GetNumberOfNodes() == before
    redraw(made, "Nowhere", beside, oblique)
    assert made.GetSegmentation().GetNumberOfLayers() == 2
    again = slicer.util.arrayFromVolume(segments.to_label_map(headless.scene, made, oblique, None))
    assert np.array_equal(again, np.where(parts() == 0, 5, parts()))


def export(headless, folder, node, key):
    path = SceneLogic(headless.scene).export(node, str(folder), key)
    return path


@pytest.fixture
def pairs(headless, oblique, drawn, tmp_path):
    """Two samples from nothing."""
    files = {}
    for number in ("001", "002"):
        files[f"segmentation-{number}"] = export(headless, tmp_path, drawn, f"segmentation-{number}")
        files[f"image-{number}"] = export(headless, tmp_path, oblique, f"image-{number}")
    headless.scene.RemoveNode(drawn)
    request = Request("http://127.0.0.1:8000", PAIRS, {}, "image", 3, {}, 2)
    return load_results(SceneLogic(headless.scene), request, files, REPORT)


def test_samples_come_as_pairs_of_image_and_segmentation(headless, pairs):
    names = [(image.GetName(), drawn.GetName()) for image, drawn in pairs.samples]
    assert names == [
        (f"image (synthetic) {number}", f"image (synthetic) {number}: parts") for number in ("001", "002")
    ]
    for image, drawn in pairs.samples:
        assert segments.image_of(drawn) is image
        assert set(said(drawn)) == {"Front", "Nowhere", "Back"}
        for node in (image, drawn):
            assert node.GetAttribute("MedGAN.Synthetic") == "true"
            assert node.GetNodeReference("MedGAN.Report") is pairs.table
    assert headless.scene.GetNumberOfNodesByClass("vtkMRMLLabelMapVolumeNode") == 0
    assert pairs.source is None


def test_one_sample_is_shown_with_its_segmentation_alone(headless, pairs):
    view = SceneView(headless.scene)
    view.show(pairs)
    composite = headless.slice_view("Red").GetSliceCompositeNode()
    for shown in (0, 1):
        view.show(pairs, sample=shown)
        assert composite.GetBackgroundVolumeID() == pairs.samples[shown][0].GetID()
        assert composite.GetForegroundVolumeID() is None
        visible = [drawn.GetDisplayVisibility() for _, drawn in pairs.samples]
        assert visible == [int(n == shown) for n in range(2)]


def test_a_suggestion_is_a_segmentation_on_the_image_with_its_uncertainty_over_it(
    headless, oblique, drawn, tmp_path
):
    unsure = headless.add_volume(np.abs(head((24, 64, 80), 1)) / 1000, oblique, "unsure")
    files = {
        "segmentation": export(headless, tmp_path, drawn, "s"),
        "uncertainty": export(headless, tmp_path, unsure, "u"),
    }
    headless.scene.RemoveNode(drawn)
    request = Request("http://127.0.0.1:8000", SUGGEST, {"image": oblique}, "segmentation")
    found = load_results(SceneLogic(headless.scene), request, files, REPORT)
    made = found.segmentations["segmentation"]
    assert made.GetName() == "sub-01 T1w (suggested)"
    assert segments.image_of(made) is oblique
    assert found.images == {}
    assert headless.scene.GetNumberOfNodesByClass("vtkMRMLLabelMapVolumeDisplayNode") == 0
    again = SceneLogic(headless.scene).export(made, str(tmp_path), "again", reference=oblique)
    assert io.read(again).data.max() == 7
    assert headless.scene.GetNumberOfNodesByClass("vtkMRMLLabelMapVolumeDisplayNode") == 0
    assert (found.trust.GetName(), found.trust_title) == ("sub-01 T1w: uncertainty", "Uncertainty")
    assert found.trust.GetAttribute("MedGAN.Unit") == "0 certain, 1 undecided"
    assert trust_range(found.trust) == (0.0, 1.0), "whatever the map holds"
    view = SceneView(headless.scene)
    view.show(found)
    view.overlay(0.5)
    composite = headless.slice_view("Red").GetSliceCompositeNode()
    assert composite.GetBackgroundVolumeID() == oblique.GetID()
    assert composite.GetNthLayerVolumeID(3) == found.trust.GetID()


def test_the_place_of_a_result_is_that_of_the_first_volume_of_the_same_patient(headless, oblique, drawn):
    segmentation = segments.from_label_map(headless.scene, drawn, LABELS, "made", image=oblique)

    def source(**inputs):
        return Request("s", PAIRS, inputs, "image").source

    assert source(labels=drawn) is drawn
    assert source(labels=segmentation) is None
    assert source(reference=oblique) is None
    assert source(labels=drawn, reference=oblique) is drawn


def test_a_segmentation_that_went_in_names_the_label_map_that_comes_back(headless, oblique, drawn, tmp_path):
    segmentation = segments.from_label_map(headless.scene, drawn, LABELS, "made", image=oblique)
    card = dict(PAIRS, outputs=[{"key": "image"}, {"key": "segmentation", "kind": "labels"}])
    card["inputs"] = [{"key": "image"}, {"key": "labels", "kind": "labels"}]
    files = {
        "image": export(headless, tmp_path, oblique, "i"),
        "segmentation": export(headless, tmp_path, drawn, "s"),
    }
    request = Request("s", card, {"image": oblique, "labels": segmentation}, "image")
    found = load_results(SceneLogic(headless.scene), request, files, REPORT)
    assert said(found.segmentations["segmentation"]) == said(segmentation)


def test_a_label_map_volume_that_is_shown_goes_in_and_its_image_comes_back(
    headless, oblique, drawn, tmp_path
):
    drawn.CreateDefaultDisplayNodes()
    files = {
        "image": export(headless, tmp_path, oblique, "i"),
        "segmentation": export(headless, tmp_path, drawn, "s"),
    }
    request = Request("s", PAIRS, {"labels": drawn}, "image")
    found = load_results(SceneLogic(headless.scene), request, files, REPORT)
    assert np.array_equal(slicer.util.arrayFromVolume(found.image), slicer.util.arrayFromVolume(oblique))
