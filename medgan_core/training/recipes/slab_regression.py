"""What recipes share that predict the middle slice of a slab, and its error."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from medgan_core import networks
from medgan_core.card import Architecture
from medgan_core.data.slabs import SlabSource
from medgan_core.losses.structure import ssim_loss
from medgan_core.losses.with_error import weighted_mean, with_error
from medgan_core.preprocess import Preprocess
from medgan_core.training.networks import Forward
from medgan_core.training.recipe import Batch, Logs, Supervised
from medgan_core.training.recipes.sources import brain_slabs


@dataclass(frozen=True, kw_only=True)
class SlabRegression(Supervised):
    """From a slab of brain MR to images of its middle slice, with a predicted error.

    Args:
        slices: of a slab.
        size: pixels along its sides.
        real_share: probability that a slab comes from a patient, not from the simulation.
        fold: cross-validation fold left out, -1 for none.
        widths: of the network.
        ssim: weight of the structural loss.
        nll: weight of the likelihood that trains the predicted error.
        epsilon: residual at which the loss turns from quadratic to linear; large for the highest PSNR.
    """

    slices: int
    size: int
    real_share: float = 0.0
    fold: int = -1
    widths: tuple[int, ...]
    ssim: float
    nll: float = 0.05
    epsilon: float

    @property
    def architecture(self) -> Architecture:
        """The network of the card."""
        raise TypeError(f"{type(self).__name__} does not say what its network is")

    def network(self) -> nn.Module:
        """A blending `SlabUNet` with random weights."""
        return networks.build(**asdict(self.architecture))

    def slabs(self, data: Path, preprocess: Preprocess, *, validation: bool) -> SlabSource:
        """Slabs of simulated heads and of patients, brought onto the network's grid as the card says."""
        return brain_slabs(
            data,
            slices=self.slices,
            size=self.size,
            real_share=self.real_share,
            fold=self.fold,
            preprocess=preprocess,
            validation=validation,
        )

    def compared(self, image: Tensor, weight: Tensor) -> Tensor:
        """What the structural loss sees of an image."""
        return image

    def error(self, forward: Forward, batch: Batch) -> tuple[Tensor, Logs]:
        """Charbonnier and structural loss, likelihood of the predicted error."""
        inputs = batch["input"].contiguous(memory_format=torch.channels_last)
        value, log_scale = forward(inputs).chunk(2, dim=1)
        truth, weight = batch["truth"], batch["weight"]
        loss, logs = with_error(value, log_scale, truth, weight, epsilon=self.epsilon, nll=self.nll)
        structure = weighted_mean(
            ssim_loss(self.compared(value, weight), self.compared(truth, weight)), weight
        )
        return loss + self.ssim * structure, {**logs, "ssim": 1 - structure.detach()}
