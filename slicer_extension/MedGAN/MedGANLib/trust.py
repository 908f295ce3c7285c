"""How a map over an image (mostly a trust map) is shown: clear where small, yellow to red where large."""

from __future__ import annotations

import slicer
import vtk

COLORS = "MedGAN map"
_CLEAR = 0.15  # of the range: below it the image shows through
_STEPS = 256


def color_node(scene):
    """The scene's colour table for such maps; made on the first call."""
    node = scene.GetFirstNodeByName(COLORS)
    if node is not None:
        return node
    node = slicer.vtkMRMLColorTableNode()
    node.SetTypeToUser()
    node.SetName(COLORS)
    node.SetNumberOfColors(_STEPS)
    for step in range(_STEPS):
        red, green, blue, alpha = _color(step / (_STEPS - 1))
        node.SetColor(step, f"{step / (_STEPS - 1):.0%}", red, green, blue, alpha)
    node.SetAttribute("Category", "MedGAN")
    return scene.AddNode(node)


def show_as_trust(volume, upper=None):
    """Give such a map its colours, from 0 to `upper` or else to its 99.5th percentile."""
    display = volume.GetDisplayNode()
    display.SetAndObserveColorNodeID(color_node(volume.GetScene()).GetID())
    display.SetAutoWindowLevel(0)
    display.SetWindowLevelMinMax(0.0, upper if upper is not None else _percentile(volume))
    display.SetInterpolate(1)


def trust_range(volume):
    """(0, upper end) of a shown map's colours."""
    display = volume.GetDisplayNode()
    return display.GetWindowLevelMin(), display.GetWindowLevelMax()


def _percentile(volume):
    histogram = vtk.vtkImageHistogramStatistics()
    histogram.SetInputData(volume.GetImageData())
    histogram.SetAutoRangePercentiles(0.0, 99.5)
    histogram.SetAutoRangeExpansionFactors(0.0, 0.0)
    histogram.Update()
    upper = histogram.GetAutoRange()[1]
    if not upper > 0:
        upper = volume.GetImageData().GetScalarRange()[1]
    return upper if upper > 0 else 1.0


def _color(share):
    """Red, green, blue, opacity for a share of the range."""
    if share < _CLEAR:
        return 1.0, 1.0, 0.6, 0.0
    warm = (share - _CLEAR) / (1.0 - _CLEAR)
    return 1.0, 0.95 * (1.0 - warm) ** 0.8, 0.35 * (1.0 - warm) ** 2, 1.0
