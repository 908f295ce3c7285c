"""MR signal equations: what a tissue looks like under a sequence.

Times are in ms, flip angles in degrees, proton density (PD) is relative to water. All functions take
arrays or tensors of one shape and return the signal magnitude on the scale of PD.
Source: Bernstein, King, Zhou, "Handbook of MRI Pulse Sequences", 2004, chapters 14.1, 14.2 and 16.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from medgan_core.errors import UsageError

Contrast = Literal["T1", "T1post", "T2", "FLAIR", "PD"]

_CSF_T1 = 4000.0


@dataclass(frozen=True, kw_only=True)
class SpinEcho:
    """``PD (1 - exp(-TR/T1)) exp(-TE/T2)``, eq. 14.59 of the handbook for TE much shorter than TR."""

    tr: float
    te: float

    def __call__(self, pd: Tensor, t1: Tensor, t2: Tensor) -> Tensor:
        """Signal magnitude, same shape as the tissue maps."""
        return pd * (1 - torch.exp(-self.tr / t1)) * torch.exp(-self.te / t2)


@dataclass(frozen=True, kw_only=True)
class SpoiledGradientEcho:
    """Ernst's equation ``PD sin(a) (1 - E1) / (1 - cos(a) E1)``, scaled to PD at sin(a) = 1."""

    tr: float
    flip: float

    def __call__(self, pd: Tensor, t1: Tensor, t2: Tensor) -> Tensor:
        """Signal magnitude; T2* decay is left out (short echo times)."""
        angle = math.radians(self.flip)
        e1 = torch.exp(-self.tr / t1)
        return pd * math.sin(angle) * (1 - e1) / (1 - math.cos(angle) * e1)


@dataclass(frozen=True, kw_only=True)
class InversionRecovery:
    """``PD |1 - 2 exp(-TI/T1) + exp(-TR/T1)| exp(-TE/T2)``: FLAIR, and MPRAGE to first order."""

    tr: float
    ti: float
    te: float

    def __call__(self, pd: Tensor, t1: Tensor, t2: Tensor) -> Tensor:
        """Signal magnitude."""
        recovered = 1 - 2 * torch.exp(-self.ti / t1) + torch.exp(-self.tr / t1)
        return pd * recovered.abs() * torch.exp(-self.te / t2)


Sequence = SpinEcho | SpoiledGradientEcho | InversionRecovery


_USUAL: dict[type[Sequence], Sequence] = {
    SpinEcho: SpinEcho(tr=550.0, te=12.0),
    SpoiledGradientEcho: SpoiledGradientEcho(tr=18.0, flip=25.0),
    InversionRecovery: InversionRecovery(tr=2300.0, ti=950.0, te=3.0),
}
"""What is not said of a sequence of a kind that was not drawn."""

_WORDS = {
    SpinEcho: "spin echo",
    SpoiledGradientEcho: "gradient echo",
    InversionRecovery: "inversion recovery",
}


def adjusted(
    drawn: Sequence, *, tr: float = 0.0, te: float = 0.0, ti: float = 0.0, flip: float = 0.0
) -> Sequence:
    """A sequence with some of its parameters set by hand; those that are 0 stay as they are.

    An inversion time makes it an inversion recovery, a flip angle a spoiled gradient echo, an echo time
    makes a gradient echo a spin echo. Another repetition time alone changes the inversion time with it, so
    that the same tissue is without signal.

    Args:
        drawn: the sequence to change.
        tr: repetition time in ms.
        te: echo time in ms.
        ti: inversion time in ms.
        flip: angle in degrees.

    Raises:
        UsageError: when no sequence here has all of the parameters, or TR ends before the echo.
    """
    wanted = {key: value for key, value in (("tr", tr), ("te", te), ("ti", ti), ("flip", flip)) if value}
    kind = type(drawn)
    if ti:
        kind = InversionRecovery
    elif flip:
        kind = SpoiledGradientEcho
    elif te and kind is SpoiledGradientEcho:
        kind = SpinEcho
    base = drawn if type(drawn) is kind else _USUAL[kind]
    unknown = sorted(set(wanted) - set(asdict(base)))
    if unknown:
        raise UsageError(
            f"The {_WORDS[kind]} has no {' and no '.join(unknown)}",
            expected=", ".join(asdict(base)),
            got=", ".join(wanted),
            action="leave the others at 0",
        )
    if tr and not ti and isinstance(base, InversionRecovery):
        wanted["ti"] = null_time(_nulled(base), tr)
    sequence = kind(**{**asdict(base), **wanted})
    _check(sequence)
    return sequence


def _check(sequence: Sequence) -> None:
    """Raise `UsageError` unless inversion and echo happen within TR."""
    if isinstance(sequence, SpoiledGradientEcho):
        return
    before, rule = sequence.te, "TE < TR"
    if isinstance(sequence, InversionRecovery):
        before, rule = sequence.ti + sequence.te, "TI + TE < TR"
    if before >= sequence.tr:
        raise UsageError(
            f"No {_WORDS[type(sequence)]} can be so: TR ends before the echo",
            expected=rule,
            got=described(sequence),
            action="change tr, te or ti; those at 0 are what is usual for the contrast",
        )


def _nulled(sequence: InversionRecovery) -> float:
    """T1 in ms of the tissue without signal, by bisection: its null time grows with T1, up to TR / 2."""
    low, high = 1.0, 1e6
    while high > 1.0001 * low:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if null_time(middle, sequence.tr) < sequence.ti else (low, middle)
    return low


def described(sequence: Sequence) -> str:
    """Such as ``spin echo, TR 550, TE 12``; times in ms, the flip angle in degrees."""
    parts = [
        f"{key.upper() if len(key) == 2 else key} {value:.4g}" for key, value in asdict(sequence).items()
    ]
    return ", ".join([_WORDS[type(sequence)], *parts])


def null_time(t1: float, tr: float) -> float:
    """Inversion time in ms at which a tissue gives no signal: ``T1 (ln 2 - ln(1 + exp(-TR/T1)))``."""
    return t1 * (math.log(2.0) - math.log1p(math.exp(-tr / t1)))


def _t1(rng: np.random.Generator) -> Sequence:
    family = rng.integers(3)
    if family == 0:
        return SpinEcho(tr=rng.uniform(380, 750), te=rng.uniform(7, 20))
    if family == 1:
        return SpoiledGradientEcho(tr=rng.uniform(8, 30), flip=rng.uniform(15, 32))
    return InversionRecovery(tr=rng.uniform(1900, 2600), ti=rng.uniform(850, 1150), te=rng.uniform(2, 5))


def _t2(rng: np.random.Generator) -> Sequence:
    return SpinEcho(tr=rng.uniform(2800, 8000), te=rng.uniform(75, 125))


def _flair(rng: np.random.Generator) -> Sequence:
    tr = rng.uniform(6000, 11000)
    ti = null_time(_CSF_T1, tr) * rng.uniform(0.94, 1.04)
    return InversionRecovery(tr=tr, ti=ti, te=rng.uniform(85, 150))


def _pd(rng: np.random.Generator) -> Sequence:
    return SpinEcho(tr=rng.uniform(2000, 4500), te=rng.uniform(10, 30))


SEQUENCES: dict[Contrast, Callable[[np.random.Generator], Sequence]] = {
    "T1": _t1,
    "T1post": _t1,
    "T2": _t2,
    "FLAIR": _flair,
    "PD": _pd,
}
"""Draws a plausible clinical sequence (1.5 to 3 T) for each contrast."""
