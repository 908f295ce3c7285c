"""How a result was made: everything needed to say so, and to make it again."""

from __future__ import annotations

import datetime
from importlib import metadata
from typing import Any

from medgan_core import __version__
from medgan_core.card import ModelCard
from medgan_core.numbering import sample_of

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
    count: int,
    settings: dict[str, Any],
    computed: dict[str, str],
    plan: dict[str, Any],
    seconds: dict[str, float],
) -> dict[str, Any]:
    """Provenance of one run in plain JSON types; `synthetic` is always true.

    `computed` has device, backend and precision of the network.
    """
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
        "count": count,
        "settings": settings,
        **computed,
        "plan": plan,
        "seconds": {stage: round(s, 4) for stage, s in seconds.items()},
        "libraries": library_versions(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "not_for": "diagnosis",
    }


def of_output(provenance: dict[str, Any], key: str) -> dict[str, Any]:
    """The provenance of one result of a run: with its key, and of several samples its number from 1 on."""
    number = sample_of(key)
    return {**provenance, "output": key, **({} if number is None else {"sample": number})}


def flat(provenance: dict[str, Any]) -> dict[str, str]:
    """The part that is written into image headers, as text."""
    keys = ("synthetic", "model", "version", "sha256", "task", "target", "seed", "created", "not_for")
    told = [*keys, *(key for key in ("output", "sample") if key in provenance)]
    out = {
        f"MedGAN.{key}": str(provenance[key]).lower() if key == "synthetic" else str(provenance[key])
        for key in told
    }
    out["MedGAN.inputs"] = ",".join(provenance["inputs"])
    return out
