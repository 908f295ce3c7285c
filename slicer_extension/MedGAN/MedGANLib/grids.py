"""Where volumes lie: their matrices, the order of their slices, their parent transforms.

Conventions: a matrix maps voxel (i, j, k) to RAS mm, relative to the node's parent transform; it is a list of
16 numbers, row by row.
"""

from __future__ import annotations

import slicer
import vtk


def ijk_to_ras(node):
    """A volume's matrix."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return [matrix.GetElement(row, column) for row in range(4) for column in range(4)]


def copy_geometry(source, target):
    """Give `target` the matrix of `source`, bit for bit.

    By its parts: CopyOrientation and SetIJKToRASMatrix normalise the axes again and change the last bit.
    Everything is set to something far away first, because setting what nearly agrees changes nothing.
    """
    directions = [[0.0] * 3 for _ in range(3)]
    source.GetIJKToRASDirections(directions)
    target.SetIJKToRASDirections([[-value for value in row] for row in directions])
    target.SetIJKToRASDirections(directions)
    target.SetSpacing([2.0 * side for side in source.GetSpacing()])
    target.SetSpacing(source.GetSpacing())
    target.SetOrigin([place + 1.0 for place in source.GetOrigin()])
    target.SetOrigin(source.GetOrigin())


def same_grid(one, other):
    """True when two volumes have the same size and their corner voxels agree within 0.01 mm."""
    size = one.GetImageData().GetDimensions()
    return size == other.GetImageData().GetDimensions() and _agree(ijk_to_ras(one), ijk_to_ras(other), size)


def is_left_handed(node):
    """True when a volume's axes form a left hand."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix.Determinant() < 0


def turn_slices(node):
    """Reverse the order of a volume's slices; every voxel stays where it is in the patient."""
    flip = vtk.vtkImageFlip()
    flip.SetInputData(node.GetImageData())
    flip.SetFilteredAxis(2)
    flip.Update()
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(_turned(node))
    node.SetAndObserveImageData(flip.GetOutput())
    node.SetIJKToRASMatrix(matrix)


def turn_slices_onto(node, wanted):
    """Reverse the order of a volume's slices where that puts it on the grid with the matrix `wanted`."""
    if _agree(_turned(node), wanted, node.GetImageData().GetDimensions()):
        turn_slices(node)


def move_beside(node, moved, reference):
    """Give `node` the place of `moved`, as seen from `reference`: their parent transforms may differ.

    Args:
        node: a volume with the matrix of `moved`; it changes.
        moved: a volume node of the scene.
        reference: the volume node whose parent transform counts.

    Raises:
        RuntimeError: when a transform between them is not linear.
    """
    if moved.GetTransformNodeID() == reference.GetTransformNodeID():
        return
    between, matrix = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    parents = moved.GetParentTransformNode(), reference.GetParentTransformNode()
    if not slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(*parents, between):
        straight = parents[0] is None or parents[0].IsTransformToWorldLinear()
        name = (reference if straight else moved).GetName()
        raise RuntimeError(f"Harden the transform of {name} first: it is not linear.")
    node.GetIJKToRASMatrix(matrix)
    vtk.vtkMatrix4x4.Multiply4x4(between, matrix, matrix)
    node.SetIJKToRASMatrix(matrix)


def _turned(node):
    matrix, last = ijk_to_ras(node), node.GetImageData().GetDimensions()[2] - 1
    turned = list(matrix)
    for row in range(3):
        turned[4 * row + 2] = -matrix[4 * row + 2]
        turned[4 * row + 3] = matrix[4 * row + 3] + last * matrix[4 * row + 2]
    return turned


def _agree(first, second, size, tolerance_mm=1e-2):
    reach = [max(side - 1, 1) for side in size] + [1]
    return all(
        sum(abs(first[4 * row + c] - second[4 * row + c]) * reach[c] for c in range(4)) <= tolerance_mm
        for row in range(3)
    )
