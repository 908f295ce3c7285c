"""What the module does with the MRML scene, without any window: export, candidates, settings, results.

A result takes its matrix from the node it was made from, never from a file. MRML is touched from the main
thread only.
"""

from __future__ import annotations

import os

import slicer

from MedGANLib import contrasts, segments
from MedGANLib.grids import copy_geometry, ijk_to_ras, move_beside, same_grid, turn_slices_onto
from MedGANLib.segments import LABEL_MAP, SEGMENTATION

MODULE = "MedGAN"
SYNTHETIC = "MedGAN.Synthetic"
"""Attribute of every node that a model made: ``true``."""
_VOLUME = "vtkMRMLScalarVolumeNode"
_SERIES = ("DICOM.SeriesDescription", "DICOM.ProtocolName")


class SceneLogic:
    """Works on one scene; holds nothing else.

    Args:
        scene: the MRML scene.
    """

    def __init__(self, scene):
        self.scene = scene

    # -- settings that are saved with the scene ------------------------------------------------------------
    def parameter_node(self):
        """The module's parameter node; made on the first call, one per scene."""
        node = self.scene.GetSingletonNode(MODULE, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetModuleName(MODULE)
            node.SetSingletonTag(MODULE)
            node.SetName(MODULE)
            node = self.scene.AddNode(node)
        return node

    def remember(self, *, inputs, **texts):
        """Keep choices in the parameter node.

        Args:
            inputs: input key to volume node or None.
            texts: name to text.
        """
        if self.scene.IsClosing():  # its nodes go away, which nobody chose
            return
        node = self.parameter_node()
        modified = node.StartModify()
        for key, value in texts.items():
            node.SetParameter(key, "" if value is None else str(value))
        for key, volume in inputs.items():
            node.SetNodeReferenceID("Input." + key, volume.GetID() if volume is not None else None)
        node.EndModify(modified)

    def remembered(self, name):
        """A text kept by `remember`, or an empty string."""
        return self.parameter_node().GetParameter(name)

    def remembered_input(self, key):
        """The volume node kept for an input, or None."""
        return self.parameter_node().GetNodeReference("Input." + key)

    # -- volumes ---------------------------------------------------------------------------------------------
    def volumes(self):
        """The scene's scalar volumes with voxels; label maps and vector volumes are not among them."""
        count = self.scene.GetNumberOfNodesByClass(_VOLUME)
        nodes = [self.scene.GetNthNodeByClass(n, _VOLUME) for n in range(count)]
        return [n for n in nodes if n.GetClassName() == _VOLUME and n.GetImageData() is not None]

    def contrast_of(self, node):
        """The contrast a volume says it is, or an empty string."""
        return contrasts.guess(node.GetName(), *(node.GetAttribute(name) for name in _SERIES))

    def suggest_inputs(self, keys, *, labels=(), guess=True):
        """Input key to node for a card's inputs: what was chosen before, else what the names say.

        Volumes made by a model are not suggested; a label map or segmentation is when there is just one.

        Args:
            keys: of all inputs.
            labels: those of them that are label maps.
            guess: False leaves empty what was not chosen before.
        """
        known = {key: self.remembered_input(key) for key in keys}
        known = {key: node for key, node in known.items() if node is not None}
        if known or not guess:
            return known
        real = [node for node in self.volumes() if node.GetAttribute(SYNTHETIC) != "true"]
        images = [key for key in keys if key not in labels]
        chosen = contrasts.assign(images, [(node, self.contrast_of(node)) for node in real])
        drawn = [
            self.scene.GetNthNodeByClass(n, kind)
            for kind in (SEGMENTATION, LABEL_MAP)
            for n in range(self.scene.GetNumberOfNodesByClass(kind))
        ]
        return chosen | {key: drawn[0] for key in labels if len(drawn) == 1}

    def export(self, node, folder, key, *, reference=None, labels=(), grid=None):
        """Write a volume's voxels and geometry, uncompressed, as `folder/KEY.nrrd`; returns the path.

        Nothing else of the node goes into the file: no name, no DICOM attribute.

        Args:
            node: a volume, or a segmentation, which is written as a label map.
            folder: where to.
            key: of the input.
            reference: volume node on whose grid a segmentation is written, and as seen from which a volume
                lies that has another parent transform; None for its own grid and place.
            labels: what the values of a segmentation must mean (see `segments.to_label_map`).
            grid: matrix of the file that `reference` was read from: a segmentation's slices are written in
                the order that they have there. None for the order in the scene.

        Raises:
            RuntimeError: when the node has no voxels, when its transform is not linear, or when the file
                cannot be written.
        """
        if node is not None and node.IsA(SEGMENTATION):
            drawn = segments.to_label_map(self.scene, node, reference, labels)
            if grid is not None:
                turn_slices_onto(drawn, grid)
            try:
                return self.export(drawn, folder, key)
            finally:
                segments.remove(self.scene, drawn)
        if node is None or node.GetImageData() is None:
            raise RuntimeError(f"The volume chosen for {key} is empty. Choose a volume with voxels.")
        bare = slicer.vtkMRMLScalarVolumeNode()
        bare.SetAndObserveImageData(node.GetImageData())
        copy_geometry(node, bare)
        if reference is not None:
            move_beside(bare, node, reference)
        path = os.path.join(folder, key + ".nrrd")
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(path)
        storage.SetUseCompression(0)
        if not storage.WriteData(bare):
            raise RuntimeError(f"The volume {node.GetName()} cannot be written to {path}.")
        return path

    def load(self, path, name, source, *, labels=False, as_stored=False):
        """Load a result file as a node in the place of `source`.

        When the grids agree the node gets the source's matrix exactly (a file may round it); a result on a
        grid of its own (super-resolution, say) keeps the one of its file. It gets its parent transform too.

        Args:
            path: a file written by `Client.result`.
            name: of the new node; a number is added where another node has it.
            source: the volume (or segmentation) node it was made from, or None.
            labels: make a label map.
            as_stored: keep a left-handed grid; else MRML's reader makes it right-handed.

        Raises:
            RuntimeError: when the file cannot be read.
        """
        name = self.scene.GenerateUniqueName(name)
        node = self.scene.AddNewNodeByClass(LABEL_MAP if labels else _VOLUME, name)
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        self.scene.AddNode(storage)
        storage.SetFileName(path)
        storage.SetForceRightHandedIJKCoordinateSystem(not as_stored)
        read = storage.ReadData(node)
        self.scene.RemoveNode(storage)  # else the scene would be saved with a file in the temporary folder
        if not read:
            self.scene.RemoveNode(node)
            raise RuntimeError(f"The result {path} cannot be read.")
        node.SetName(name)
        if source is not None:
            if not source.IsA(SEGMENTATION):
                turn_slices_onto(node, ijk_to_ras(source))
                if same_grid(node, source):
                    copy_geometry(source, node)
            node.SetAndObserveTransformNodeID(source.GetTransformNodeID())
        node.CreateDefaultDisplayNodes()
        return node
