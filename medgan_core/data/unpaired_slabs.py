"""Simulated slabs beside real slices: of other heads, or of the same brain where its tissue is known."""

from __future__ import annotations

import torch
from torch import Tensor

from medgan_core.data.draws import MAPPED, TURNED, generators
from medgan_core.data.mapped_slabs import MappedSlabs
from medgan_core.data.samples import Samples
from medgan_core.data.slabs import SlabSource
from medgan_core.physics.tissues import INDEX

UNTOLD = INDEX["air"]
"""The tissue of pixels of which it is not known."""


class Unpaired:
    """A simulated slab and a real slice of one contrast; sample n depends on the seed and n alone.

    Args:
        simulated: where slabs come from.
        real: where slices come from.
        seed: of the samples.
        stream: see `data.draws.generators`.
    """

    def __init__(self, simulated: SlabSource, real: SlabSource, *, seed: int, stream: int) -> None:
        self._simulated, self._real, self._seed, self._stream = simulated, real, seed, stream

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Base (slices, i, j), real (1, i, j), contrast (its number in `CONTRASTS`, int64).

        And tissue (i, j), here `UNTOLD` everywhere, and what of both is looked at, seen (1, i, j), here all.
        """
        rng, generator = generators(self._seed, number, self._stream)
        scan = self._real.draw(rng, generator)
        there = [n for n, available in enumerate(scan.available) if available]
        contrast = int(rng.choice(there))
        base = self._simulated.draw(rng, generator).images[contrast]
        image = scan.images[contrast]
        real = image[len(image) // 2][None]
        return {
            "base": base,
            "real": real,
            "contrast": torch.tensor(contrast),
            "tissue": torch.full(real.shape[1:], UNTOLD),
            "seen": torch.ones_like(real),
        }


class Sometimes:
    """Samples of one kind, and for a share of the numbers a patient's brain beside its simulation.

    Args:
        others: the samples for the other numbers.
        mapped: where brains come from.
        share: of the numbers.
        seed: of the samples.
    """

    def __init__(self, others: Unpaired, mapped: MappedSlabs, *, share: float, seed: int) -> None:
        self._others, self._mapped, self._share, self._seed = others, mapped, share, seed

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """As of `Unpaired`; of a brain, its tissue is told and the pixels inside of it are looked at."""
        rng, generator = generators(self._seed, number, MAPPED)
        if rng.random() >= self._share:
            return self._others[number]
        slab = self._mapped.draw(rng, generator)
        return {
            "base": slab.base,
            "real": slab.real[None],
            "contrast": torch.tensor(slab.contrast),
            "tissue": slab.tissue.long(),
            "seen": (slab.tissue > 0).float()[None],
        }


class Turned:
    """Samples turned by quarter turns and mirrored at random, all images of one alike.

    A discriminator meets each of few patients in eight ways.

    Args:
        samples: with images (..., i, j) of one size, as many rows as columns.
        seed: of the turns.
    """

    def __init__(self, samples: Samples, *, seed: int) -> None:
        self._samples, self._seed = samples, seed

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """The sample, one of the eight ways round."""
        rng, _ = generators(self._seed, number, TURNED)
        turns, mirrored = int(rng.integers(4)), bool(rng.random() < 0.5)

        def turned(image: Tensor) -> Tensor:
            found = torch.rot90(image, turns, (-2, -1))
            return found.flip(-1) if mirrored else found

        return {key: turned(x) if x.ndim else x for key, x in self._samples[number].items()}
