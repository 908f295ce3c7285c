"""The residual block with pre-activation that most networks here are built from."""

from __future__ import annotations

from torch import Tensor, nn

from medgan_core.networks.layers import convolution, leaky, normalisation

_BRANCH_GAIN = 0.1


class ResidualBlock(nn.Module):
    """``s(x) + conv(act(norm(conv(act(norm(x))))))`` with leaky ReLU and 3-voxel kernels.

    s is the identity, or a 1-voxel convolution where the number of channels changes. Sources: He et al.,
    "Identity mappings in deep residual networks", ECCV 2016. The branch starts at a tenth of its usual
    scale, so that deep stacks without normalisation start near the identity (Lim et al. 2017 scale it by 0.1
    throughout).

    Args:
        spatial_dims: 2 or 3.
        inputs: channels in.
        outputs: channels out.
        norm: see `layers.NORMALISATIONS`.
        spectral: spectral norm on every convolution.
        preactivate: False for a block that reads an image, where a ReLU would lose half of it.
    """

    def __init__(
        self,
        spatial_dims: int,
        inputs: int,
        outputs: int,
        *,
        norm: str = "none",
        spectral: bool = False,
        preactivate: bool = True,
    ) -> None:
        super().__init__()
        self.preactivate = preactivate
        self.norm_in = normalisation(norm if preactivate else "none", spatial_dims, inputs)
        self.first = convolution(spatial_dims, inputs, outputs, spectral=spectral)
        self.norm_mid = normalisation(norm, spatial_dims, outputs)
        self.second = convolution(spatial_dims, outputs, outputs, gain=_BRANCH_GAIN, spectral=spectral)
        self.shortcut = (
            nn.Identity()
            if inputs == outputs
            else convolution(spatial_dims, inputs, outputs, 1, gain=0.7, spectral=spectral)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, *spatial) to (n, outputs, *spatial)."""
        branch = leaky(self.norm_in(x)) if self.preactivate else x
        change: Tensor = self.second(leaky(self.norm_mid(self.first(branch))))
        kept: Tensor = self.shortcut(x)
        return kept + change
