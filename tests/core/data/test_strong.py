from __future__ import annotations

import numpy as np
import torch

from medgan_core.data.strong import Augmented, StrongAugmentation
from medgan_core.data.windows import Augmentation

STILL = Augmentation(flip=0.0, rotation_deg=0.0, scale=0.0, shift=3.0, gain=0.0, gamma=0.0)


class Ramps:
    """A ramp whose upper half is labelled."""

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        image = torch.linspace(0, 1, 16).repeat(12, 14, 1)[None] + number
        return {"image": image, "label": (image > 0.5 + number).long(), "case": torch.tensor(number)}


def test_the_same_numbers_give_the_same_image_and_others_another() -> None:
    image = torch.rand(1, 12, 14, 10, generator=torch.Generator().manual_seed(0))
    change = StrongAugmentation().intensity
    first, again = (change(image, np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.shape == image.shape
    assert first.dtype == torch.float32
    assert type(first) is torch.Tensor
    others = [change(image, np.random.default_rng(seed)) for seed in range(12)]
    changed = [float((other - image).abs().max()) for other in others]
    assert max(changed) > 0.1
    assert all(bool(other.isfinite().all()) for other in others)


def test_generated_samples_move_with_their_label_maps() -> None:
    samples = Augmented(Ramps(), StrongAugmentation(flip=1.0), seed=0)
    found = samples[2]
    assert found["image"].shape == found["label"].shape == (1, 12, 14, 16)
    assert int(found["case"]) == 2
    share = float(found["label"].float().mean())
    assert 0.3 < share < 0.7
    assert set(found["label"].unique().tolist()) == {0, 1}
    assert torch.equal(samples[2]["image"], found["image"])
    assert not torch.equal(samples[3]["image"] - 3, found["image"] - 2)


def test_generated_samples_are_not_shifted() -> None:
    found, told = Augmented(Ramps(), STILL, seed=0)[0], Ramps()[0]
    torch.testing.assert_close(found["image"], told["image"], atol=1e-5, rtol=0)
    assert torch.equal(found["label"], told["label"])
