"""Overlap and cross-entropy of a segmentation."""

from __future__ import annotations

from torch import Tensor

from medgan_core.errors import UsageError


def dice_cross_entropy(
    logits: Tensor, labels: Tensor, *, background: bool = False, smooth: float = 1e-5
) -> Tensor:
    """``1 - mean Dice`` plus the cross-entropy per voxel, both of the softmax (MONAI's `DiceCELoss`).

    The Dice of a label, ``(2 sum p g + s) / (sum p + sum g + s)``, is taken over the whole batch, so that a
    label that is missing in one image does not count as a miss. Sources: Milletari et al., "V-Net", 3DV 2016;
    for the sum of both terms Isensee et al., "nnU-Net", Nature Methods 2021.

    Args:
        logits: (n, labels, *spatial), label 0 is the background.
        labels: (n, *spatial) whole numbers.
        background: the Dice of label 0 counts too.
        smooth: the s above.

    Returns:
        Scalar.

    Raises:
        UsageError: when the shapes do not belong together.
    """
    if logits.shape[0] != labels.shape[0] or logits.shape[2:] != labels.shape[1:]:
        raise UsageError(
            "The labels do not belong to the logits",
            expected=f"labels of shape {(logits.shape[0], *logits.shape[2:])}",
            got=str(tuple(labels.shape)),
        )
    # Imported late: MONAI's losses take seconds to import, and only segmentation needs one.
    from monai.losses.dice import DiceCELoss

    loss = DiceCELoss(
        softmax=True,
        to_onehot_y=True,
        include_background=background,
        batch=True,
        smooth_nr=smooth,
        smooth_dr=smooth,
    )
    value: Tensor = loss(logits, labels[:, None])
    return value
