"""Small networks with a known answer, and one real one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medgan_core.networks.slab_unet import SlabUNet


class Toy(nn.Module):
    """A slab network of one contrast, three slices and one output; the base of the others."""

    spatial_dims = 2
    contrasts, slices, presence, outputs, multiple = 1, 3, False, 1, 4

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 1:2] * 1.0


class Pointwise(Toy):
    """Values tanh(2 x), log scales -x."""

    def forward(self, x: Tensor) -> Tensor:
        middle = x[:, 1:2]
        return torch.cat([torch.tanh(2.0 * middle), -middle], dim=1)


class WrongWhenExported(Toy):
    """Every back end that exports the network computes something else than torch."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 1:2] + (0.25 if torch.compiler.is_exporting() else 0.0)


class SizeInGraph(Toy):
    """Writes the size it was exported with into its graph, unless that size is exported as free."""

    def forward(self, x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        return x[:, 1:2].reshape(n, h * w).mean(dim=1).reshape(n, 1, 1, 1).expand(n, 1, h, w) + x[:, 1:2]


class Cancelling(Toy):
    """Adds 256 and takes it away again: the identity, if at least 16 bits are significant."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Conv2d(1, 1, 1)
        self.down = nn.Conv2d(1, 1, 1)
        for layer, bias in ((self.up, 256.0), (self.down, -256.0)):
            nn.init.ones_(layer.weight)
            nn.init.constant_(layer.bias, bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(torch.relu(self.up(x[:, 1:2])))


class Hungry(Toy):
    """The identity, out of memory when a step has more than `most` pixels.

    Args:
        most: pixels of all slices in a step.
        how: ``python`` raises MemoryError itself, ``torch`` asks torch's allocator for too much.
    """

    def __init__(self, most: int, how: str = "python") -> None:
        super().__init__()
        self.most, self.how = most, how

    def forward(self, x: Tensor) -> Tensor:
        if x[:, 0].numel() > self.most:
            if self.how == "python":
                raise MemoryError
            torch.empty(2**60, dtype=torch.uint8)
        return x[:, 1:2] * 1.0


class Broken(Toy):
    """Fails on large steps in a way that has nothing to do with memory."""

    def forward(self, x: Tensor) -> Tensor:
        if x[:, 0].numel() > 1000:
            raise RuntimeError("the sizes of the tensors do not match")
        return x[:, 1:2] * 1.0


def slab_unet(**options: object) -> SlabUNet:
    """The real architecture, small, with weights that make every layer count."""
    torch.manual_seed(0)
    network = SlabUNet(**{"widths": (8, 16), **options})  # type: ignore[arg-type]
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            nn.init.normal_(module.bias, std=0.1)
    return network.eval().requires_grad_(False)
