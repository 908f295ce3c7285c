from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from medgan_core.inference import prepare
from medgan_core.inference.backends import candidates
from medgan_core.inference.segmentation import decide, softmax
from medgan_core.networks.slab_segmenter import SlabSegmenter

CPU = torch.device("cpu")


def _shares(classes: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).dirichlet(np.full(classes, 0.3), (5, 6, 7)).astype(np.float32)


def _first(shares: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.moveaxis(shares, -1, 0)


def test_softmax_is_that_of_torch_and_written_in_place() -> None:
    logits = 30 * np.random.default_rng(0).normal(size=(4, 3, 3, 2)).astype(np.float32)
    expected = torch.from_numpy(logits.copy()).softmax(0).numpy()
    found = softmax(logits)
    assert found is logits
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("values", [(1, 2, 3), (7, 300, 2)])
def test_the_most_probable_class_wins_whatever_the_values_are(values: tuple[int, ...]) -> None:
    shares = _shares(4)
    found = decide(iter(_first(shares)[1:]), values)
    expected = np.array([0, *values])[shares.argmax(-1)]
    np.testing.assert_array_equal(found.labels, expected)
    assert found.labels.dtype == (np.uint8 if max(values) < 256 else np.uint16)
    assert found.voxels == tuple(int((expected == value).sum()) for value in values)
    np.testing.assert_allclose(found.doubts, (shares * (1 - shares)).sum((0, 1, 2))[1:], rtol=1e-5)
    entropy = -(shares * np.log(np.maximum(shares, 1e-30))).sum(-1) / np.log(4)
    np.testing.assert_allclose(found.uncertainty, entropy, atol=1e-5)


def test_certain_is_0_and_undecided_is_1() -> None:
    certain = decide([np.array([[[1.0, 0.0]]], np.float32)], [5])
    assert certain.labels.tolist() == [[[5, 0]]]
    assert float(certain.uncertainty.max()) < 1e-6
    undecided = decide([np.full((1, 1, 1), 1 / 3, np.float32)] * 2, [1, 2])
    assert float(undecided.uncertainty[0, 0, 0]) == pytest.approx(1.0)
    tie = decide([np.full((1, 1, 1), 0.5, np.float32)], [1])
    assert int(tie.labels[0, 0, 0]) == 0, "nothing is marked without a reason"


def test_what_resampling_overshoots_is_put_right() -> None:
    found = decide([np.array([[[1.2, -0.2]]], np.float32)], [1])
    assert found.labels.tolist() == [[[1, 0]]]
    assert found.doubts == (0.0,)
    assert float(np.abs(found.uncertainty).max()) < 1e-6


@pytest.mark.parametrize(("backend", "precision"), [*candidates(CPU), *candidates(CPU, precision="int8")])
def test_every_back_end_computes_what_torch_does(backend: str, precision: str) -> None:
    torch.manual_seed(0)
    network = SlabSegmenter(contrasts=2, classes=3, slices=3, presence=True, widths=(8, 16))
    network.head.weight.data.normal_(0, 0.1)
    compiled = prepare(network.eval(), device="cpu", backend=backend, precision=precision)
    assert (compiled.backend, compiled.precision) == (backend, precision)
    assert compiled.agreement.passed
    assert compiled.channels == compiled.signature.outputs == 3
