"""The demo's steps with label maps: samples of every model that draws them, and suggested segmentations.

Models are chosen by what their cards say, none by its name.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from demo_pictures import labels_picture
from MedGANLib import cards, contrasts, errors
from MedGANLib.results import Request, Results

if TYPE_CHECKING:
    from demo_steps import Demo

SAMPLES = 2
SEED = 2026


def synthesize(demo: Demo, source: Any) -> list[Any]:
    """Two samples of every model for which the template is enough; their images."""
    made: list[Any] = []
    for card in demo.cards.get("synthesize", []):
        inputs = needed(demo, card, [source])
        if inputs is None:
            continue
        target = cards.targets(card)[0]["key"]
        request = Request(demo.client.server, card, inputs, target, SEED, {}, SAMPLES)
        results = show(demo, f"Synthesize: {cards.title(card)}", request)
        made += results.images.values() if results else []
    return made


def suggest(demo: Demo, images: list[Any]) -> None:
    """A segmentation by every model that suggests one, of the first image that suits it."""
    for card in demo.cards.get("suggest", []):
        inputs = needed(demo, card, images)
        if inputs:
            target = cards.targets(card)[0]["key"]
            show(
                demo, f"Suggest: {cards.title(card)}", Request(demo.client.server, card, inputs, target, SEED)
            )


def show(demo: Demo, title: str, request: Request) -> Results | None:
    """Run, and leave a picture; None when the model refuses what it was given."""
    start, stem = time.monotonic(), request.card["name"]
    try:
        results = demo.run(title, request, stem=stem)
    except errors.RefusedError as error:
        demo.timed(title, f"refused: {error}", start)
        return None
    made = len(results.images) + len(results.segmentations)
    demo.timed(title, f"{made} nodes; report: {results.report.get('verdict')}", start)
    labels_picture(demo.scene, results, demo.folder / f"{stem}.png")
    return results


def needed(demo: Demo, card: dict[str, Any], images: list[Any]) -> dict[str, Any] | None:
    """The inputs that a model cannot do without; None when none of the images will do."""
    if cards.from_nothing(card):
        return {}
    ports = cards.inputs(card)
    fitting = [(node, demo.logic.contrast_of(node)) for node in images if fits(card["domain"], node)]
    chosen: dict[str, Any] = contrasts.assign([p["key"] for p in ports if cards.kind(p) == "image"], fitting)
    if not chosen and fitting:
        chosen = {p["key"]: fitting[0][0] for p in ports if p.get("required") and cards.kind(p) == "image"}
    return None if cards.missing_inputs(card, chosen) else chosen


def fits(domain: dict[str, Any], node: Any) -> bool:
    """Whether a volume's voxels and field of view are what a model was made for."""
    spacing, sides = node.GetSpacing(), node.GetImageData().GetDimensions()
    extent = [step * count for step, count in zip(spacing, sides, strict=True)]
    return all(
        low <= value <= high
        for values, (low, high) in ((spacing, domain["spacing_mm"]), (extent, domain["extent_mm"]))
        for value in values
    )
