"""How a result was made: everything needed to say so, and to make it again."""

from __future__ import annotations

import datetime
from importlib import metadata
from typing import Any

from medgan_core import __version__
from medgan_core.card import ModelCard

_LIBRARIES = ("torch", "monai", "numpy", "openvino", "onnxruntime", "SimpleITK", "nibabel")


def library_versions() -> dict[str, str]:
    """Versions of this package and of the libraries that shape a result, those that are installed."""
    versions = {"medgan": __version__}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def describe(
    card: ModelCard,
    *,
    inputs: list[str],
    target: str,
    seed: int,
    settings: dict[str, Any],
    plan: dict[str, Any],
    seconds: dict[str, float],
) -> dict[str, Any]:
    """Provenance of one run in plain JSON types; `synthetic` is always true."""
    return {
        "synthetic": True,
        "model": card.name,
        "version": card.version,
        "sha256": card.weights.sha256,
        "licence": card.licence,
        "task": card.task,
        "inputs": inputs,
        "target": target,
        "seed": seed,
        "settings": settings,
        "plan": plan,
        "seconds": {stage: round(s, 4) for stage, s in seconds.items()},
        "libraries": library_versions(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "not_for": "diagnosis",
    }


def flat(provenance: dict[str, Any]) -> dict[str, str]:
    """The part that is written into image headers, as text."""
    keys = ("synthetic", "model", "version", "sha256", "task", "target", "seed", "created", "not_for")
    out = {
        f"MedGAN.{key}": str(provenance[key]).lower() if key == "synthetic" else str(provenance[key])
        for key in keys
    }
    out["MedGAN.inputs"] = ",".join(provenance["inputs"])
    return out
