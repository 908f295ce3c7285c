from __future__ import annotations

import torch
from torch import Tensor

from medgan_core.data.unpaired_slabs import Turned

SIDE = 6
WAYS = 8


class Corner:
    """Samples whose images are 1 at one place beside a corner, the same in all of them."""

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        image = torch.zeros(SIDE, SIDE)
        image[0, 1] = 1
        return {
            "base": image.expand(3, SIDE, SIDE),
            "tissue": image.long(),
            "contrast": torch.tensor(number),
        }


def test_samples_lie_all_eight_ways_round() -> None:
    samples = Turned(Corner(), seed=0)
    places = [tuple(samples[n]["tissue"].nonzero()[0].tolist()) for n in range(200)]
    assert len(set(places)) == WAYS
    assert min(places.count(place) for place in set(places)) > 10


def test_the_images_of_a_sample_are_turned_alike() -> None:
    samples = Turned(Corner(), seed=0)
    for number in range(20):
        sample = samples[number]
        assert sample["base"].shape == (3, SIDE, SIDE)
        assert torch.equal(sample["base"][2], sample["tissue"].float())
        assert sample["contrast"] == number


def test_a_turn_is_a_function_of_seed_and_number() -> None:
    first, again, other = ([Turned(Corner(), seed=s)[n]["tissue"] for n in range(12)] for s in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))
