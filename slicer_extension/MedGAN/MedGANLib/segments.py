"""Segmentations: segments from a label map and what its values mean, and a label map with the same values."""

from __future__ import annotations

import json

import numpy as np
import slicer
import slicer.util
import vtk

SEGMENTATION = "vtkMRMLSegmentationNode"
LABEL_MAP = "vtkMRMLLabelMapVolumeNode"
_COLORS = "vtkMRMLColorTableNode"
_MEANING = "MedGAN.Labels"


def from_label_map(scene, drawn, labels, name, *, image=None):
    """A segmentation node with a segment for every value of a label map.

    Args:
        scene: the MRML scene.
        drawn: label map node; it stays as it is.
        labels: what its values mean, (value, name, colour) dicts. Each becomes a segment, an empty one where
            the map does not have it, so that it can be drawn; other values get a name of their own.
        name: of the new node; a number is added where another node has it.
        image: volume node that it is a segmentation of; its grid and place are those to draw on.
    """
    node = scene.AddNewNodeByClass(SEGMENTATION, scene.GenerateUniqueName(name))
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(image if image is not None else drawn)
    node.SetAndObserveTransformNodeID(drawn.GetTransformNodeID())
    if drawn.GetImageData().GetScalarRange()[1] > 0:
        slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(drawn, node)
    segments = node.GetSegmentation()
    found = {one.GetLabelValue(): one for _, one in each(node)}
    for label in labels:
        value, color = int(label["value"]), _rgb(label["colour"])
        segment = found.get(value)
        if segment is None:
            segment = segments.GetSegment(segments.AddEmptySegment("", label["name"], color))
            segment.SetLabelValue(value)
        segment.SetName(label["name"])
        segment.SetColor(color)
    node.SetAttribute(_MEANING, json.dumps(list(labels)))
    return node


def to_label_map(scene, segmentation, reference, labels):
    """All segments as a new label map node, each with its value.

    Args:
        scene: the MRML scene.
        segmentation: the node.
        reference: volume node whose grid it gets; None for the grid that the segments are drawn on.
        labels: what the values mean; a segment is known by its name. None for what the segmentation itself
            says: the values it was made with, else 1, 2, ... in the order of the segments.

    Raises:
        RuntimeError: when nothing is drawn, when a segment is none of the labels, or when two overlap.
    """
    values = _values(segmentation, labels)
    node = _exported(scene, segmentation, list(values), reference)
    if node is None:
        raise RuntimeError(f"The segmentation {segmentation.GetName()} is empty. Draw a segment in it.")
    try:
        _refuse_overlap(scene, segmentation, list(values), node)
    except RuntimeError:
        remove(scene, node)
        raise
    table = np.array([0, *values.values()], dtype=np.int16)
    slicer.util.updateVolumeFromArray(node, table[slicer.util.arrayFromVolume(node)])
    return node


def _exported(scene, segmentation, segment_ids, reference):
    """Segments as a label map node with the values 1, 2, ...; None when nothing is drawn."""
    ids = vtk.vtkStringArray()
    for segment_id in segment_ids:
        ids.InsertNextValue(segment_id)
    node = scene.AddNewNodeByClass(LABEL_MAP, "MedGAN export")
    before = scene.GetNumberOfNodesByClass(_COLORS)
    export = slicer.vtkSlicerSegmentationsModuleLogic.ExportSegmentsToLabelmapNode
    done = segment_ids and export(
        segmentation, ids, node, reference, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
    )
    image = node.GetImageData() if done else None
    drawn = image is not None and image.GetPointData().GetScalars() and image.GetScalarRange()[1] > 0
    while scene.GetNumberOfNodesByClass(_COLORS) > before:  # the export adds a table for every label map
        scene.RemoveNode(scene.GetNthNodeByClass(before, _COLORS))
    if not drawn:
        remove(scene, node)
    return node if drawn else None


