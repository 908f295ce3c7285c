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


@pytest.mark.parametrize(
    ("drawn", "by_hand", "rule"),
    [
        (SpinEcho(tr=500, te=12), {"tr": 500, "ti": 3000}, r"TI \+ TE < TR"),
        (SpinEcho(tr=500, te=12), {"te": 500}, "TE < TR"),
        (SpinEcho(tr=5000, te=100), {"tr": 80}, "TE < TR"),
        (InversionRecovery(tr=9000, ti=2500, te=100), {"tr": 2550, "ti": 2500}, r"TI \+ TE < TR"),
        (InversionRecovery(tr=9000, ti=2500, te=100), {"tr": 110}, r"TI \+ TE < TR"),
    ],
    ids=str,
)
def test_an_echo_after_the_end_of_tr_is_refused(
    drawn: SpinEcho | InversionRecovery, by_hand: dict[str, float], rule: str
) -> None:
    with pytest.raises(UsageError, match=f"Expected: {rule}. Got: .*TR "):
        adjusted(drawn, **by_hand)


def test_a_gradient_echo_has_no_echo_time_to_fit_in() -> None:
    assert adjusted(SpoiledGradientEcho(tr=18, flip=25), tr=5) == SpoiledGradientEcho(tr=5, flip=25)


@pytest.mark.parametrize("tr", [1500.0, 3000.0, 12000.0])
def test_another_tr_nulls_the_same_tissue(tr: float) -> None:
    drawn = InversionRecovery(tr=8000, ti=null_time(4000.0, 8000.0), te=100)
    found = adjusted(drawn, tr=tr)
    assert isinstance(found, InversionRecovery)
    assert found.ti == pytest.approx(null_time(4000.0, tr), rel=1e-3)
    assert (found.tr, found.te) == (tr, 100)
