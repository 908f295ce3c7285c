"""Crops of the hippocampus and their two parts, as the recipes on them share them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medgan_core.card import DataSource, Label
from medgan_core.data.crops import LabelledCrops
from medgan_core.data.training_set import open_training_set
from medgan_core.data.windows import Augmentation
from medgan_core.suitability import check_known

SHAPE = (32, 48, 32)
_SAGITTAL = 0
_SLIGHT = Augmentation()

PARTS = (
    Label(value=1, name="Anterior hippocampus", colour="#e6a23c", snomed="5366008"),
    Label(value=2, name="Posterior hippocampus", colour="#3c8ce6", snomed="5366008"),
)
"""With the code of the whole hippocampus: SNOMED CT has none for these two parts."""

DECATHLON = DataSource(
    name="Medical Segmentation Decathlon, task 4 (hippocampus)",
    patients=195,
    licence="CC BY-SA 4.0",
    citation="Antonelli et al., Nature Communications 2022; Simpson et al., arXiv:1902.09063",
    share_alike=True,
    note="T1 crops with the anterior and posterior part",
    set="msd-hippocampus",
)


def crop_size(spatial_dims: int) -> tuple[int, ...]:
    """Sides of a crop: (i, j, k) towards R, A, S, or (j, k) of a sagittal slice."""
    return SHAPE if spatial_dims == 3 else SHAPE[1:]


def crop_images(
    data: Path,
    *,
    spatial_dims: int,
    seed: int,
    validation: bool,
    labelled: int = 0,
    augmentation: Augmentation | None = _SLIGHT,
    labels: Sequence[Label] = (),
) -> LabelledCrops:
    """Crops of the training split, slightly moved and mirrored, or of the validation split as they are.

    Args:
        data: a manifest's folder, or a pack.
        spatial_dims: 2 for sagittal slices, 3 for volumes.
        seed: of the samples.
        validation: the patients left out.
        labelled: train on so many patients alone, the first in an order of the seed's; 0 for all.
        augmentation: of the training split; None leaves its crops as they are.
        labels: that are learned; empty where the label maps tell alone what is shown, whatever their values.

    Raises:
        InputError: when labels are learned, and a label map has others.
    """
    crops = LabelledCrops.of(
        open_training_set(data),
        validation=validation,
        shape=SHAPE,
        spatial_dims=spatial_dims,
        axis=_SAGITTAL,
        augmentation=augmentation,
        seed=seed,
        labelled=labelled,
    )
    for number, patient in enumerate(crops.patients if labels else ()):
        check_known(f"of {patient}", crops.whole(number)[1].numpy(), labels)
    return crops
