"""Published models in the formats of others, each run once against the original before it is handed out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from medgan_core import results
from medgan_core.errors import UsageError
from medgan_core.export.bundle import write_bundle
from medgan_core.export.check import Exported
from medgan_core.export.onnx import write_onnx
from medgan_core.registry import Model, Registry

__all__ = ["FORMATS", "Exported", "export"]

FORMATS: dict[str, Callable[[Model, Path], Exported]] = {"onnx": write_onnx, "bundle": write_bundle}


def export(model: str, *, kind: str, out: Path, registry: Registry | None = None) -> Exported:
    """Write a model in another format, verified.

    Args:
        model: its name in the registry.
        kind: a key of `FORMATS`.
        out: folder for the file or folder that is made; is made.
        registry: where models are found.

    Raises:
        UsageError: on an unknown model or format, or when the bundle is there already.
        ResourceError: when a library that the format needs is missing.
        ModelError: when the network cannot be exported, or computes something else afterwards.
    """
    if kind not in FORMATS:
        raise UsageError(
            f"There is no format called {kind!r}",
            expected="one of " + ", ".join(FORMATS),
            got=kind,
            action="correct --format",
        )
    found = (registry or Registry()).load(model)
    results.make_folder(out)
    return FORMATS[kind](found, out)
