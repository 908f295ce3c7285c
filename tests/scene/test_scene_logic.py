"""Volumes out of the scene and back: voxels, place and provenance; views of the result."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util
from MedGANLib.grids import ijk_to_ras, same_grid
from MedGANLib.logic import SceneLogic
from MedGANLib.results import Request, load_results
from MedGANLib.trust import color_node, trust_range
from MedGANLib.view import SceneView

from tests.scene.conftest import OBLIQUE_LEFT_HANDED, head, orthogonal

CARD = {
    "name": "m",
    "version": "1.2.3",
    "task": "translate",
    "inputs": [{"key": "T1"}],
    "outputs": [
        {"key": "T2", "unit": "1000 = 99.5th percentile"},
        {"key": "FLAIR"},
        {"key": "trust", "kind": "trust", "unit": "as T2"},
    ],
    "weights": {"file": "weights.safetensors", "sha256": "ab" * 32},
}
REPORT = {
    "verdict": "caution",
    "rows": [
        {"name": "Voxel size", "value": 1.234567, "unit": "mm", "limit": "0.5 to 6", "verdict": "pass"},
        {"name": "Contrast", "value": "T2?", "unit": "", "limit": "", "verdict": "caution"},
    ],
    "provenance": {
        "model": "m",
        "version": "1.2.3",
        "sha256": "ab" * 32,
        "seed": 7,
        "synthetic": True,
    },
}


def test_the_test_grid_is_what_it_says():
    matrix = orthogonal(OBLIQUE_LEFT_HANDED)[:3, :3]
    assert np.linalg.det(matrix) < 0
    axes = matrix / np.linalg.norm(matrix, axis=0)
    assert np.allclose(axes.T @ axes, np.eye(3))
    assert np.abs(axes).max() < 0.999


@pytest.mark.parametrize("hand", [1.0, -1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint8, np.float64])
def test_export_and_load_keep_voxels_and_place(headless, tmp_path, dtype, hand):
    voxels = (head((6, 8, 10)) / 4 + np.arange(6)[:, None, None]).astype(dtype)
    matrix = orthogonal(OBLIQUE_LEFT_HANDED) @ np.diag([1.0, 1.0, hand, 1.0])
    node = headless.add_volume(voxels, None, "T1", matrix=matrix)
    logic = SceneLogic(headless.scene)
    path = logic.export(node, str(tmp_path), "T1")
    again = logic.load(path, "again", node)
    assert np.array_equal(slicer.util.arrayFromVolume(again), voxels)
    assert ijk_to_ras(again) == ijk_to_ras(node)
    assert not headless.scene.GetNumberOfNodesByClass("vtkMRMLVolumeArchetypeStorageNode")


def test_the_matrix_is_copied_to_the_last_bit(headless, tmp_path):
    random = np.random.default_rng(5)
    logic = SceneLogic(headless.scene)
    for number in range(25):
        matrix = np.eye(4)
        matrix[:3, :3] = np.linalg.qr(random.normal(size=(3, 3)))[0] * random.uniform(0.3, 4, 3)
        matrix[:3, 3] = random.normal(0, 100, 3)
        node = headless.add_volume(head((3, 4, 5)), None, "x", matrix=matrix)
        copy = logic.load(logic.export(node, str(tmp_path), f"{number}"), "copy", node)
        assert ijk_to_ras(copy) == ijk_to_ras(node)


def test_a_file_alone_lies_where_it_did(headless, oblique, tmp_path):
    """Without a source MRML may turn a left-handed grid round; every voxel stays at its place."""
    logic = SceneLogic(headless.scene)
    alone = logic.load(logic.export(oblique, str(tmp_path), "T1"), "alone", None)
    places = []
    for node in (alone, oblique):
        voxels, matrix = slicer.util.arrayFromVolume(node), np.reshape(ijk_to_ras(node), (4, 4))
        k, j, i = np.unravel_index(np.argmax(voxels), voxels.shape)
        places.append(matrix @ [i, j, k, 1])
    assert np.allclose(*places, atol=1e-6)


def test_the_exported_file_names_nobody(headless, oblique, tmp_path):
    oblique.SetName("Doe^Jane")
    oblique.SetAttribute("DICOM.instanceUIDs", "1.2.3.4")
    with open(SceneLogic(headless.scene).export(oblique, str(tmp_path), "T1"), "rb") as file:
        head_of_file = file.read(2000)
    assert b"raw" in head_of_file
    assert b"Doe" not in head_of_file
    assert b"1.2.3.4" not in head_of_file


def test_an_empty_volume_is_refused(headless, tmp_path):
    node = headless.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing")
    with pytest.raises(RuntimeError, match="empty"):
        SceneLogic(headless.scene).export(node, str(tmp_path), "T1")


def test_a_result_on_a_grid_of_its_own_keeps_it(headless, oblique, tmp_path):
    fine = headless.add_volume(head((24, 64, 80)), None, "fine", matrix=np.diag([0.5, 0.5, 0.5, 1]))
    logic = SceneLogic(headless.scene)
    assert not same_grid(fine, oblique)
    loaded = logic.load(logic.export(fine, str(tmp_path), "fine"), "fine", oblique)
    assert ijk_to_ras(loaded) == ijk_to_ras(fine)


def test_inputs_are_suggested_by_name_and_never_synthetic(headless):
    scene, logic = headless.scene, SceneLogic(headless.scene)
    flair = headless.add_volume(head((4, 4, 4)), None, "brain FLAIR")
    made = headless.add_volume(head((4, 4, 4)), None, "T2 (synthetic, from FLAIR)")
    made.SetAttribute("MedGAN.Synthetic", "true")
    described = headless.add_volume(head((4, 4, 4)), None, "4: Series")
    described.SetAttribute("DICOM.SeriesDescription", "t1_mprage")
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "T2 labels")
    assert logic.suggest_inputs(["T1", "T2", "FLAIR"]) == {"T1": described, "FLAIR": flair}
    logic.remember(inputs={"T1": flair, "T2": None}, Task="translate")
    assert logic.suggest_inputs(["T1", "T2"]) == {"T1": flair}
    assert logic.remembered("Task") == "translate"
    assert SceneLogic(scene).parameter_node() is logic.parameter_node()


def test_a_label_map_is_suggested_when_it_is_the_only_one(headless):
    scene, logic = headless.scene, SceneLogic(headless.scene)
    image = headless.add_volume(head((4, 4, 4)), None, "T1")
    drawn = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawing")
    assert logic.suggest_inputs(["image", "mask"], labels=["mask"]) == {"image": image, "mask": drawn}
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    assert logic.suggest_inputs(["image", "mask"], labels=["mask"]) == {"image": image}


def test_an_empty_segmentation_is_refused_and_leaves_nothing(headless, oblique, tmp_path):
    logic = SceneLogic(headless.scene)
    empty = headless.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawing")
    before = headless.scene.GetNumberOfNodes()
    with pytest.raises(RuntimeError, match="Draw a segment"):
        logic.export(empty, str(tmp_path), "mask", reference=oblique)
    assert headless.scene.GetNumberOfNodes() == before


@pytest.fixture
def results(headless, oblique, tmp_path):
    """What a run leaves in the scene."""
    logic = SceneLogic(headless.scene)
    error = headless.add_volume(np.abs(head((24, 64, 80), 1)) / 50, oblique, "trust source")
    files = {
        "T2": logic.export(oblique, str(tmp_path), "T2"),
        "trust": logic.export(error, str(tmp_path), "t"),
    }
    headless.scene.RemoveNode(error)
    transform = headless.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    oblique.SetAndObserveTransformNodeID(transform.GetID())
    request = Request("http://127.0.0.1:8000", CARD, {"T1": oblique}, "T2", 7, {"strength": 0.5})
    return load_results(logic, request, files, REPORT)


def test_results_say_how_they_were_made(results, oblique):
    image = results.image
    assert image.GetName() == "T2 (synthetic, from T1)"
    assert results.trust.GetName() == "T2 (synthetic, from T1): expected error"
    wanted = {"Synthetic": "true", "Model": "m", "Version": "1.2.3", "Sha256": "ab" * 32, "Seed": "7"}
    for name, text in wanted.items():
        assert image.GetAttribute("MedGAN." + name) == text
        assert results.trust.GetAttribute("MedGAN." + name) == text
    assert image.GetAttribute("MedGAN.Unit") == "1000 = 99.5th percentile"
    assert image.GetNodeReference("MedGAN.Input.T1") is oblique
    assert image.GetNodeReference("MedGAN.Trust") is results.trust
    assert image.GetNodeReference("MedGAN.Report") is results.table
    assert image.GetParentTransformNode() is oblique.GetParentTransformNode()
    assert image.GetParentTransformNode() is not None


def test_provenance_is_saved_with_the_scene(results, headless, tmp_path):
    path = tmp_path / "scene.mrml"
    headless.scene.SetURL(str(path))
    assert headless.scene.Commit()
    other = slicer.vtkMRMLScene()
    other.SetURL(str(path))
    other.Import()
    again = other.GetFirstNodeByName("T2 (synthetic, from T1)")
    assert again.GetAttribute("MedGAN.Sha256") == "ab" * 32
    assert again.GetNodeReference("MedGAN.Input.T1").GetName() == "sub-01 T1w"


def test_the_report_is_a_table(results):
    table = results.table
    titles = [table.GetColumnName(n) for n in range(table.GetNumberOfColumns())]
    assert titles == ["Name", "Value", "Unit", "Limit", "Verdict"]
    assert [table.GetCellText(0, n) for n in range(5)] == ["Voxel size", "1.235", "mm", "0.5 to 6", "pass"]
    assert table.GetNumberOfRows() == 2


def test_the_trust_map_has_its_own_colours_and_range(results):
    display = results.trust.GetDisplayNode()
    assert display.GetColorNode() is color_node(results.trust.GetScene())
    low, high = trust_range(results.trust)
    voxels = slicer.util.arrayFromVolume(results.trust)
    assert low == 0
    assert high == pytest.approx(np.percentile(voxels, 99.5), rel=0.05)


def composite(headless, name):
    return headless.slice_view(name).GetSliceCompositeNode()


def test_the_result_lies_over_the_input(results, headless, oblique):
    view = SceneView(headless.scene)
    view.show(results)
    view.fade(0.25)
    for name in ("Red", "Green", "Yellow"):
        node = composite(headless, name)
        assert node.GetBackgroundVolumeID() == oblique.GetID()
        assert node.GetForegroundVolumeID() == results.image.GetID()
        assert node.GetForegroundOpacity() == 0.25
    view.overlay(0.5)
    assert composite(headless, "Red").GetNthLayerVolumeID(3) == results.trust.GetID()
    view.overlay(0.0)
    assert composite(headless, "Red").GetNthLayerVolumeID(3) is None


def test_side_by_side_and_back(results, headless, oblique):
    layout = slicer.vtkMRMLLayoutNode()
    headless.scene.AddNode(layout)
    layout.SetViewArrangement(layout.SlicerLayoutFourUpView)
    yellow = headless.slice_view("Yellow").GetSliceNode()
    before = yellow.GetOrientation()
    view = SceneView(headless.scene)
    view.show(results, fit=False)
    view.side_by_side(True)
    assert layout.GetViewArrangement() == layout.SlicerLayoutSideBySideView
    assert composite(headless, "Red").GetBackgroundVolumeID() == oblique.GetID()
    assert composite(headless, "Yellow").GetBackgroundVolumeID() == results.image.GetID()
    assert composite(headless, "Yellow").GetForegroundVolumeID() is None
    view.overlay(0.6)
    assert composite(headless, "Red").GetNthLayerVolumeID(3) is None
    assert composite(headless, "Yellow").GetNthLayerVolumeID(3) == results.trust.GetID()
    view.side_by_side(False)
    assert layout.GetViewArrangement() == layout.SlicerLayoutFourUpView
    assert yellow.GetOrientation() == before
    assert composite(headless, "Yellow").GetForegroundVolumeID() == results.image.GetID()
