"""Bits that a latent code takes once it is quantised and entropy coded: the rate of a learned compressor."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from medgan_core.errors import InputError
from medgan_core.metrics.entropy_coding import Decoder, FrequencyTable, encode

Latents: TypeAlias = NDArray[np.floating[Any]]
Integers: TypeAlias = NDArray[np.int64]

_MARGIN = 4
_MOST_VALUES = 1 << 15
_LARGEST = 1 << 40
_SMALLEST_SPREAD = 0.3
_BYTE = FrequencyTable.from_probabilities(np.ones(256))


@dataclass(frozen=True, eq=False)
class ChannelModel:
    """The values one channel takes, and an escape for all others.

    Args:
        low: smallest value with a symbol of its own; symbol s stands for ``low + s``.
        table: of these values; the last symbol is the escape.
    """

    low: int
    table: FrequencyTable

    @property
    def escape(self) -> int:
        """The symbol after which a value follows in bytes."""
        return len(self.table.counts) - 1

    def symbols(self, value: int) -> Iterator[tuple[int, FrequencyTable]]:
        """What one value is coded as."""
        symbol = value - self.low
        if 0 <= symbol < self.escape:
            yield symbol, self.table
            return
        yield self.escape, self.table
        # Signs alternate (0, -1, 1, -2, ...), seven bits a byte, the eighth says that more follow.
        rest = 2 * value if value >= 0 else -2 * value - 1
        while rest > 127:
            yield rest & 127 | 128, _BYTE
            rest >>= 7
        yield rest, _BYTE

    def take(self, decoder: Decoder) -> int:
        """The next value of a stream."""
        symbol = decoder.take(self.table)
        if symbol != self.escape:
            return self.low + symbol
        rest, shift = 0, 0
        while True:
            byte = decoder.take(_BYTE)
            rest |= (byte & 127) << shift
            shift += 7
            # An altered stream could go on for ever; no real value is that long.
            if byte < 128 or shift > 63:
                break
        return rest // 2 if rest % 2 == 0 else -(rest + 1) // 2


@dataclass(frozen=True, eq=False)
class LatentCodec:
    """A uniform quantiser and one frequency table per channel; `fit` makes it from training latents.

    The tables belong to the decoder like its weights do, so they are not in the stream; nor is the shape.

    Args:
        step: width of a quantiser's cell, in the unit of the latents; reconstruction at its middle.
        channels: one model per channel.
    """

    step: float
    channels: tuple[ChannelModel, ...]

    @staticmethod
    def fit(latents: Latents, *, step: float) -> LatentCodec:
        """Count the quantised values of every channel.

        The frequencies are the counts plus the discretised normal of the same mean and variance, weighing
        as much as there are different values: a vector code of few training images gets a smooth table, a
        large grid its own histogram. The weight is method C of Witten & Bell, "The zero-frequency problem",
        IEEE Trans Inf Theory 1991.

        Args:
            latents: (n, c) or (n, c, *spatial), of training images.
            step: width of the quantiser's cells, above 0.

        Raises:
            InputError: when values are not finite or too large for the step.
            ValueError: when there is no value, no channel axis, or the step is not above 0.
        """
        if not step > 0 or latents.ndim < 2 or latents.size == 0:
            raise ValueError(f"a step {step} and latents {latents.shape} make no codec")
        values = np.moveaxis(_quantise(latents, step), 1, 0).reshape(latents.shape[1], -1)
        return LatentCodec(step, tuple(_channel_model(row) for row in values))

    def quantise(self, latents: Latents) -> Integers:
        """Whole numbers ``rint(z / step)``, halves to even.

        Raises:
            InputError: when values are not finite or too large for the step.
        """
        return _quantise(latents, self.step)

    def dequantise(self, values: Integers) -> NDArray[np.float32]:
        """Latents at the middle of their cells; they differ from the original by half a step at most."""
        return (values * self.step).astype(np.float32)

    def encode(self, values: Integers) -> bytes:
        """One image's quantised latents to a stream that `decode` reads.

        Args:
            values: (c, *spatial).

        Raises:
            ValueError: when the number of channels is another.
        """
        self._check(values.shape)
        rows = values.reshape(len(self.channels), -1).tolist()
        return encode(
            pair
            for model, row in zip(self.channels, rows, strict=True)
            for value in row
            for pair in model.symbols(value)
        )

    def decode(self, stream: bytes, shape: tuple[int, ...]) -> Integers:
        """The quantised latents of a stream.

        Args:
            stream: from `encode` of the same codec.
            shape: (c, *spatial), as it was encoded.

        Raises:
            InputError: as `Decoder.finish`.
            ValueError: when the number of channels is another.
        """
        self._check(shape)
        decoder, count = Decoder(stream), math.prod(shape[1:])
        values = [model.take(decoder) for model in self.channels for _ in range(count)]
        decoder.finish()
        return np.array(values, dtype=np.int64).reshape(shape)

    def _check(self, shape: tuple[int, ...]) -> None:
        if not shape or shape[0] != len(self.channels):
            raise ValueError(f"the codec has {len(self.channels)} channels, the latents are {shape}")


def bits_per_voxel(stream: bytes, shape: tuple[int, ...]) -> float:
    """Whole bytes of a stream, in bits, over the voxels of the image it stands for.

    Args:
        stream: of one image.
        shape: (*spatial,) of the image.
    """
    return 8.0 * len(stream) / math.prod(shape)


def _quantise(latents: Latents, step: float) -> Integers:
    cells = np.rint(np.asarray(latents, dtype=np.float64) / step)
    if not bool((np.abs(cells) < _LARGEST).all()):
        raise InputError(
            "The latents cannot be quantised",
            expected="finite values below 2^40 steps",
            got=f"{int((~np.isfinite(cells)).sum())} values not finite, step {step}",
            action="look for what made the network diverge, or take a larger step",
        )
    return np.asarray(cells, dtype=np.int64)


def _channel_model(values: Integers) -> ChannelModel:
    """Values near the mean have symbols of their own, as many as were seen and a few beyond."""
    low, high = int(values.min()) - _MARGIN, int(values.max()) + _MARGIN
    if high - low >= _MOST_VALUES:
        middle = int(np.median(values))
        low, high = middle - _MOST_VALUES // 2, middle + _MOST_VALUES // 2
    inside = values[(values >= low) & (values <= high)]
    counts = np.bincount(inside - low, minlength=high - low + 1).astype(np.float64)
    mean, spread = float(values.mean()), max(float(values.std()), _SMALLEST_SPREAD)
    edges = (np.arange(low, high + 2) - 0.5 - mean) / spread
    weights = counts + np.count_nonzero(counts) * np.diff(ndtr(edges))
    escape = len(values) - len(inside) + 0.5
    return ChannelModel(low, FrequencyTable.from_probabilities(np.append(weights, escape)))
