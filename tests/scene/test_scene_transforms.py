"""Parent transforms: inputs that are registered to each other, and the place of results."""

from __future__ import annotations

import numpy as np
import pytest
import slicer.util
import vtk
from headless import vtk_image, vtk_matrix
from MedGANLib import segments
from MedGANLib.grids import copy_geometry, ijk_to_ras
from MedGANLib.logic import SceneLogic
from MedGANLib.results import Request, load_results

from medgan_core import io
from tests.scene.conftest import head
from tests.scene.test_scene_labels import LABELS, PAIRS, REPORT, parts

TURN = np.array([[0.8, -0.6, 0, 12], [0.6, 0.8, 0, -5], [0, 0, 1, 3], [0, 0, 0, 1.0]])


def put_under(headless, node, matrix):
    """Give a node a linear parent transform."""
    transform = headless.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "registration")
    transform.SetMatrixTransformToParent(vtk_matrix(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def put_under_a_bent_one(headless, node):
    """Give a node a parent transform that is not linear."""
    bent = vtk.vtkThinPlateSplineTransform()
    points = [[0, 0, 0], [50, 0, 0], [0, 50, 0], [0, 0, 50], [40, 40, 40]]
    for name, shift in (("Source", 0.0), ("Target", 9.0)):
        landmarks = vtk.vtkPoints()
        for number, point in enumerate(points):
            landmarks.InsertNextPoint(point[0] + shift * (number % 2), point[1], point[2])
        getattr(bent, f"Set{name}Landmarks")(landmarks)
    transform = headless.scene.AddNewNodeByClass("vtkMRMLTransformNode", "warp")
    transform.SetAndObserveTransformToParent(bent)
    node.SetAndObserveTransformNodeID(transform.GetID())


def written(path):
    return io.read(path).geometry.affine


@pytest.fixture
def flair(headless, oblique):
    """A second contrast in the place of `oblique`."""
    return headless.add_volume(head((24, 64, 80), 2), oblique, "FLAIR")


def test_an_input_is_sent_as_it_lies_beside_the_first_one(headless, oblique, flair, tmp_path):
    logic, own = SceneLogic(headless.scene), np.reshape(ijk_to_ras(flair), (4, 4))
    put_under(headless, flair, TURN)
    path = logic.export(flair, str(tmp_path), "FLAIR", reference=oblique)
    assert np.allclose(written(path), TURN @ own, atol=1e-5)
    other = np.linalg.inv(TURN)
    put_under(headless, oblique, other)
    path = logic.export(flair, str(tmp_path), "FLAIR", reference=oblique)
    assert np.allclose(written(path), np.linalg.inv(other) @ TURN @ own, atol=1e-5)
    oblique.SetAndObserveTransformNodeID(flair.GetTransformNodeID())
    path = logic.export(flair, str(tmp_path), "FLAIR", reference=oblique)
    assert np.allclose(written(path), own, atol=1e-5)


def test_a_transform_that_is_not_linear_has_to_be_hardened(headless, oblique, flair, tmp_path):
    logic = SceneLogic(headless.scene)
    put_under_a_bent_one(headless, flair)
    with pytest.raises(RuntimeError, match="Harden the transform of FLAIR"):
        logic.export(flair, str(tmp_path), "FLAIR", reference=oblique)
    with pytest.raises(RuntimeError, match="Harden the transform of FLAIR"):
        logic.export(oblique, str(tmp_path), "T1", reference=flair)
    logic.export(flair, str(tmp_path), "FLAIR", reference=flair)


def test_the_result_of_a_segmentation_alone_lies_where_the_segmentation_does(headless, oblique, tmp_path):
    drawn = headless.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "drawn")
    drawn.SetAndObserveImageData(vtk_image(parts()))
    copy_geometry(oblique, drawn)
    made = segments.from_label_map(headless.scene, drawn, LABELS, "made", image=oblique)
    transform = put_under(headless, made, TURN)
    logic, request = SceneLogic(headless.scene), Request("s", PAIRS, {"labels": made}, "image")
    path = logic.export(made, str(tmp_path), "labels", reference=request.beside("labels"))
    assert np.allclose(written(path), np.reshape(ijk_to_ras(oblique), (4, 4)), atol=1e-4)
    found = load_results(logic, request, {"image": path, "segmentation": path}, REPORT)
    for node in (found.image, *found.segmentations.values()):
        assert node.GetTransformNodeID() == transform.GetID()
    back = segments.to_label_map(headless.scene, made, found.image, None)
    assert np.array_equal(slicer.util.arrayFromVolume(back), slicer.util.arrayFromVolume(found.image))


def test_a_reference_of_another_patient_is_sent_where_it_lies(headless, oblique, flair):
    put_under_a_bent_one(headless, flair)
    request = Request("s", PAIRS, {"labels": oblique, "reference": flair}, "image")
    assert request.beside("reference") is None
    assert request.beside("labels") is oblique
