from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from medgan_core.errors import UsageError
from medgan_core.physics.mr_signal import (
    SEQUENCES,
    InversionRecovery,
    SpinEcho,
    SpoiledGradientEcho,
    adjusted,
    described,
    null_time,
)
from medgan_core.physics.tissues import INDEX, TISSUES

WHITE, GREY, CSF = (TISSUES[n] for n in ("white", "grey", "csf"))


def _signal(sequence: object, tissue: object) -> float:
    values = [torch.tensor(getattr(tissue, name)) for name in ("pd", "t1", "t2")]
    return float(sequence(*values))  # type: ignore[operator]


def test_spin_echo_has_its_analytic_value() -> None:
    one = torch.tensor(1.0)
    got = SpinEcho(tr=1000 * math.log(2), te=100 * math.log(4))(one, 1000 * one, 100 * one)
    assert float(got) == pytest.approx(0.5 * 0.25)


def test_gradient_echo_peaks_at_the_ernst_angle() -> None:
    tr, t1 = 20.0, 900.0
    ernst = math.degrees(math.acos(math.exp(-tr / t1)))
    at = [
        float(SpoiledGradientEcho(tr=tr, flip=a)(torch.tensor(1.0), torch.tensor(t1), torch.tensor(80.0)))
        for a in (ernst - 3, ernst, ernst + 3)
    ]
    assert at[1] == max(at)


@pytest.mark.parametrize("tr", [6000.0, 9000.0])
def test_inversion_recovery_has_no_signal_at_the_null_time(tr: float) -> None:
    sequence = InversionRecovery(tr=tr, ti=null_time(4000.0, tr), te=100.0)
    assert float(sequence(torch.tensor(1.0), torch.tensor(4000.0), torch.tensor(1500.0))) < 1e-6


def test_every_drawn_protocol_orders_tissues_as_a_radiologist_expects() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        t1, t2, flair = (SEQUENCES[c](rng) for c in ("T1", "T2", "FLAIR"))
        assert _signal(t1, WHITE) > _signal(t1, GREY) > _signal(t1, CSF)
        assert _signal(t2, CSF) > _signal(t2, GREY) > _signal(t2, WHITE)
        assert _signal(flair, TISSUES["ms lesion"]) > _signal(flair, GREY) > _signal(flair, CSF)


def test_every_tissue_has_a_number() -> None:
    assert sorted(INDEX.values()) == list(range(len(TISSUES)))


def test_parameters_by_hand_replace_those_that_were_drawn() -> None:
    drawn = SpinEcho(tr=500, te=12)
    assert adjusted(drawn) == drawn
    assert adjusted(drawn, te=20) == SpinEcho(tr=500, te=20)
    assert adjusted(drawn, tr=9000, ti=2500, te=120) == InversionRecovery(tr=9000, ti=2500, te=120)
    echo = adjusted(drawn, flip=15)
    assert isinstance(echo, SpoiledGradientEcho)
    assert echo.flip == 15
    assert isinstance(adjusted(echo, te=10), SpinEcho)
    assert described(drawn) == "spin echo, TR 500, TE 12"


def test_parameters_that_no_sequence_has_together_are_refused() -> None:
    with pytest.raises(UsageError, match="no flip"):
        adjusted(SpinEcho(tr=500, te=12), ti=900, flip=12)
