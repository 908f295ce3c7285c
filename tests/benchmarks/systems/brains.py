"""A data set with all that the systems train on, in small: brains with a lesion, a label map, crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medgan_core import io
from medgan_core.volume import Geometry, Volume
from tests.crops import write_crops
from tests.phantom import head_labels

PATIENTS = 4
_SHAPE = (52, 50, 36)


def write_everything(folder: Path) -> Path:
    """Brains of `PATIENTS` with T1, T2, FLAIR and a lesion map, a head of labels listed as val, crops."""
    rows = (write_crops(folder) / "manifest.csv").read_text(encoding="utf-8").splitlines()

    def add(patient: str, key: str, kind: str, what: str, array: np.ndarray, spacing_mm: float) -> None:
        name = f"{patient.replace('/', '-')}-{key}.nii.gz"
        geometry = Geometry(array.shape, np.diag([spacing_mm] * 3 + [1.0]))
        io.write(Volume(array, geometry), folder / name)
        rows.append(f"{patient.split('/')[0]},{patient},,{key},{kind},{what},CC0,{name}")

    axes = np.meshgrid(*(np.linspace(-1.1, 1.1, n) for n in _SHAPE), indexing="ij")
    inside = sum(a**4 for a in axes) < 1
    for number in range(PATIENTS):
        rng = np.random.default_rng(number)
        lesion = np.zeros(_SHAPE, dtype=np.int16)
        i, j = rng.integers(18, 30, 2)
        lesion[i : i + 5, j : j + 5, 6:10] = 1
        tissue = 500 + 80 * np.sin(7 * axes[0] + number) + 60 * np.cos(9 * axes[1] - number)
        images = {"T1": tissue, "T2": 1000 - tissue, "FLAIR": 600 + 0.2 * tissue + 300 * lesion}
        for key, image in images.items():
            noisy = inside * (image + 20 * rng.normal(size=_SHAPE))
            add(f"brains/b{number}", key, "image", "brain,train", noisy.astype(np.float32), 1.0)
        add(f"brains/b{number}", "lesion", "label", "brain,train", lesion, 1.0)
    add("maps/m0", "labels", "label", "head,val", head_labels((40, 44, 40)), 2.0)
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder
