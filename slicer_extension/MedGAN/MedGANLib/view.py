"""How a result is looked at: over the input with a fade, side by side, with the trust map on top. No Qt.

Everything is said to the slice composite nodes and the layout node of the scene, so it works the same in
Slicer's window, on a web page and without a screen.
"""

from __future__ import annotations

import slicer

from MedGANLib import segments
from MedGANLib.logic import SYNTHETIC

_COMPOSITE = "vtkMRMLSliceCompositeNode"
_EXTRA_LAYER = 3  # background, foreground and label come before it
SIDE_BY_SIDE = ("Red", "Yellow")


class SceneView:
    """Shows one result in the scene's slice views.

    Args:
        scene: the MRML scene.
    """

    def __init__(self, scene):
        self.scene = scene
        self.forget()

    def forget(self):
        """Let go of every node (when the scene closes)."""
        self.source = self.image = self.trust = None
        self.fade_value, self.trust_opacity = 1.0, 0.0
        self._before = None

    def open(self, volume):
        """Show a volume alone, as after loading a file; segmentations of others are hidden."""
        self.forget()
        for segmentation in segments.in_scene(self.scene):
            image = segments.image_of(segmentation)
            if image is not volume and (image is not None or _is_result(segmentation)):
                segmentation.SetDisplayVisibility(False)
        self.source = volume
        self._apply()
        self._fit()

    def show(self, results, *, sample=0, fit=True):
        """Show a run's result over its input; of several samples one, with its segmentation.

        The segmentations of other runs are hidden.

        Args:
            results: `MedGANLib.results.Results`.
            sample: index into its `samples`.
            fit: move the slices to the volume, as after loading a file.
        """
        self.source, self.trust = results.source, results.trust
        self.image, chosen = results.samples[sample] if results.samples else (None, None)
        for segmentation in segments.in_scene(self.scene):
            if segmentation is chosen or _is_result(segmentation):
                segmentation.SetDisplayVisibility(segmentation is chosen)
        self._apply()
        if fit:
            self._fit()

    def fade(self, share):
        """0 shows the input alone, 1 the result alone."""
        self.fade_value = min(max(float(share), 0.0), 1.0)
        self._apply()

    def overlay(self, opacity):
        """Show the trust map over what is seen; 0 hides it."""
        self.trust_opacity = min(max(float(opacity), 0.0), 1.0)
        self._apply()

    def side_by_side(self, on):
        """Input left and result right with linked slices, or the layout that was there before."""
        layout = self._layout()
        if on and self._before is None:
            self._before = (layout.GetViewArrangement() if layout else None, self._orientation("Yellow"))
            if layout is not None:
                layout.SetViewArrangement(layout.SlicerLayoutSideBySideView)
            self._orient("Yellow", self._orientation("Red"))
        elif not on and self._before is not None:
            arrangement, orientation = self._before
            self._before = None
            if layout is not None:
                layout.SetViewArrangement(arrangement)
            self._orient("Yellow", orientation)
        self._apply()
        if on:
            self._fit()

    @property
    def is_side_by_side(self):
        """True while input and result are in views of their own."""
        return self._before is not None

    def composites(self):
        """The composite nodes of all slice views."""
        return [
            self.scene.GetNthNodeByClass(n, _COMPOSITE)
            for n in range(self.scene.GetNumberOfNodesByClass(_COMPOSITE))
        ]

    def _apply(self):
        if self.source is None and self.image is None and self.trust is None:
            return
        for composite in self.composites():
            background, foreground, share = self._layers(composite.GetLayoutName())
            composite.SetBackgroundVolumeID(_id(background))
            composite.SetForegroundVolumeID(_id(foreground))
            composite.SetForegroundOpacity(share)
            if self.is_side_by_side:
                composite.SetLinkedControl(1)
                composite.SetHotLinkedControl(0)  # linked volumes would undo left and right
            self._apply_trust(composite)

    def _layers(self, view):
        if self.source is None:
            return self.image or self.trust, None, 0.0
        if self.image is None:  # a map alone, over the input
            return self.source, None, 0.0
        if self.is_side_by_side and view in SIDE_BY_SIDE:
            return (self.source if view == SIDE_BY_SIDE[0] else self.image), None, 0.0
        return self.source, self.image, self.fade_value

    def _apply_trust(self, composite):
        shown = self.trust is not None and self.trust_opacity > 0
        over_result = not (self.is_side_by_side and composite.GetLayoutName() == SIDE_BY_SIDE[0])
        trust = self.trust if shown and over_result else None
        if hasattr(composite, "SetNthLayerVolumeID"):
            if trust is not None or composite.GetNumberOfAdditionalLayers() > 0:
                composite.SetNthLayerVolumeID(_EXTRA_LAYER, _id(trust))
                composite.SetNthLayerOpacity(_EXTRA_LAYER, self.trust_opacity)
        elif trust is not None:  # a Slicer without further layers: the trust map takes the foreground
            made = self.image is not None and (self.source is None or self.fade_value >= 0.5)
            seen = self.image if made else self.source
            composite.SetBackgroundVolumeID(_id(seen))
            composite.SetForegroundVolumeID(_id(trust))
            composite.SetForegroundOpacity(self.trust_opacity)

    def _fit(self):
        volume = self.source or self.image
        if volume is None:
            return
        bounds = [0.0] * 6
        volume.GetRASBounds(bounds)
        center = [(bounds[2 * axis] + bounds[2 * axis + 1]) / 2 for axis in range(3)]
        for node in self._slices():
            node.RotateToVolumePlane(volume)
            node.JumpSliceByCentering(*center)
        application = _application_logic()
        if application is not None:
            application.FitSliceToAll()

    def _slices(self):
        count = self.scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")
        return [self.scene.GetNthNodeByClass(n, "vtkMRMLSliceNode") for n in range(count)]

    def _slice(self, name):
        return next((node for node in self._slices() if node.GetLayoutName() == name), None)

    def _orientation(self, name):
        node = self._slice(name)
        return node.GetOrientation() if node is not None else None

    def _orient(self, name, orientation):
        node = self._slice(name)
        if node is not None and orientation:
            node.SetOrientation(orientation)

    def _layout(self):
        return self.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")


def _is_result(node):
    return node.GetAttribute(SYNTHETIC) == "true"


def _id(node):
    return node.GetID() if node is not None else None


def _application_logic():
    """Slicer's application logic, or None outside of Slicer's window."""
    application = getattr(slicer, "app", None)
    return application.applicationLogic() if application is not None else None
