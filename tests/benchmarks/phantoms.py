"""A small data set on disk: patients whose T2 and FLAIR follow from their T1 by a fixed relation."""

import csv

import nibabel as nib
import numpy as np
from scipy import ndimage

SHAPE = (44, 40, 8)
SPACING = (1.2, 1.2, 5.0)
PATIENTS = ("set-a/one", "set-a/two", "set-b/three")


def contrasts(seed):
    """T1, T2 and FLAIR of one head in (0, 1000), (i, j, k)."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij"))
    head = (grid[0] ** 2 + grid[1] ** 2 + 0.3 * grid[2] ** 2) < 0.7
    field = ndimage.gaussian_filter(rng.normal(size=SHAPE), (2, 2, 0.5))
    t1 = 0.2 + 0.8 * (field - field.min()) / np.ptp(field)
    air = 0.01 * np.abs(rng.normal(size=(3, *SHAPE)))
    images = (t1, 1.15 - t1, 0.3 + 2.0 * (t1 - 0.6) ** 2)
    return {
        key: (1000 * (np.where(head, image, 0) + noise)).astype(np.float32)
        for key, image, noise in zip(("T1", "T2", "FLAIR"), images, air, strict=True)
    }


def write_data_set(folder):
    """The volumes and their manifest.csv."""
    rows = []
    for seed, patient in enumerate(PATIENTS):
        path = folder / patient
        path.mkdir(parents=True)
        for key, image in contrasts(seed).items():
            nib.save(nib.Nifti1Image(image, np.diag([*SPACING, 1.0])), path / f"{key}.nii.gz")
            source = patient.split("/")[0]
            rows.append([source, patient, "", key, "image", "head", "train", f"{patient}/{key}.nii.gz"])
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["set", "patient", "visit", "key", "kind", "coverage", "split", "path"])
        writer.writerows(rows)
    return folder
