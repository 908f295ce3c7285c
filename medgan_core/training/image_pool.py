"""Earlier generated images, so that a discriminator does not forget what it has seen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """Images kept from earlier updates, which are shown in the place of new ones half of the time.

    A new image is shown as it is while the pool fills. Then, with probability one half, it changes places
    with one of the pool, which is shown. Source: Shrivastava et al., "Learning from simulated and
    unsupervised images through adversarial training", CVPR 2017, section 2.3, as Zhu et al. ("CycleGAN",
    ICCV 2017, section 4) use it.

    It is a module without weights, so that its images (16-bit) are part of a run's state and a resumed run
    goes on as one that was not stopped. With several processes each has its own pool, and a resumed run
    gives all of them the first one's.

    Args:
        images: that it holds; 0 shows what it is given.
        shape: of one image, (c, *spatial).
    """

    kept: Tensor
    count: Tensor

    def __init__(self, images: int, shape: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(images, *shape, dtype=torch.float16))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, images: Tensor, chance: Tensor) -> Tensor:
        """What to show in the place of new images.

        Args:
            images: (n, c, *spatial), new.
            chance: (n, 2), uniform in [0, 1): whether an image changes places, and with which.

        Returns:
            (n, c, *spatial) without a gradient, in the dtype of the images.
        """
        if len(self.kept) == 0:
            return images.detach()
        shown = images.detach().clone()
        count = int(self.count)
        for number, (swap, place) in enumerate(chance.tolist()):
            if count < len(self.kept):
                self.kept[count] = images[number]
                count += 1
            elif swap < 0.5:
                slot = int(place * len(self.kept))
                shown[number] = self.kept[slot].to(shown)
                self.kept[slot] = images[number]
        self.count.fill_(count)
        return shown
