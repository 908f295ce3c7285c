from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from medgan_core.errors import CancelledError, InputError, ModelError, ResourceError, UsageError
from medgan_core.inference import Compiled, Plan, apply, prepare
from medgan_core.monitor import Monitor, Progress
from tests.core.inference.toys import Broken, Hungry, Pointwise, Toy, slab_unet


def volume(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def in_torch(network: torch.nn.Module) -> Compiled:
    return prepare(network, device="cpu", backend="torch", precision="fp32")


def naive(network: torch.nn.Module, array: NDArray[np.float32], presence: list[bool]) -> NDArray[np.float32]:
    """One slice after the other, with numpy's own padding."""
    rows, columns, depth = array.shape[1:]
    multiple, half = int(network.multiple), int(network.slices) // 2
    around = [(0, 0), (0, -rows % multiple), (0, -columns % multiple), (half, half)]
    wide = np.pad(array, around, mode="edge")
    out = []
    for k in range(depth):
        planes = [contrast[..., n] for contrast in wide for n in range(k, k + 2 * half + 1)]
        if network.presence:
            planes += [np.full(wide.shape[1:3], flag, dtype=np.float32) for flag in presence]
        out.append(network(torch.from_numpy(np.stack(planes)[None]))[0, :, :rows, :columns].numpy())
    return np.stack(out, axis=-1)


@pytest.mark.parametrize("shape", [(1, 33, 18, 5), (1, 4, 4, 1), (1, 1, 1, 2)])
@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_the_identity_gives_the_identical_array(shape: tuple[int, ...], backend: str) -> None:
    array = volume(*shape)
    out = apply(prepare(Toy(), device="cpu", backend=backend, precision="fp32"), array, presence=[True])
    np.testing.assert_array_equal(out.values, array)
    assert out.log_scales is None
    assert out.notes == ()


@pytest.mark.parametrize(("depth", "slices"), [(1, 3), (2, 5), (6, 3)])
def test_equals_one_slice_after_the_other(depth: int, slices: int) -> None:
    network = slab_unet(contrasts=2, outputs=2, slices=slices, presence=True)
    array = volume(2, 29, 42, depth)
    array[1] = 0.0
    out = apply(in_torch(network), array, presence=[True, False])
    expected = naive(network, array, [True, False])
    assert out.log_scales is not None
    np.testing.assert_allclose(np.concatenate([out.values, out.log_scales]), expected, atol=1e-5)


def test_tiles_equal_the_whole_for_a_pointwise_network() -> None:
    compiled, array = in_torch(Pointwise()), volume(1, 70, 45, 3)
    whole = apply(compiled, array, presence=[True])
    tiled = apply(compiled, array, presence=[True], tile=(24, 16))
    assert whole.plan.tile == (72, 48)
    assert tiled.plan.tile == (24, 16)
    np.testing.assert_allclose(tiled.values, whole.values, atol=1e-6)
    np.testing.assert_allclose(whole.values, np.tanh(2.0 * array), atol=1e-6)
    assert tiled.log_scales is not None
    np.testing.assert_allclose(tiled.log_scales, -array, atol=1e-6)


def test_tiles_equal_the_whole_for_the_real_network_when_they_overlap_enough() -> None:
    """Widths (8, 16): a pixel sees 22 pixels around it, less than three eighths of the overlap."""
    compiled, array = in_torch(slab_unet(contrasts=1, outputs=1)), volume(1, 160, 60, 2)
    whole = apply(compiled, array, presence=[True])
    plan = replace(whole.plan, tile=(96, 60), overlap=64)
    enough = apply(compiled, array, presence=[True], plan=plan)
    np.testing.assert_allclose(enough.values, whole.values, atol=1e-5)
    too_little = apply(compiled, array, presence=[True], plan=replace(plan, overlap=4))
    assert np.abs(too_little.values - whole.values).max() > 1e-3


def test_a_recorded_plan_gives_the_same_voxels() -> None:
    compiled, array = in_torch(slab_unet(contrasts=1, outputs=1)), volume(1, 60, 75, 3)
    first = apply(compiled, array, presence=[True], tile=(32, 48))
    plan = Plan.from_dict(json.loads(json.dumps(first.plan.to_dict())))
    assert plan == first.plan
    again = apply(compiled, array, presence=[True], plan=plan)
    assert again.plan == plan
    np.testing.assert_array_equal(again.values, first.values)


@pytest.mark.parametrize("how", ["python", "torch"])
def test_out_of_memory_makes_the_plan_smaller_and_goes_on(how: str) -> None:
    compiled, array = in_torch(Hungry(1200, how)), volume(1, 40, 48, 3)
    out = apply(compiled, array, presence=[True])
    np.testing.assert_allclose(out.values, array, atol=1e-6)
    assert out.plan.tile[0] * out.plan.tile[1] <= 1200
    assert len(out.notes) >= 1
    assert "memory" in out.notes[0]
    again = apply(compiled, array, presence=[True], plan=out.plan)
    np.testing.assert_array_equal(again.values, out.values)
    assert again.notes == ()


def test_out_of_memory_makes_the_batch_smaller_before_the_tile() -> None:
    compiled, array = in_torch(Hungry(40 * 20 * 3)), volume(1, 40, 20, 6)
    start = replace(apply(compiled, array, presence=[True]).plan, batch=6)
    out = apply(compiled, array, presence=[True], plan=start)
    assert (out.plan.batch, out.plan.tile) == (3, (40, 20))
    np.testing.assert_array_equal(out.values, array)


def test_memory_that_never_suffices_is_a_readable_error() -> None:
    compiled = in_torch(Toy())
    tight = replace(compiled, runner=Hungry(200).forward)
    with pytest.raises(ResourceError, match="smallest steps"):
        apply(tight, volume(1, 40, 48, 3), presence=[True])


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    with pytest.raises(RuntimeError, match="do not match"):
        apply(in_torch(Broken()), volume(1, 40, 48, 3), presence=[True])


def test_a_memory_limit_gives_smaller_tiles_or_is_refused() -> None:
    compiled, array = in_torch(slab_unet(contrasts=1, outputs=1)), volume(1, 128, 120, 2)
    free = apply(compiled, array, presence=[True])
    limit = free.plan.memory * 2 // 3
    tight = apply(compiled, array, presence=[True], memory_limit=limit)
    assert free.plan.tile == (128, 120)
    assert tight.plan.tile[0] * tight.plan.tile[1] < 128 * 120
    assert tight.plan.memory <= limit
    with pytest.raises(ResourceError, match="does not suffice"):
        apply(compiled, array, presence=[True], memory_limit=1000)


@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_cancel_is_honoured_within_one_step(tile: tuple[int, int] | None) -> None:
    steps: list[int] = []
    compiled = in_torch(Toy())

    def counted(run: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
        def runner(batch: torch.Tensor) -> torch.Tensor:
            steps.append(len(batch))
            return run(batch)

        return runner

    watched = replace(compiled, runner=counted(compiled.runner))
    with pytest.raises(CancelledError):
        apply(
            watched,
            volume(1, 32, 32, 9),
            presence=[True],
            tile=tile,
            monitor=Monitor(cancel=lambda: len(steps) >= 3),
        )
    assert len(steps) == 3


@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_progress_rises_from_zero_to_one(tile: tuple[int, int] | None) -> None:
    seen: list[Progress] = []
    apply(in_torch(Toy()), volume(1, 24, 24, 4), presence=[True], tile=tile, monitor=Monitor(seen.append))
    fractions = [progress.fraction for progress in seen]
    assert fractions[0] == 0.0
    assert fractions[-1] == 1.0
    assert len(fractions) > 4
    assert fractions == sorted(set(fractions))


def test_only_the_wanted_outputs_come_back_in_the_order_asked_for() -> None:
    compiled, array = in_torch(slab_unet(contrasts=1, outputs=3)), volume(1, 20, 20, 2)
    everything = apply(compiled, array, presence=[True])
    some = apply(compiled, array, presence=[True], keep=[2, 0])
    np.testing.assert_array_equal(some.values, everything.values[[2, 0]])
    assert some.log_scales is not None
    assert everything.log_scales is not None
    np.testing.assert_array_equal(some.log_scales, everything.log_scales[[2, 0]])
    for wrong in ([], [3], [-1]):
        with pytest.raises(UsageError, match="wanted outputs"):
            apply(compiled, array, presence=[True], keep=wrong)


def test_the_input_is_not_changed_and_may_be_strided() -> None:
    compiled = in_torch(slab_unet(contrasts=1, outputs=1))
    array = volume(1, 21, 17, 4)
    copy = array.copy()
    straight = apply(compiled, array, presence=[True])
    np.testing.assert_array_equal(array, copy)
    turned = apply(compiled, np.asfortranarray(array), presence=[True])
    np.testing.assert_array_equal(turned.values, straight.values)


@pytest.mark.parametrize(
    ("array", "presence"),
    [
        (volume(2, 8, 8, 3), [True, True]),
        (volume(8, 8, 3), [True]),
        (volume(1, 8, 8, 3).astype(np.float64), [True]),
        (volume(1, 8, 8, 0), [True]),
        (volume(1, 8, 8, 3), [False]),
        (volume(1, 8, 8, 3), [True, True]),
    ],
)
def test_arrays_that_do_not_fit_are_refused(array: NDArray[np.float32], presence: list[bool]) -> None:
    with pytest.raises(InputError):
        apply(in_torch(Toy()), array, presence=presence)


def test_plans_that_do_not_fit_are_refused() -> None:
    compiled, array = in_torch(Toy()), volume(1, 8, 8, 3)
    plan = apply(compiled, array, presence=[True]).plan
    for wrong in (
        replace(plan, backend="openvino"),
        replace(plan, tile=(6, 8)),
        replace(plan, batch=0),
    ):
        with pytest.raises(UsageError):
            apply(compiled, array, presence=[True], plan=wrong)
    with pytest.raises(UsageError):
        apply(compiled, array, presence=[True], tile=(0, 8))
    with pytest.raises(ModelError, match="streams"):
        Plan.from_dict({**plan.to_dict(), "streams": 2})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("tile", [None, (48, 48)])
def test_cuda_gives_the_volume_the_cpu_gives(tile: tuple[int, int] | None) -> None:
    network, array = slab_unet(contrasts=2, outputs=2, presence=True), volume(2, 61, 75, 40)
    compiled = prepare(network, device="cuda", precision="bf16")
    out = apply(compiled, array, presence=[True, True], tile=tile)
    reference = apply(in_torch(network), array, presence=[True, True], tile=tile)
    limit = compiled.agreement.maximum_limit * np.abs(reference.values).max()
    assert np.abs(out.values - reference.values).max() <= limit
    again = apply(compiled, array, presence=[True, True], plan=out.plan)
    np.testing.assert_array_equal(again.values, out.values)
