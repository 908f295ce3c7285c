"""How reconstructions of images are judged while an autoencoder trains."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from medgan_core.data.samples import Samples
from medgan_core.training.loading import collate
from medgan_core.training.recipe import Findings
from medgan_core.training.recipes import judging
from medgan_core.training.recipes.detecting import detection, in_parts, judged_patches
from medgan_core.training.recipes.patches import LesionFree
from medgan_core.training.recipes.pictures import PATCH

JUDGED = 48

Images = Callable[[Tensor], Tensor]


def judge_reconstruction(
    reconstruct: Images,
    samples: Samples,
    device: torch.device,
    *,
    subject: str,
    spoil: Images | None = None,
) -> Findings:
    """PSNR and SSIM in the foreground, without a gain, beside those of what costs no network.

    - Beside it stands the noisy ``input``, or the ``mean`` of the images where nothing is spoilt: a
      reconstruction without a code.
    - Of patches, those without a lesion are reconstructed; and the mean square error of a patch is a score
      of how unusual it is (Baur et al., "Autoencoders for unsupervised anomaly segmentation in brain MR
      images", Medical Image Analysis 2021), judged as `detecting.detection` says.

    Args:
        reconstruct: images (n, 1, *size) in [0, 1] to images of the same range.
        samples: of the patients left out.
        device: where to compute.
        subject: of `pictures`.
        spoil: what is done to the input before, on the device.
    """
    usual = LesionFree(samples) if subject == PATCH else samples
    truth = collate([usual[n] for n in range(JUDGED)])["image"].clamp(0, 1)
    given = truth if spoil is None else spoil(truth.to(device)).cpu()
    made = in_parts(reconstruct, given, device)
    beside = truth.mean(0, keepdim=True).expand_as(truth) if spoil is None else given
    name = "mean" if spoil is None else "input"
    found = judging.findings(
        {"": made, name: beside},
        truth,
        judging.foreground(truth),
        shown={"input": given, "made": made} if spoil is not None else {"made": made},
    )
    if subject != PATCH:
        return found
    batch = judged_patches(samples)
    image = batch["image"].clamp(0, 1)
    error = (in_parts(reconstruct, image, device) - image).square().flatten(1).mean(1)
    return Findings(found.numbers | detection(error, batch), found.pictures)
