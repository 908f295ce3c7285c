"""Images fetched from a server's store, and labels back on the grid of their files."""

from __future__ import annotations

import numpy as np
import pytest
import slicer.util
from headless import vtk_image
from MedGANLib import segments, stored
from MedGANLib.access import Access
from MedGANLib.grids import copy_geometry, is_left_handed
from MedGANLib.logic import SceneLogic

from medgan_core import io
from medgan_core.volume import Geometry, Volume

HERE = Access("http://127.0.0.1:8000")


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("hand", [1.0, -1.0])
def test_a_label_goes_back_on_the_grid_of_the_images_file(headless, tmp_path, hand, suffix):
    shape = (10, 12, 8)
    affine = np.array([[hand * 0.9, 0, 0.1, 3], [0, 1.1, 0, -7], [-0.1, 0, 2.7, 11], [0, 0, 0, 1]])
    affine[:3, :3] = np.linalg.qr(affine[:3, :3])[0] * [0.9, 1.1, 2.7]
    affine[:3, 0] *= np.sign(np.linalg.det(affine)) * hand
    image = np.random.default_rng(0).normal(500, 100, shape).astype(np.float32)
    io.write(Volume(image, Geometry(shape, affine)), tmp_path / ("image" + suffix))
    logic = SceneLogic(headless.scene)
    node = stored.load(logic, str(tmp_path / ("image" + suffix)), "c0", "5a", HERE)
    assert stored.name_of(node, HERE) == "c0"
    assert not is_left_handed(node)
    inside = slicer.util.arrayFromVolume(node) > 550
    path = logic.export(
        drawn_on(headless, node, inside), str(tmp_path), "label", reference=node, grid=stored.grid_of(node)
    )
    label, file = io.read(path), io.read(tmp_path / ("image" + suffix))
    assert label.geometry.close_to(file.geometry, tolerance_mm=1e-4)
    assert np.array_equal(np.squeeze(label.data) == 1, np.squeeze(file.data) > 550)


def drawn_on(headless, image, inside):
    """A segmentation on an image with one segment, a mask (k, j, i)."""
    drawn = headless.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "drawn")
    drawn.SetAndObserveImageData(vtk_image(inside.astype(np.int16)))
    copy_geometry(image, drawn)
    made = segments.from_label_map(headless.scene, drawn, [], "made", image=image)
    headless.scene.RemoveNode(drawn)
    return made
