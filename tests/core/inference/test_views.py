from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from medgan_core.errors import ModelError, UsageError
from medgan_core.inference import Views, apply, apply_views, axes_for, prepare
from medgan_core.monitor import Monitor, Progress
from tests.core.inference.toys import Pointwise, slab_unet

CUBE = (1.0, 1.0, 1.1)


def _volume(seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((1, 24, 20, 16), dtype=np.float32)


@pytest.mark.parametrize(
    ("shape", "spacing", "wanted", "axes"),
    [
        ((64, 64, 64), CUBE, 3, (2, 1, 0)),
        ((64, 64, 64), CUBE, 1, (2,)),
        ((64, 64, 64), (1.0, 1.0, 3.0), 3, (2,)),
        ((64, 64, 8), CUBE, 3, (2,)),
    ],
)
def test_three_views_where_voxels_are_nearly_cubes(
    shape: tuple[int, ...], spacing: tuple[float, ...], wanted: int, axes: tuple[int, ...]
) -> None:
    assert axes_for(shape, spacing, wanted) == axes


def test_one_view_is_apply_itself() -> None:
    compiled = prepare(slab_unet(contrasts=1, outputs=1), device="cpu", backend="torch", precision="fp32")
    array = _volume()
    np.testing.assert_array_equal(
        apply_views(compiled, array, presence=[True]).values, apply(compiled, array, presence=[True]).values
    )


def test_three_views_are_the_mean_of_the_volume_turned_by_hand() -> None:
    compiled = prepare(slab_unet(contrasts=1, outputs=1), device="cpu", backend="torch", precision="fp32")
    array = _volume()
    turned = [
        np.swapaxes(apply(compiled, np.swapaxes(array, 1 + a, 3).copy(), presence=[True]).values, 1 + a, 3)
        for a in (2, 1, 0)
    ]
    found = apply_views(compiled, array, presence=[True], axes=(2, 1, 0))
    assert found.values.shape == (1, 24, 20, 16)
    np.testing.assert_allclose(found.values, np.mean(turned, axis=0), atol=1e-5)
    assert not np.allclose(turned[0], turned[1], atol=1e-3)


def test_predicted_scales_of_equal_views_stay_as_they_are() -> None:
    compiled = prepare(Pointwise(), device="cpu", backend="torch", precision="fp32")
    array = _volume()
    found = apply_views(compiled, array, presence=[True], axes=(2, 1, 0))
    assert found.log_scales is not None
    np.testing.assert_allclose(found.values, np.tanh(2 * array), atol=1e-5)
    np.testing.assert_allclose(found.log_scales, -array, atol=1e-5)


def test_recorded_views_are_replayed_exactly() -> None:
    compiled = prepare(slab_unet(contrasts=1, outputs=1), device="cpu", backend="torch", precision="fp32")
    array = _volume()
    first = apply_views(compiled, array, presence=[True], axes=(2, 0), memory_limit=2**24)
    views = Views.from_dict(json.loads(json.dumps(first.views.to_dict())))
    again = apply_views(compiled, array, presence=[True], views=views)
    assert again.views == first.views
    np.testing.assert_array_equal(again.values, first.values)


@pytest.mark.parametrize(
    ("axes", "error"), [((), UsageError), ((2, 2), UsageError), ((3,), UsageError), ((-1,), UsageError)]
)
def test_axes_that_are_none_are_refused(axes: tuple[int, ...], error: type[Exception]) -> None:
    compiled = prepare(Pointwise(), device="cpu", backend="torch", precision="fp32")
    with pytest.raises(error):
        apply_views(compiled, _volume(), presence=[True], axes=axes)


def test_a_record_without_views_is_refused() -> None:
    compiled = prepare(Pointwise(), device="cpu", backend="torch", precision="fp32")
    with pytest.raises(UsageError, match="another model"):
        apply_views(compiled, _volume(), presence=[True], views=Views(views=()))


def test_a_broken_record_is_refused() -> None:
    with pytest.raises(ModelError):
        Views.from_dict({"views": [{"axis": 2}]})


def test_progress_runs_once_from_start_to_end() -> None:
    compiled = prepare(Pointwise(), device="cpu", backend="torch", precision="fp32")
    told: list[Progress] = []
    monitor = Monitor(told.append)
    with monitor.stage("network", 1.0):
        apply_views(compiled, _volume(), presence=[True], axes=(2, 1, 0), monitor=monitor)
    fractions = [p.fraction for p in told]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0.0
    assert fractions[-1] == 1.0
