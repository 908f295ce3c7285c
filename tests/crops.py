"""Labelled crops of ellipsoids, of uneven sizes, as the recipes on crops need them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medgan_core import io
from medgan_core.volume import Geometry, Volume


def write_crops(folder: Path, *, train: int = 5, val: int = 3) -> Path:
    """A manifest of crops: T1 and a label map (1 in front, 2 behind) for each patient."""
    rows = ["set,patient,visit,key,kind,coverage,split,licence,path"]
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(train + val):
        split = "train" if number < train else "val"
        rng = np.random.default_rng(number)
        shape = (34 + number % 3, 46 + number % 2, 36)
        axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
        radius = np.sqrt(sum((a / r) ** 2 for a, r in zip(axes, rng.uniform(0.4, 0.7, 3), strict=True)))
        labels = (radius < 1) * np.where(axes[1] > 0, 1, 2)
        image = 400 + 300 * (radius < 1) + 100 * np.sin(9 * axes[1]) + 30 * rng.normal(size=shape)
        geometry = Geometry(shape, np.eye(4))
        for key, kind, data in (("T1", "image", image.astype(np.float32)), ("labels", "label", labels)):
            name = f"c{number}-{key}.nii.gz"
            io.write(Volume(data.astype(np.int16) if kind == "label" else data, geometry), folder / name)
            rows.append(f"crops,crops/c{number},,{key},{kind},crop,{split},CC0,{name}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder
