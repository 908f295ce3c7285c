"""Tiny studies as files: brains with a lesion, a thick-slice head, labelled crops, a CT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medgan_core import io
from medgan_core.volume import Geometry, Volume

ROWS = "set,patient,visit,key,kind,coverage,split,licence,path"
PEOPLE = (("p0", "train"), ("p1", "train"), ("p2", "train"), ("p3", "val"))


def save(array: NDArray[np.generic], affine: NDArray[np.float64], path: Path) -> None:
    """Write an array with its affine; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    io.write(Volume(array, Geometry(array.shape, affine)), path)


def brain(seed: int, shape: tuple[int, int, int] = (48, 44, 40)) -> tuple[dict[str, NDArray[np.int16]], ...]:
    """Two contrasts of an ellipsoid with a texture and one lesion, and the lesion map; zeros outside."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(-1.15, 1.15, n) for n in shape), indexing="ij")
    inside = sum(a**2 for a in axes) < 1
    i, j, k = (int(n * f) for n, f in zip(shape, (0.35, 0.5, 0.5), strict=True))
    lesion = np.zeros(shape, dtype=np.int16)
    lesion[i - 3 : i + 3, j - 3 : j + 3, k - 3 : k + 3] = 1
    texture = rng.uniform(300, 600, shape)
    images = {
        "T1": (inside * (texture - 200 * lesion)).astype(np.int16),
        "FLAIR": (inside * (900 - texture + 500 * lesion)).astype(np.int16),
    }
    return images, {"lesion": lesion}


def write_studies(folder: Path) -> Path:
    """A manifest of four brains (one val), four crops (one val), a label map and a CT, all in small."""
    rows = [ROWS]

    def add(name: str, what: str, path: str, array: NDArray[np.generic], affine: NDArray[np.float64]) -> None:
        save(array, affine, folder / path)
        rows.append(f"{name.split('/')[0]},{name},,{what},{path}")

    flipped = np.diag([-1.0, 1.0, 1.0, 1.0])
    flipped[:3, 3] = (30.0, -20.0, 5.0)
    for n, (person, split) in enumerate(PEOPLE):
        images, labels = brain(n)
        for kind, arrays in (("image", images), ("label", labels)):
            for key, array in arrays.items():
                what = f"{key},{kind},brain,{split},CC0"
                add(f"brains/{person}", what, f"brains/{person}/{key}.nii.gz", array, flipped)
        rng = np.random.default_rng(n)
        crop = rng.integers(100, 900, (22, 26, 20)).astype(np.int16)
        label = np.zeros(crop.shape, dtype=np.int16)
        label[8:14, 6:12, 7:13], label[8:14, 12:20, 7:13] = 1, 2
        for key, kind, array in (("T1", "image", crop), ("labels", "label", label)):
            what = f"{key},{kind},crop,{split},CC BY"
            add(f"crops/{person}", what, f"crops/{person}-{key}.nii.gz", array, np.eye(4))
    hu = np.random.default_rng(9).integers(-1024, 1500, (14, 12, 5)).astype(np.int16)
    add("ct/c0", "CT,image,chest,train,CC0", "ct.nii.gz", hu, np.diag([2.0, 2.0, 5.0, 1.0]))
    maps = np.random.default_rng(8).integers(0, 520, (12, 14, 10)).astype(np.int16)
    add("maps/m0", "labels,label,head,train,CC0", "map.nii.gz", maps, np.eye(4))
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder
