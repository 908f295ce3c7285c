from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from medgan_core import io, registry
from medgan_core.engine import RunOptions, Session, run
from medgan_core.errors import CancelledError, ModelError, UnsuitableError
from medgan_core.inference.appliers.thick_slices import finer, interleaved, interpolated
from medgan_core.registry import Registry
from medgan_core.volume import Geometry, Volume
from tests.models import toy_thin_slices

MODEL = "mr-thin-slices"


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A session whose network corrects nothing."""
    folder = tmp_path_factory.mktemp("silent")
    card = toy_thin_slices(folder)
    network = Registry([folder]).load(MODEL).network
    for name, tensor in network.state_dict().items():
        if ".head." in name:
            tensor.zero_()
    registry.save(folder / MODEL, card, network)
    return Session("cpu", registry=Registry([folder]))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_outer_faces_stay_where_they_are(axis: int, oblique_head: Volume) -> None:
    source = oblique_head.geometry
    found = finer(source, axis, 4)
    for end in (0.0, 1.0):
        faces = [
            g.affine[:3, :3] @ (end * np.array(g.shape) - 0.5) + g.affine[:3, 3] for g in (source, found)
        ]
        np.testing.assert_allclose(faces[1], faces[0], atol=1e-9)
    assert found.spacing[axis] == pytest.approx(source.spacing[axis] / 4)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_interpolation_is_torchs(factor: int) -> None:
    array = np.random.default_rng(0).random((3, 4, 5), dtype=np.float32)
    wanted = functional.interpolate(torch.from_numpy(array), scale_factor=factor, mode="linear")
    np.testing.assert_allclose(
        interleaved(interpolated(array, 2, factor), 2), wanted.numpy(), rtol=1e-5, atol=1e-6
    )
    other = interleaved(interpolated(array.transpose(2, 0, 1), 0, factor), 0)
    np.testing.assert_allclose(other.transpose(1, 2, 0), wanted.numpy(), rtol=1e-5, atol=1e-6)


def test_a_network_that_corrects_nothing_gives_linear_interpolation(
    silent: Session, oblique_head: Volume, options: RunOptions
) -> None:
    outcome = run(silent, MODEL, {"image": oblique_head}, options)
    result = outcome.volumes["image"]
    wanted = interleaved(interpolated(oblique_head.data[0], 2, 2), 2)
    wanted[np.repeat(oblique_head.data[0] == 0, 2, axis=2)] = 0
    np.testing.assert_allclose(result.data[0], wanted, rtol=1e-5, atol=1e-3)
    assert result.geometry.shape == (44, 52, 26)
    assert list(outcome.volumes) == ["image"]


@pytest.mark.parametrize("order", [(2, 0, 1), (1, 2, 0), (0, 2, 1)])
def test_the_order_and_direction_of_the_file_do_not_matter(
    session: Session, oblique_head: Volume, options: RunOptions, order: tuple[int, int, int]
) -> None:
    plain = run(session, MODEL, {"image": oblique_head}, options).volumes["image"]
    turned = np.flip(oblique_head.data[0].transpose(order), (0, 2))
    affine = np.eye(4)
    affine[:3, :3] = oblique_head.geometry.affine[:3, list(order)] * [-1, 1, -1]
    ends = (np.array(turned.shape) - 1) * [1, 0, 1]
    affine[:3, 3] = oblique_head.geometry.affine[:3, 3] - affine[:3, :3] @ ends
    volume = Volume(turned.copy(), Geometry(turned.shape, affine))
    found = run(session, MODEL, {"image": volume}, options).volumes["image"]
    back = np.flip(found.data[0], (0, 2)).transpose(np.argsort(order))
    np.testing.assert_allclose(back, plain.data[0], rtol=1e-4, atol=0.05)
    corners = {tuple(c) for c in np.round(found.geometry.corners(), 6)}
    assert corners == {tuple(c) for c in np.round(plain.geometry.corners(), 6)}


def test_the_network_adds_to_the_interpolation_in_the_scale_of_the_input(
    session: Session, silent: Session, oblique_head: Volume, options: RunOptions
) -> None:
    linear = run(silent, MODEL, {"image": oblique_head}, options).volumes["image"].data
    plain = run(session, MODEL, {"image": oblique_head}, options).volumes["image"].data
    bright = oblique_head.with_data(1000 * oblique_head.data)
    large = run(session, MODEL, {"image": bright}, options).volumes["image"].data
    assert np.abs(plain - linear).max() > 0.5
    np.testing.assert_allclose(large, 1000 * plain, rtol=1e-3, atol=100)


def test_background_that_was_removed_stays_zero_and_the_file_keeps_the_grid(
    session: Session, oblique_head: Volume, options: RunOptions, tmp_path: Path
) -> None:
    source = io.read(io.write(oblique_head, tmp_path / "thick.nii.gz"))
    result = run(session, MODEL, {"image": source}, options).volumes["image"]
    assert (result.data[0][np.repeat(source.data[0] == 0, 2, axis=2)] == 0).all()
    again = io.read(io.write(result, tmp_path / "thin.nii.gz"))
    assert again.geometry.close_to(result.geometry)


def test_the_recorded_plan_gives_the_same_voxels_and_cancel_stops(
    session: Session, oblique_head: Volume, options: RunOptions
) -> None:
    first = run(session, MODEL, {"image": oblique_head}, options)
    plan = first.report.provenance["plan"]
    assert [view["axis"] for view in plan["views"]] == [1, 0]
    again = run(session, MODEL, {"image": oblique_head}, replace(options, plan=plan))
    np.testing.assert_array_equal(first.volumes["image"].data, again.volumes["image"].data)
    calls = iter([False] * 8)
    with pytest.raises(CancelledError):
        run(session, MODEL, {"image": oblique_head}, options, cancel=lambda: next(calls, True))


def test_slices_that_are_not_thick_are_refused(session: Session, options: RunOptions) -> None:
    data = np.random.default_rng(0).random((40, 40, 40), dtype=np.float32)
    cubes = Volume(data, Geometry((40, 40, 40), np.diag([2.0, 2.0, 2.0, 1.0])))
    assert run(session, MODEL, {"image": cubes}, options).volumes["image"].geometry.shape == (40, 40, 80)
    wide = Volume(data, Geometry((40, 40, 40), np.diag([3.0, 3.0, 1.6, 1.0])))
    with pytest.raises(UnsuitableError, match="distance of the slices") as caught:
        run(session, MODEL, {"image": wide}, options)
    assert caught.value.report is not None


def test_a_card_that_promises_another_grid_is_refused(
    tmp_path: Path, oblique_head: Volume, options: RunOptions
) -> None:
    card = toy_thin_slices(tmp_path)
    port = replace(card.outputs[0], slice_factor=5)
    replace(card, outputs=(port,)).save(tmp_path / MODEL / "card.json")
    with pytest.raises(ModelError, match="do not agree"):
        run(Session("cpu", registry=Registry([tmp_path])), MODEL, {"image": oblique_head}, options)
