"""From volumes to volumes with each kind of network: one applier a file, chosen by the card's architecture.

Most bring their problem into the form of `inference.apply` (slices in, slices of the same size out), so that
back ends, self-check, memory plan, tiles, progress and replay are the same for all of them.
"""

from __future__ import annotations

from medgan_core.card import ModelCard
from medgan_core.errors import ModelError
from medgan_core.inference.appliers import (
    anomalies,
    holes,
    painting,
    pairs,
    restored,
    segments,
    slabs,
    thick_slices,
    variants,
)
from medgan_core.inference.appliers.application import Answer, Application, Applier

__all__ = ["APPLIERS", "Answer", "Application", "Applier", "of"]

APPLIERS: dict[str, Applier] = {
    "hole-filler": Applier(holes.fill),
    "labelled-synthesizer": Applier(pairs.synthesize, slabs=False),
    "mr-variants": Applier(variants.vary, slabs=False),
    "patch-anomaly": Applier(anomalies.find),
    "slab-painter": Applier(painting.synthesize),
    "slab-restorer": Applier(restored.compare),
    "slab-segmenter": Applier(segments.suggest, views=True),
    "slab-unet": Applier(slabs.predict, views=True),
    "slice-refiner": Applier(thick_slices.refine),
}
"""By the name of the network."""


def of(card: ModelCard) -> Applier:
    """The applier of a model.

    Raises:
        ModelError: when its network is none that is applied to volumes.
    """
    name = card.architecture.name
    if name not in APPLIERS:
        raise ModelError(
            f"The model {card.name!r} cannot be applied to a volume",
            expected="one of the networks " + ", ".join(APPLIERS),
            got=name,
            action="choose another model from the list (medgan models)",
        )
    return APPLIERS[name]
