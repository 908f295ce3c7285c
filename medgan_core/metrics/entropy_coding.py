"""Numbers to bytes and exactly back, with as many bits as their frequencies ask for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgan_core.errors import InputError

TOTAL_BITS = 16
TOTAL = 1 << TOTAL_BITS
"""Every table's frequencies sum to this, so probabilities are multiples of 1 / 65536."""

_LOWEST = 1 << 32
_SHIFT = 32 - TOTAL_BITS + 8


@dataclass(frozen=True, eq=False)
class FrequencyTable:
    """Whole-number frequencies of the symbols 0 to n - 1; `from_probabilities` makes them.

    Args:
        counts: (n,), each at least 1, together `TOTAL`.
        starts: (n,), sum of the counts before each symbol.
        lookup: (TOTAL,), the symbol that owns each slot.
    """

    counts: tuple[int, ...]
    starts: tuple[int, ...]
    lookup: NDArray[np.uint16]

    @staticmethod
    def from_probabilities(probabilities: NDArray[np.float64]) -> FrequencyTable:
        """Round to frequencies so that every symbol keeps one and they sum to `TOTAL`.

        Args:
            probabilities: (n,), not negative, n below 65536; any positive sum.

        Raises:
            ValueError: when there are too many symbols, or no probability at all.
        """
        n, total = len(probabilities), float(np.sum(probabilities))
        if not 0 < n < TOTAL or not total > 0 or bool((probabilities < 0).any()):
            raise ValueError(f"{n} probabilities with the sum {total} make no table")
        # Rounding the cumulated sum, not each term, keeps the total without a second pass.
        ends = np.rint(np.cumsum(probabilities) / total * (TOTAL - n)).astype(np.int64) + np.arange(1, n + 1)
        counts = np.diff(ends, prepend=0)
        lookup = np.repeat(np.arange(n, dtype=np.uint16), counts)
        return FrequencyTable(tuple(counts.tolist()), tuple((ends - counts).tolist()), lookup)

    def bits(self, symbol: int) -> float:
        """What the symbol costs: ``-log2(count / TOTAL)``."""
        return float(TOTAL_BITS - np.log2(self.counts[symbol]))


def encode(symbols: Iterable[tuple[int, FrequencyTable]]) -> bytes:
    """Symbols, each with the table it is coded by, to a byte string.

    Asymmetric numeral system in its range form: the state x becomes
    ``x // f * 2^16 + x mod f + c`` for a symbol of frequency f that starts at c; bytes leave the state
    when it would pass 2^40. Source: Duda, "Asymmetric numeral systems", arXiv 1311.2540, 2013.

    Returns:
        At most three bytes more than the sum of `FrequencyTable.bits`, plus about 2^-16 bits per symbol. The
        number of symbols and the tables are not in it; the decoder has to know them.
    """
    state, tail = 0, bytearray()
    for symbol, table in reversed(list(symbols)):
        count = table.counts[symbol]
        while state >= count << _SHIFT:
            tail.append(state & 255)
            state >>= 8
        state = (state // count << TOTAL_BITS) + state % count + table.starts[symbol]
    head = state.to_bytes((state.bit_length() + 7) // 8, "big")
    return head + bytes(reversed(tail))


class Decoder:
    """Takes the symbols out of what `encode` made, one at a time and in the same order.

    Args:
        stream: the bytes.
    """

    def __init__(self, stream: bytes) -> None:
        self._bytes: Iterator[int] = iter(stream)
        self._state = 0
        self._refill()

    def take(self, table: FrequencyTable) -> int:
        """The next symbol, coded by this table."""
        slot = self._state & (TOTAL - 1)
        symbol = int(table.lookup[slot])
        self._state = table.counts[symbol] * (self._state >> TOTAL_BITS) + slot - table.starts[symbol]
        self._refill()
        return symbol

    def finish(self) -> None:
        """Check that everything was taken and the state is back where the encoder began.

        This notices nearly every stream that is cut, longer, or read with other tables. It is no checksum,
        and it does not count: a state at its beginning goes on giving first symbols, an empty stream too.
        In return a short code costs no fixed number of bytes.

        Raises:
            InputError: when it does not end so.
        """
        if self._state != 0 or next(self._bytes, None) is not None:
            raise InputError(
                "The coded stream does not end where it should",
                expected="the whole stream of the same codec",
                got="bytes that are missing, altered or left over",
                action="encode it again, or use the codec it was made with",
            )

    def _refill(self) -> None:
        while self._state < _LOWEST:
            byte = next(self._bytes, None)
            if byte is None:
                return
            self._state = self._state << 8 | byte
