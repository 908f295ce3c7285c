from __future__ import annotations

import pytest
import torch

from medgan_core.inference import Signature
from medgan_core.inference.selfcheck import LIMITS, compare, samples

REFERENCE = [
    torch.cat([torch.linspace(-1, 2, 100).reshape(1, 1, 10, 10), torch.full((1, 1, 10, 10), 8.0)], 1)
]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_deviation_passes_up_to_the_limit_and_not_beyond(precision: str) -> None:
    maximum = LIMITS[precision][0] * 2.0  # the largest value of the reference is 2
    for share, passed in ((0.9, True), (1.1, False)):
        answer = REFERENCE[0].clone()
        answer[0, 0, 3, 3] += share * maximum
        agreement = compare([answer], REFERENCE, outputs=1, precision=precision)
        assert agreement.passed is passed
        assert agreement.maximum == pytest.approx(share * LIMITS[precision][0], rel=1e-2)


def test_values_are_not_judged_by_the_scale_of_the_log_scales() -> None:
    answer = REFERENCE[0].clone()
    answer[:, 0] += 0.03
    agreement = compare([answer], REFERENCE, outputs=1, precision="bf16")
    assert agreement.mean == pytest.approx(0.015, rel=1e-3)
    assert not agreement.passed


@pytest.mark.parametrize("answer", [REFERENCE[0] * float("nan"), REFERENCE[0][:, :1], REFERENCE[0][..., :9]])
def test_nan_and_other_shapes_fail(answer: torch.Tensor) -> None:
    assert not compare([answer], REFERENCE, outputs=1, precision="bf16").passed


def test_samples_have_several_sizes_and_a_missing_contrast() -> None:
    signature = Signature(contrasts=2, slices=3, presence=True, outputs=1, multiple=8)
    first, second = samples(signature)
    assert first.shape[1] == second.shape[1] == 8
    assert first.shape[2:] != second.shape[2:]
    assert (first[-1, 6] == 1).all()
    assert (first[-1, 7] == 0).all()
    assert (first[-1, 3:6] == 0).all()
    assert (first[-1, :3] != 0).any()
    assert torch.equal(samples(signature)[0], first)
