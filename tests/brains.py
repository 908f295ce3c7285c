"""A head with every structure on both sides: small, for what tells structures apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medgan_core import io
from medgan_core.data.structures import REGION_CLASS, SIDES, STRUCTURES, label_values, region_map
from medgan_core.volume import Geometry, Volume
from tests.phantom import head_labels

ROWS = "set,patient,visit,key,kind,coverage,split,licence,path"
_SIDE = 6


def brain_labels(shape: tuple[int, int, int] = (60, 72, 60)) -> NDArray[np.int16]:
    """`head_labels` with both hemispheres and a block for every structure, RAS order."""
    out = head_labels(shape)
    left = np.arange(shape[0])[:, None, None] < shape[0] / 2
    right_of = dict(SIDES)
    for value in (2, 3, 4):
        out[(out == value) & ~left] = right_of[value]
    blocks = [s.left for s in STRUCTURES if s.left not in (2, 3, 4, 24)]
    for n, value in enumerate(blocks):
        j, k = 16 + _SIDE * (n % 6), 16 + 9 * (n // 6)
        if value in right_of:
            out[18 : 18 + _SIDE, j : j + _SIDE, k : k + _SIDE] = value
            out[shape[0] - 18 - _SIDE : shape[0] - 18, j : j + _SIDE, k : k + _SIDE] = right_of[value]
        else:
            middle = shape[0] // 2
            out[middle - 2 : middle + 2, j : j + _SIDE, k : k + _SIDE] = value
    return out


def write_heads(folder: Path) -> Path:
    """A manifest with two label maps (train, val) and two patients with FLAIR, T1 and a lesion map."""
    rows = [ROWS]
    labels = brain_labels()
    geometry = Geometry(labels.shape, np.eye(4))
    for split in ("train", "val"):
        io.write(Volume(labels, geometry), folder / f"labels-{split}.nii.gz")
        rows.append(f"maps,maps/{split},,labels,label,head,{split},CC0,labels-{split}.nii.gz")
    brain = (labels > 0) & (labels < 500)
    for number in range(2):
        lesion = np.zeros(labels.shape, dtype=np.int16)
        lesion[20:26, 30 + 3 * number : 37, 40:46] = 1
        noise = np.random.default_rng(number).normal(0, 10, labels.shape)
        for key, bright in (("FLAIR", 400), ("T1", -200)):
            image = brain * (500 + bright * lesion + noise)
            io.write(Volume(image.astype(np.float32), geometry), folder / f"p{number}-{key}.nii.gz")
            rows.append(f"ms,ms/p{number},,{key},image,brain,train,CC0,p{number}-{key}.nii.gz")
        io.write(Volume(lesion, geometry), folder / f"p{number}-lesion.nii.gz")
        rows.append(f"ms,ms/p{number},,lesion,label,brain,train,CC0,p{number}-lesion.nii.gz")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def write_labelled(folder: Path, *, train: int, val: int, thick: int = 1) -> Path:
    """A manifest with patients whose structures are labelled: the label's class decides the brightness.

    Args:
        folder: that exists.
        train: patients listed so.
        val: patients listed so.
        thick: mm of a slice; pixels have 1 mm.
    """
    rows = [ROWS]
    labels = label_values(brain_labels())[..., ::thick]
    geometry = Geometry(labels.shape, np.diag([1.0, 1.0, float(thick), 1.0]))
    classes = REGION_CLASS[region_map(labels)].astype(np.float32)
    for number, split in enumerate(["train"] * train + ["val"] * val):
        noise = np.random.default_rng(number).normal(0, 5, labels.shape)
        image = np.where(classes > 0, 200 + 50 * classes + noise, 0).astype(np.float32)
        for key, data, kind in (("T1", image, "image"), ("labels", labels, "label")):
            io.write(Volume(data, geometry), folder / f"h{number}-{key}.nii.gz")
            rows.append(f"site,site/h{number},,{key},{kind},brain,{split},CC0,h{number}-{key}.nii.gz")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder
