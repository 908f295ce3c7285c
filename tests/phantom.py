"""A head of ellipsoids with FreeSurfer-style labels: small enough for every test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from medgan_core import io
from medgan_core.physics.simulation import Head, signals, tissue_map
from medgan_core.volume import Geometry, Volume

_SHELLS = ((1.0, 507), (0.9, 515), (0.84, 24), (0.78, 3), (0.66, 2), (0.2, 4))


def head_labels(shape: tuple[int, int, int] = (60, 72, 60)) -> NDArray[np.int16]:
    """Nested shells: soft tissue, bone, fluid, grey matter, white matter, ventricle; RAS order."""
    axes = np.meshgrid(*(np.linspace(-1.05, 1.05, n) for n in shape), indexing="ij")
    radius = np.sqrt(sum(a**2 for a in axes))
    out = np.zeros(shape, dtype=np.int16)
    for limit, label in _SHELLS:
        out[radius < limit] = label
    return out


def write_data_set(folder: Path) -> Path:
    """A manifest with two phantom label maps (train, val) and three phantom patients with three contrasts."""
    rows = ["set,patient,visit,key,kind,coverage,split,licence,path"]
    labels = head_labels((36, 40, 36))
    geometry = Geometry(labels.shape, np.diag([4.0, 4.0, 4.0, 1.0]))
    for split in ("train", "val"):
        io.write(Volume(labels, geometry), folder / f"labels-{split}.nii.gz")
        rows.append(f"maps,maps/{split},,labels,label,head,{split},CC0,labels-{split}.nii.gz")
    tissue = torch.from_numpy(tissue_map(labels))
    for number, split in enumerate(("train", "train", "val")):
        rng = np.random.default_rng(number)
        generator = torch.Generator().manual_seed(number)
        images = signals(tissue, Head.draw(rng), ("T1", "T2", "FLAIR"), generator, 0.02)
        for key, image in zip(("T1", "T2", "FLAIR"), images, strict=True):
            name = f"p{number}-{key}.nii.gz"
            io.write(Volume((1000 * image).numpy(), geometry), folder / name)
            rows.append(f"phantom,phantom/p{number},v1,{key},image,head,{split},CC0,{name}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder
