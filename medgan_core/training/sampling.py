"""Drawing new images from the networks of a finished run."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from medgan_core import io, provenance, results
from medgan_core.errors import ModelError
from medgan_core.monitor import Monitor, Progress
from medgan_core.request import check_seed
from medgan_core.training import RECIPES, folder
from medgan_core.training.finished import Finished
from medgan_core.training.journal import write_grid
from medgan_core.training.recipe import Recipe
from medgan_core.volume import Geometry, Volume

_COLUMNS, _SHOWN = 8, 32


def sample(
    run: Path,
    *,
    count: int,
    out: Path,
    seed: int = 0,
    device: str = "auto",
    recipes: Mapping[str, type[Recipe]] = RECIPES,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Draw images and write ``NAME-001.nii.gz``, ..., ``samples.png`` and ``samples.json``.

    The averaged weights are used, in fp32. The same run, seed, count and device give the same voxels.
    Volumes are written with axes towards R, A, S from the origin; the voxel side is the recipe's class
    variable `spacing_mm` (one number, or one for each axis), or 1 mm. A 2D image is a volume of one slice.

    Args:
        run: folder of a finished run.
        count: how many to draw.
        out: folder for the files; is made.
        seed: of everything random.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        recipes: those there are, by name.
        progress: called while drawing.
        cancel: polled while drawing.

    Returns:
        What is in samples.json: files by name, how they were made (`provenance`), the overview's file.

    Raises:
        UsageError: when the run is not finished, is of an unknown recipe, or draws nothing from nothing.
        ModelError: when what it draws is not finite.
        CancelledError: when cancelled.
    """
    check_seed(seed)
    opened = Finished.open(run, device=device, recipes=recipes)
    recipe = opened.recipe
    monitor = Monitor(progress, cancel)
    with monitor.stage(f"sampling {recipe.name}", 1.0):
        drawn = opened.draw(count, seed=seed, monitor=monitor)
    images = {name: _finite(name, part) for name, part in drawn.items()}
    results.make_folder(out)
    made = _provenance(run, recipe, seed=seed, device=str(opened.device))
    told: dict[str, Any] = {
        "command": f"medgan sample {run.name} --count {count} --seed {seed} --out {out.name}",
        "run": run.name,
        "recipe": recipe.name,
        "count": count,
        "seed": seed,
        "files": {name: list(_write(out, recipe, name, images[name], made)) for name in images},
        "picture": _overview(out / "samples.png", images),
        "provenance": made,
    }
    (out / "samples.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return told


def _finite(name: str, images: Tensor) -> Tensor:
    if images.is_floating_point() and not bool(images.isfinite().all()):
        raise ModelError(
            "The run draws images that are not finite",
            expected=f"numbers in {name}",
            got="NaN or infinity",
            action="look into the run's metrics.jsonl, and train again",
        )
    return images


def _provenance(run: Path, recipe: Recipe, *, seed: int, device: str) -> dict[str, Any]:
    """How the samples were made, with the keys every result has."""
    weights = folder.hashes(run)
    return {
        "synthetic": True,
        "model": recipe.name,
        "version": folder.resolved(run).get("version", "unknown"),
        "sha256": ", ".join(f"{name} {digest}" for name, digest in weights.items()),
        "task": "synthesize",
        "inputs": [],
        "target": "",
        "seed": seed,
        "run": run.name,
        "weights": weights,
        "training": folder.done(run),
        "device": device,
        "precision": "fp32",
        "libraries": provenance.library_versions(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "not_for": "diagnosis",
    }


def _write(out: Path, recipe: Recipe, name: str, images: Tensor, made: dict[str, Any]) -> Iterator[str]:
    """One volume for every image (and channel, where there are several); yields the files' names."""
    spacing = spacing_mm(recipe, images.dim() - 2)
    made = made | {"target": name}
    told = {**provenance.flat(made), "MedGAN.provenance": json.dumps(made)}
    for number, image in enumerate(images, start=1):
        for channel, voxels in enumerate(image, start=1):
            part = f"-c{channel}" if len(image) > 1 else ""
            i, j, k = (*voxels.shape, 1)[:3]
            grid = Geometry((i, j, k), np.diag([*spacing, 1.0]))
            volume = Volume(_stored(voxels).reshape(i, j, k), grid)
            yield io.write(volume, out / f"{name}{part}-{number:03d}.nii.gz", metadata=told).name


def spacing_mm(recipe: Recipe, axes: int) -> tuple[float, float, float]:
    """Voxel sides of a recipe's samples along (i, j, k); axes it does not speak of have 1 mm."""
    said = getattr(recipe, "spacing_mm", 1.0)
    sides = [float(s) for s in said] if isinstance(said, tuple | list) else [float(said)] * axes
    i, j, k = (*sides, 1.0, 1.0)[:3]
    return i, j, k


def _stored(voxels: Tensor) -> NDArray[Any]:
    """float32 for images, 16 bits for labels."""
    kind = torch.float32 if voxels.is_floating_point() else torch.int16
    return np.ascontiguousarray(voxels.to(kind).numpy())


def _overview(file: Path, images: Mapping[str, Tensor]) -> str:
    """Middle slices of the first samples, name under name; the file's name, or "" without matplotlib."""
    rows: list[Tensor] = []
    for stack in images.values():
        tiles = stack[:_SHOWN, 0].float()
        tiles = tiles[..., tiles.shape[-1] // 2] if tiles.dim() == 4 else tiles
        if not stack.is_floating_point():
            tiles = tiles / tiles.amax().clamp(min=1)
        tiles = tiles.transpose(1, 2).flip(1)  # anterior up
        columns = min(_COLUMNS, len(tiles))
        missing = -len(tiles) % columns
        rows += torch.split(functional.pad(tiles, (0, 0, 0, 0, 0, missing)), columns)
    height, width = (max(r.shape[axis] for r in rows) for axis in (1, 2))
    grid = [functional.pad(r, (0, width - r.shape[2], 0, height - r.shape[1])) for r in rows]
    try:
        write_grid(torch.stack(grid), file)
    except ImportError:
        return ""
    return file.name
