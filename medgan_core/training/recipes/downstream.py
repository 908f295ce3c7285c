"""What recipes share whose score says what generated images are worth for training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medgan_core.data.generated import GeneratedImages, Mixed
from medgan_core.data.samples import Samples
from medgan_core.data.strong import Augmented
from medgan_core.data.windows import Augmentation
from medgan_core.training.recipe import Supervised


@dataclass(frozen=True, kw_only=True)
class Downstream(Supervised):
    """Trained on images of patients, on generated ones or on both; judged on patients who were left out.

    Args:
        generated: folder that `medgan sample` wrote, to train on its images too; "" for none. The generator
            must not have seen the patients left out.
        mix: share of generated training samples; 1 trains on them alone.
    """

    generated: str = ""
    mix: float = 0.5

    def training(
        self,
        real: Callable[[], Samples],
        *,
        size: Sequence[int],
        keys: Sequence[str],
        augmentation: Augmentation | None = None,
    ) -> Samples:
        """The samples to train on.

        Args:
            real: loads those of patients; not called where none are needed.
            size: voxels of an image.
            keys: of a sample that the loss needs.
            augmentation: of generated samples, which otherwise serve as they are.
        """
        if not self.generated:
            return real()
        drawn: Samples = GeneratedImages(Path(self.generated), size=size, seed=self.seed, keys=keys)
        if augmentation is not None:
            drawn = Augmented(drawn, augmentation, seed=self.seed)
        return drawn if self.mix == 1 else Mixed(real(), drawn, share=self.mix, keys=keys)
