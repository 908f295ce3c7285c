"""Labels whose voxels come in another order than their image's."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from medgan_core import io
from medgan_core.registry import Registry
from medgan_core.volume import Geometry, Volume
from monailabel_app.label_grid import axis_order, put_on_grid
from monailabel_app.tasks import ModelTask
from tests.models import toy_suggest

GRID = Geometry(
    (4, 5, 6),
    np.array([[0.9, 0.1, 0.2, -3.0], [-0.1, 1.1, 0.3, 7.0], [0.1, -0.3, 2.0, 11.0], [0.0, 0.0, 0.0, 1.0]]),
)
LABELS = np.arange(120, dtype=np.int16).reshape(1, 4, 5, 6)


def ordered(axes: tuple[int, ...], flips: tuple[bool, ...]) -> Volume:
    """The labels with their axes in this order, those named flipped, in the same place."""
    shape = tuple(GRID.shape[axis] for axis in axes)
    to_grid = np.eye(4)[:, [*axes, 3]]
    for number, axis in enumerate(axes):
        if flips[number]:
            to_grid[axis, number], to_grid[axis, 3] = -1, GRID.shape[axis] - 1
    data = LABELS.transpose(0, *(axis + 1 for axis in axes))
    data = np.flip(data, [number + 1 for number in range(3) if flips[number]])
    return Volume(np.ascontiguousarray(data), Geometry(shape, GRID.affine @ to_grid))  # type: ignore[arg-type]


def test_a_label_in_any_order_of_axes_is_turned_back_with_its_values(tmp_path: Path) -> None:
    image = io.write(Volume(np.zeros(GRID.shape, np.float32), GRID), tmp_path / "image.nii")
    for axes, flips in product(permutations(range(3)), product((False, True), repeat=3)):
        label = io.write(ordered(axes, flips), tmp_path / "label.nrrd")
        assert put_on_grid(label, image) == ""
        back = io.read(label)
        assert back.geometry.close_to(GRID)
        assert back.data.dtype == np.int16
        np.testing.assert_array_equal(back.data, LABELS)


def test_the_server_opens_one_label_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = io.write(Volume(np.zeros(GRID.shape, np.float32), GRID), tmp_path / "image.nii")
    flipped = ordered((0, 1, 2), (True, False, False))
    labels = [io.write(flipped, tmp_path / f"label{n}.nrrd") for n in range(4)]
    read, opened, most = io.read, [], []

    def slow(path: Path) -> Volume:
        opened.append(path)
        most.append(len(opened))
        time.sleep(0.05)
        volume = read(path)
        opened.remove(path)
        return volume

    monkeypatch.setattr("monailabel_app.label_grid.io.read", slow)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda label: put_on_grid(label, image), labels)) == {""}
    assert most == [1, 1, 1, 1]


def test_a_label_elsewhere_stays_as_it_is_and_the_client_is_told(tmp_path: Path) -> None:
    image = io.write(Volume(np.zeros(GRID.shape, np.float32), GRID), tmp_path / "image.nii")
    shift = np.eye(4)
    shift[0, 3] = 0.5
    turn = np.array([[0.8, -0.6, 0, 0], [0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    for affine in (shift @ GRID.affine, turn @ GRID.affine):
        label = io.write(Volume(LABELS, Geometry(GRID.shape, affine)), tmp_path / "label.nrrd")
        before = label.read_bytes()
        note = put_on_grid(label, image)
        assert all(word in note for word in ("Expected: 4x5x6", "Got: 4x5x6", "leave it out", "Resample"))
        assert label.read_bytes() == before
    assert axis_order(Geometry((5, 4, 6), GRID.affine), GRID) is None


def test_a_label_that_cannot_be_read_is_left_to_the_store(tmp_path: Path) -> None:
    image = io.write(Volume(np.zeros(GRID.shape, np.float32), GRID), tmp_path / "image.nii")
    (tmp_path / "label.nii").write_bytes(b"no volume")
    assert "not known" in put_on_grid(tmp_path / "label.nii", image)


@pytest.mark.parametrize(("name", "kind"), [("suggest", "segmentation"), ("mr-denoise", "others")])
def test_stock_clients_learn_the_labels_of_models_that_suggest(
    tmp_path: Path, toy_registry: Registry, name: str, kind: str
) -> None:
    card = toy_suggest(tmp_path) if name == "suggest" else toy_registry.card(name)
    information = ModelTask(card, Path, lambda: pytest.fail("nothing runs")).info()
    named = {label.name: label.value for port in card.outputs for label in port.labels}
    assert information["type"] == kind
    assert information["labels"] == named
    assert bool(named) == (kind == "segmentation")
