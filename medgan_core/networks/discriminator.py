"""What discriminators share: logits, the features on the way to them, and the class."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medgan_core.networks.latent_grid import class_vectors
from medgan_core.networks.layers import initialised, linear, widened


class Discriminator(nn.Module):
    """Base of discriminators and critics; a subclass says what `features` and `logits` are.

    Several images of one size may be given (a condition, a direction field): they are concatenated along
    the channels, and the network's ``in_channels`` counts all of them.
    """

    def features(self, *images: Tensor) -> list[Tensor]:
        """Features (n, c, *spatial) from the finest to the last, for feature matching and f-AnoGAN."""
        raise TypeError(f"{type(self).__name__} does not say what its features are")

    def logits(self, last: Tensor, labels: Tensor | None = None) -> Tensor:
        """Unbounded scores in fp32 from the last of the features; higher means real."""
        raise TypeError(f"{type(self).__name__} does not say what its logits are")

    def judge(self, *images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Logits and features in one pass."""
        features = self.features(*images)
        return self.logits(features[-1], labels), features

    def forward(self, *images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (n, c_i, *spatial) and, for a network with classes, labels (n,) to logits."""
        return self.judge(*images, labels=labels)[0]


class ProjectionHead(nn.Module):
    """``psi(h) + <v_y, h>``: a linear score of the pooled features h, and their product with the class.

    Source: Miyato & Koyama, "cGANs with projection discriminator", ICLR 2018, section 3.

    Args:
        inputs: length of h.
        classes: number of classes; 0 leaves the second term out.
        spectral: spectral norm on both.
    """

    def __init__(self, inputs: int, *, classes: int = 0, spectral: bool = False) -> None:
        super().__init__()
        self.score = linear(inputs, 1, gain=0.7, spectral=spectral)
        self.embedding = None
        if classes:
            embedding = nn.Embedding(classes, inputs)
            self.embedding = initialised(embedding, gain=0.7, spectral=spectral)

    def forward(self, h: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, inputs) and labels (n,) to logits (n,) in fp32."""
        logits: Tensor = widened(self.score(h).squeeze(1))
        if self.embedding is not None:
            logits = logits + widened(class_vectors(self.embedding, labels) * h).sum(1)
        return logits


def joined(images: tuple[Tensor, ...]) -> Tensor:
    """The images concatenated along the channels."""
    return images[0] if len(images) == 1 else torch.cat(images, dim=1)
