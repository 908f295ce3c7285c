"""What the cards of models that look for unusual places have in common."""

from __future__ import annotations

from collections.abc import Mapping

from medgan_core.card import Figure, Port
from medgan_core.preprocess import Preprocess
from medgan_core.training.recipes import measured
from medgan_core.training.recipes.patches import PIXEL_MM

PREPROCESS = Preprocess(in_plane_mm=(0.9 * PIXEL_MM, 1.1 * PIXEL_MM), crop_margin_mm=4.0, output="share")

LIMITS = (
    "Not for diagnosis, and no test for any disease: a high value says that a place is unusual for this "
    "model, a low one does not say that it is well.",
    "Skin, skull and eyes stand out, as there is no brain mask; look at the brain alone.",
)


def anomaly_map(unit: str) -> Port:
    """The one output."""
    return Port(key="anomaly", title="Anomaly map", kind="map", unit=unit)


def figures(numbers: Mapping[str, float], command: str) -> tuple[Figure, ...]:
    """How the score tells patches with a lesion from those without, beside plain brightness."""
    units = {"auroc": "of patches", "average_precision": "of patches"}
    words = "brightness of the brightest pixels"
    return measured.figures(numbers, command, units=units, baseline="intensity", words=words)
