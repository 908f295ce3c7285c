"""A real MRML scene without 3D Slicer's window, and pictures of its slice views.

Used by the demo and by the tests; the module itself never imports it. Needs the packages `slicer-core` and
`vtk` (the extra `scene`). Off-screen rendering uses VTK's EGL window unless the environment says otherwise.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.platform.startswith("linux"):
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

ORIENTATIONS = ("Axial", "Coronal", "Sagittal")


@dataclass(frozen=True)
class Pane:
    """One slice view of a picture.

    Args:
        background: a volume node, or None for an empty pane.
        foreground: a volume node shown over it, or None.
        opacity: of the foreground, in [0, 1].
        orientation: Axial, Coronal or Sagittal.
        caption: written into the pane's lower left corner.
        legend: a colour node and its value range, drawn as a bar; None for no bar.
        overlay: a volume node shown over both with `overlay_opacity`, or None.
    """

    background: Any
    foreground: Any = None
    opacity: float = 0.0
    orientation: str = "Axial"
    caption: str = ""
    legend: tuple[Any, tuple[float, float]] | None = None
    overlay: Any = None
    overlay_opacity: float = 0.6


class HeadlessScene:
    """A scene with the logics that loading and slicing of volumes needs."""

    def __init__(self) -> None:
        self.scene = slicer.vtkMRMLScene()
        self.app = slicer.vtkSlicerApplicationLogic()
        self.app.SetMRMLScene(self.scene)
        colors = self.app.GetColorLogic()
        colors.SetMRMLScene(self.scene)
        colors.AddDefaultColorNodes()
        self.app.SetSliceLogics(vtk.vtkCollection())
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)
        self._segmentations = slicer.vtkSlicerSegmentationsModuleLogic()  # knows how segments are represented
        self._segmentations.SetMRMLScene(self.scene)
        self._views: dict[str, Any] = {}

    def load_volume(self, path: Path, name: str) -> Any:
        """Read a volume file into a new scalar volume node.

        Raises:
            RuntimeError: when MRML cannot read the file.
        """
        node = self.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        self.scene.AddNode(storage)
        storage.SetFileName(str(path))
        if not storage.ReadData(node):
            raise RuntimeError(f"MRML cannot read {path}")
        self.scene.RemoveNode(storage)
        node.CreateDefaultDisplayNodes()
        return node

    def add_volume(self, voxels: Any, like: Any, name: str, *, matrix: Any = None) -> Any:
        """A new scalar volume node from an array (k, j, i).

        Args:
            voxels: any real dtype.
            like: the node whose geometry it gets, or None.
            name: of the node.
            matrix: 4x4 from voxel to RAS mm, used when `like` is None.
        """
        node = self.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        node.SetAndObserveImageData(vtk_image(voxels))
        if like is not None:
            node.CopyOrientation(like)
        elif matrix is not None:
            node.SetIJKToRASMatrix(vtk_matrix(matrix))
        node.CreateDefaultDisplayNodes()
        return node

    def save_volume(self, node: Any, path: Path) -> Path:
        """Write a volume node to a file.

        Raises:
            RuntimeError: when MRML cannot write it.
        """
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(path))
        if not storage.WriteData(node):
            raise RuntimeError(f"MRML cannot write {path}")
        return path

    def slice_view(self, name: str) -> Any:
        """The slice logic called `name` (Red, Yellow, ...); made on the first call."""
        if name not in self._views:
            logic = slicer.vtkMRMLSliceLogic()
            logic.SetMRMLApplicationLogic(self.app)
            logic.SetMRMLScene(self.scene)
            logic.AddSliceNode(name)
            self.app.GetSliceLogics().AddItem(logic)
            self._views[name] = logic
        return self._views[name]

    def picture(self, panes: Sequence[Pane], path: Path, *, columns: int, size: int = 360) -> Path:
        """Write `panes`, row by row, as slice views into one PNG."""
        rows = -(-len(panes) // columns)
        window = vtk.vtkRenderWindow()
        window.SetOffScreenRendering(1)
        window.SetMultiSamples(0)
        window.SetSize(columns * size, rows * size)
        for index, pane in enumerate(panes):
            row, column = divmod(index, columns)
            renderer = vtk.vtkRenderer()
            low = (rows - 1 - row) / rows
            renderer.SetViewport(column / columns, low, (column + 1) / columns, low + 1 / rows)
            window.AddRenderer(renderer)
            if pane.background is not None:
                self._fill(renderer, pane, size, f"Pane{index}")
        window.Render()
        return write_png(window, path)

    def _fill(self, renderer: Any, pane: Pane, size: int, name: str) -> None:
        logic = self.slice_view(name)
        show_layers(logic, pane, size)
        draw_slice(renderer, logic)
        if pane.caption:
            renderer.AddViewProp(_caption(pane.caption))
        if pane.legend is not None:
            renderer.AddViewProp(_legend(*pane.legend))


def vtk_image(voxels: Any) -> Any:
    """An array (k, j, i) as vtkImageData with its own copy of the voxels."""
    image = vtk.vtkImageData()
    image.SetDimensions(voxels.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(voxels.ravel(), deep=True))
    return image


def vtk_matrix(rows: Any) -> Any:
    """A 4x4 array as vtkMatrix4x4."""
    matrix = vtk.vtkMatrix4x4()
    for row in range(4):
        for column in range(4):
            matrix.SetElement(row, column, float(rows[row][column]))
    return matrix


def show_layers(logic: Any, pane: Pane, size: int) -> None:
    """Point a slice logic at a pane's volumes, orientation and size in pixels; fit the background."""
    node, composite = logic.GetSliceNode(), logic.GetSliceCompositeNode()
    composite.SetBackgroundVolumeID(pane.background.GetID())
    composite.SetForegroundVolumeID(pane.foreground.GetID() if pane.foreground else None)
    composite.SetForegroundOpacity(pane.opacity)
    composite.SetNthLayerVolumeID(3, pane.overlay.GetID() if pane.overlay else None)
    composite.SetNthLayerOpacity(3, pane.overlay_opacity)
    node.SetOrientation(pane.orientation)
    node.SetDimensions(size, size, 1)
    logic.FitSliceToBackground(size, size)
    bounds = [0.0] * 6
    pane.background.GetRASBounds(bounds)
    node.JumpSliceByCentering(*((bounds[2 * a] + bounds[2 * a + 1]) / 2 for a in range(3)))


