from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from medgan_core import registry
from medgan_core.card import Label
from medgan_core.engine import RunOptions, Session, run
from medgan_core.networks.slab_segmenter import SlabSegmenter
from medgan_core.registry import Registry
from medgan_core.volume import Geometry, Volume
from tests.models import toy_suggest

NAME = "hippocampus-suggest"
EXACT = {"backend": "torch", "precision": "fp32"}
LABELS = (
    Label(value=10, name="Left part", colour="#aa0000"),
    Label(value=49, name="Right part", colour="#aa0000"),
    Label(value=16, name="Middle", colour="#00aa00"),
)
_SLOPES = (0.0, 60.0, 120.0)
_BIASES = (0.0, -15.0, -60.0)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A model of two classes: what is brighter than 0.25 lies on both sides, above 0.75 in the middle."""
    folder = tmp_path_factory.mktemp("sides")
    card = toy_suggest(folder)
    network = SlabSegmenter(contrasts=1, classes=3, slices=1, widths=(8,))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for pixel in range(4):
            network.stem.weight[pixel, pixel, 1, 1] = 1.0
            for number in range(3):
                network.head.weight[4 * number + pixel, pixel, 1, 1] = _SLOPES[number]
                network.head.bias[4 * number + pixel] = _BIASES[number]
    card = replace(
        card,
        outputs=(replace(card.outputs[0], labels=LABELS), card.outputs[1]),
        architecture=replace(
            card.architecture, options={"contrasts": 1, "classes": 3, "slices": 1, "widths": [8]}
        ),
        sides=((10, 49),),
        volume_calibration=(1.0, 1.0, 1.0),
    )
    registry.save(folder / NAME, card, network)
    return Session("cpu", registry=Registry([folder]))


def head(affine: NDArray[np.float64], shape: tuple[int, ...]) -> tuple[Volume, NDArray[np.int_]]:
    """Two balls beside a bright middle, the left one smaller, and their labels by the patient's own left."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    right, front, up = np.moveaxis(index @ affine[:3, :3].T + affine[:3, 3], -1, 0)
    plane = right - 0.1 * front
    labels = np.zeros(shape, dtype=int)
    labels[(plane + 10) ** 2 + front**2 + up**2 < 9**2] = 10
    labels[(plane - 10) ** 2 + front**2 + up**2 < 10**2] = 49
    labels[plane**2 + (front - 6) ** 2 + up**2 < 6**2] = 16
    data = np.select([labels == 16, labels > 0], [1000.0, 500.0], 40.0).astype(np.float32)
    return Volume(data, Geometry(tuple(shape), affine)), labels


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, 1)])
def test_left_is_the_patients_left_on_every_grid(
    session: Session, order: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[list(order)] * np.array(signs)
    size = np.array([51, 47, 39])
    affine[:3, 3] = -affine[:3, :3] @ ((size - 1) / 2)
    volume, labels = head(affine, tuple(size))
    outcome = run(session, NAME, {"image": volume}, RunOptions(settings=EXACT))
    found = outcome.volumes["segmentation"].data[0]
    assert (found == labels)[labels > 0].mean() > 0.99
    rows = {row.name: row for row in outcome.report.rows}
    assert rows["Left and right agree"].verdict == "pass"
    assert float(rows["Volume: Left part"].value) < float(rows["Volume: Right part"].value)


def test_a_head_without_sides_is_told_with_caution(session: Session) -> None:
    affine = np.eye(4)
    affine[:3, 3] = (-25.0, -23.0, -19.0)
    volume, labels = head(affine, (51, 47, 39))
    middle = volume.with_data(np.where(labels == 16, volume.data[0], np.float32(40.0)))
    outcome = run(session, NAME, {"image": middle}, RunOptions(settings=EXACT))
    assert set(np.unique(outcome.volumes["segmentation"].data)) == {0, 16}
    rows = outcome.report.rows
    assert next(row for row in rows if row.name == "Left and right agree").verdict == "caution"
