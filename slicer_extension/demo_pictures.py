"""The demo's pictures: rows are orientations, columns are volumes; made by MRML's own slice views."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from headless import ORIENTATIONS, HeadlessScene, Pane
from MedGANLib import segments
from MedGANLib.results import Results
from MedGANLib.trust import color_node, trust_range


def translation_picture(scene: HeadlessScene, results: Results, target: str, path: Path) -> Path:
    """Input, result, trust map over the result."""
    panes = []
    for orientation in ORIENTATIONS:
        panes += [
            Pane(results.source, orientation=orientation, caption=f"Input: {results.source.GetName()}"),
            Pane(results.image, orientation=orientation, caption=f"Synthetic {target}"),
            trust_pane(results, orientation),
        ]
    return scene.picture(panes, path, columns=3)


def denoising_picture(
    scene: HeadlessScene, clean: Any, results: Results, difference: Any, path: Path
) -> Path:
    """Clean, noisy, denoised, what is left of the error, trust map over the denoised."""
    for node in (results.source, results.image):
        _show_like(node, clean)
    span = 0.25 * clean.GetDisplayNode().GetWindow()
    difference.GetDisplayNode().SetAutoWindowLevel(0)
    difference.GetDisplayNode().SetWindowLevelMinMax(-span, span)
    panes = []
    for orientation in ORIENTATIONS:
        panes += [
            Pane(clean, orientation=orientation, caption="Clean"),
            Pane(results.source, orientation=orientation, caption="Noisy"),
            Pane(results.image, orientation=orientation, caption="Denoised"),
            Pane(difference, orientation=orientation, caption=f"Denoised - clean (+/-{span:.0f})"),
            trust_pane(results, orientation),
        ]
    return scene.picture(panes, path, columns=5, size=300)


def labels_picture(scene: HeadlessScene, results: Results, path: Path) -> Path:
    """The input, every sample with its segmentation over it, and where a suggesting model is unsure."""
    images = [image if image is not None else results.source for image, _ in results.samples]
    drawn = [label_map(scene, segmentation) for _, segmentation in results.samples]
    names = [segmentation.GetName() if segmentation else "" for _, segmentation in results.samples]
    panes = []
    for orientation in ORIENTATIONS:
        if results.source is not None and results.images:
            panes.append(Pane(results.source, orientation=orientation, caption=results.source.GetName()))
        for image, labels, name in zip(images, drawn, names, strict=True):
            panes.append(Pane(image, orientation=orientation, caption=image.GetName()))
            if labels is not None:
                pane = Pane(image, orientation=orientation, caption=name)
                panes.append(replace(pane, overlay=labels, overlay_opacity=0.5))
        if results.trust is not None:
            legend = (color_node(results.trust.GetScene()), trust_range(results.trust))
            title = results.trust_title
            panes.append(
                Pane(images[0], orientation=orientation, caption=title, legend=legend, overlay=results.trust)
            )
    return scene.picture(panes, path, columns=len(panes) // len(ORIENTATIONS))


def label_map(scene: HeadlessScene, segmentation: Any) -> Any:
    """A segmentation as a label map with its colours, since slice views alone draw no segments; or None."""
    if segmentation is None:
        return None
    try:
        node = segments.to_label_map(scene.scene, segmentation, segments.image_of(segmentation), None)
    except RuntimeError:  # nothing was found
        return None
    colors = scene.scene.AddNewNodeByClass("vtkMRMLColorTableNode", segmentation.GetName())
    colors.SetTypeToUser()
    labels = segments.meaning(segmentation)
    colors.SetNumberOfColors(max(int(label["value"]) for label in labels) + 1)
    for label in labels:
        red, green, blue = (int(label["colour"][n : n + 2], 16) / 255 for n in (1, 3, 5))
        colors.SetColor(int(label["value"]), label["name"], red, green, blue, 1.0)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
    return node


def trust_pane(results: Results, orientation: str) -> Pane:
    """The trust map over the result, with its colours' range."""
    if results.trust is None:
        return Pane(None)
    colors = color_node(results.trust.GetScene())
    return Pane(
        results.image,
        orientation=orientation,
        caption="Expected error",
        legend=(colors, trust_range(results.trust)),
        overlay=results.trust,
    )


def _show_like(node: Any, like: Any) -> None:
    """Show `node` with the window of `like`, so that grey means the same in both."""
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(0)
    display.SetWindowLevel(like.GetDisplayNode().GetWindow(), like.GetDisplayNode().GetLevel())