def draw_slice(renderer: Any, logic: Any) -> None:
    """Put what a slice logic blends together into a renderer."""
    connection = logic.GetImageDataConnection()
    if connection is None:
        return
    mapper = vtk.vtkImageMapper()
    mapper.SetColorWindow(255)
    mapper.SetColorLevel(127.5)
    mapper.SetInputConnection(connection)
    actor = vtk.vtkActor2D()
    actor.SetMapper(mapper)
    renderer.AddViewProp(actor)


def write_png(window: Any, path: Path) -> Path:
    """The window's pixels as a PNG file."""
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.ReadFrontBufferOff()
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(str(path))
    writer.SetInputConnection(grab.GetOutputPort())
    writer.Write()
    return path


def _caption(text: str) -> Any:
    actor = vtk.vtkTextActor()
    actor.SetInput(text)
    actor.SetPosition(8, 6)
    style = actor.GetTextProperty()
    style.SetFontSize(15)
    style.SetColor(1.0, 1.0, 1.0)
    style.SetShadow(True)
    return actor


def _legend(colors: Any, limits: tuple[float, float]) -> Any:
    table = vtk.vtkLookupTable()
    table.DeepCopy(colors.GetLookupTable())
    for index in range(table.GetNumberOfTableValues()):
        red, green, blue, _ = table.GetTableValue(index)
        table.SetTableValue(index, red, green, blue, 1.0)
    table.SetRange(*limits)
    bar = vtk.vtkScalarBarActor()
    bar.SetLookupTable(table)
    bar.SetNumberOfLabels(3)
    bar.SetLabelFormat("{:.0f}" if limits[1] >= 10 else "{:.2f}")
    bar.SetUnconstrainedFontSize(True)
    bar.GetLabelTextProperty().SetFontSize(12)
    bar.SetPosition(0.86, 0.25)
    bar.SetPosition2(0.12, 0.5)
    return bar