def _refuse_overlap(scene, segmentation, segment_ids, whole):
    """A label map holds one value a voxel: of segments that overlap, parts would be lost.

    Args:
        scene: the MRML scene.
        segmentation: the node.
        segment_ids: that were exported together.
        whole: the label map node that came of it, with the values 1, 2, ...

    Raises:
        RuntimeError: names two that overlap.
    """
    inside, layers = segmentation.GetSegmentation(), {}
    for segment_id in segment_ids:  # segments of a layer cannot overlap; only label maps have layers
        layer = inside.GetLayerIndex(segment_id)
        layers.setdefault(segment_id if layer < 0 else layer, []).append(segment_id)
    together = slicer.util.arrayFromVolume(whole)
    for members in layers.values() if len(layers) > 1 else ():
        alone = _exported(scene, segmentation, members, whole)
        if alone is None:
            continue
        numbers = np.array([0, *(segment_ids.index(one) + 1 for one in members)])
        wanted = numbers[slicer.util.arrayFromVolume(alone)]
        remove(scene, alone)
        lost = (wanted > 0) & (wanted != together)
        if lost.any():
            pair = [inside.GetSegment(segment_ids[one[lost][0] - 1]).GetName() for one in (wanted, together)]
            raise RuntimeError(
                f"The segments {pair[0]} and {pair[1]} overlap. Let each voxel belong to one segment alone "
                "(in the Segment Editor: Masking, or Logical operators)."
            )


def remove(scene, node):
    """Remove a label map that was needed for a moment, and its display node."""
    display = node.GetDisplayNode()
    scene.RemoveNode(node)
    if display is not None:
        scene.RemoveNode(display)


def each(segmentation):
    """(id, segment) of every segment, in order."""
    segments = segmentation.GetSegmentation()
    count = segments.GetNumberOfSegments()
    return [(segments.GetNthSegmentID(n), segments.GetNthSegment(n)) for n in range(count)]


def meaning(segmentation):
    """What the values of a segmentation mean: as it was made, else from its segments."""
    if told(segmentation):
        return told(segmentation)
    values = _values(segmentation, None)
    return [
        {"value": values[segment_id], "name": segment.GetName(), "colour": _hex(segment.GetColor())}
        for segment_id, segment in each(segmentation)
    ]


def in_scene(scene):
    """All segmentation nodes."""
    count = scene.GetNumberOfNodesByClass(SEGMENTATION)
    return [scene.GetNthNodeByClass(n, SEGMENTATION) for n in range(count)]


def watch(segmentation, call):
    """Call a function whenever a segmentation gets other segments, other names or another image.

    Args:
        segmentation: the node, or None.
        call: the function.

    Returns:
        A function that ends it.
    """
    if segmentation is None:
        return lambda: None
    node, inside = slicer.vtkMRMLNode, slicer.vtkSegmentation
    events = [node.ReferenceAddedEvent, node.ReferenceModifiedEvent, node.ReferenceRemovedEvent]
    events += [inside.SegmentAdded, inside.SegmentRemoved, inside.SegmentModified]
    tags = [segmentation.AddObserver(event, lambda *_unused: call()) for event in events]
    return lambda: [segmentation.RemoveObserver(tag) for tag in tags]


def image_of(segmentation):
    """The volume node that a segmentation is drawn on, or None."""
    return segmentation.GetNodeReference(segmentation.GetReferenceImageGeometryReferenceRole())


def unknown(segmentation, labels):
    """Names of the segments that are none of the labels."""
    known = {label["name"].casefold() for label in labels}
    return [one.GetName() for _, one in each(segmentation) if one.GetName().strip().casefold() not in known]


def told(segmentation):
    """What a segmentation itself says that its values mean; empty when it says nothing."""
    return json.loads(segmentation.GetAttribute(_MEANING) or "[]")


def _values(segmentation, labels):
    """Segment id to value."""
    labels = labels or told(segmentation)
    segments = each(segmentation)
    if not labels:
        own = [segment.GetLabelValue() for _, segment in segments]
        distinct = len(set(own)) == len(own) and min(own, default=1) > 0
        return {one[0]: own[n] if distinct else n + 1 for n, one in enumerate(segments)}
    known = {label["name"].casefold(): int(label["value"]) for label in labels}
    strange = unknown(segmentation, labels)
    if strange:
        names = ", ".join(label["name"] for label in labels)
        raise RuntimeError(f"Nobody knows the segment {strange[0]} here. Name each segment one of: {names}.")
    return {segment_id: known[one.GetName().strip().casefold()] for segment_id, one in segments}


def _rgb(colour):
    """``#e6a23c`` as three shares of 1."""
    return [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]


def _hex(color):
    return "#" + "".join(f"{round(255 * part):02x}" for part in color)
