"""The demo's pictures: rows are orientations, columns are volumes; made by MRML's own slice views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headless import ORIENTATIONS, HeadlessScene, Pane
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
