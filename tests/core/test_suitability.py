from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medgan_core.card import Domain, Label, Port
from medgan_core.errors import InputError
from medgan_core.registry import SHIPPED, Registry
from medgan_core.suitability import (
    GATE_CLASSES,
    GATE_GRID,
    check_label_map,
    check_labels,
    check_voxels,
    coarse,
    gate_rows,
    geometry_rows,
)
from medgan_core.volume import Geometry, Volume

DOMAIN = Domain(anatomy="head", modality="MR", spacing_mm=(0.5, 6.0), extent_mm=(80.0, 300.0))


class Says(nn.Module):
    """Answers every volume with the same logits."""

    def __init__(self, **logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor([logits.get(name, 0.0) for name in GATE_CLASSES])

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.expand(len(x), -1)


def _cube(spacing: tuple[float, float, float] = (2.0, 2.0, 2.0)) -> Volume:
    data = np.zeros((60, 60, 60), dtype=np.float32)
    data[10:50, 15:45, 20:40] = 100.0
    data[10:20, 15:25, 20:30] = 300.0
    return Volume(data, Geometry(data.shape, np.diag([*spacing, 1.0])))


@pytest.mark.parametrize(
    ("spacing", "verdict"), [((2.0, 2.0, 2.0), "pass"), ((2, 2, 7.0), "caution"), ((0.1, 0.1, 0.1), "fail")]
)
def test_voxel_size_is_held_against_the_card(spacing: tuple[float, float, float], verdict: str) -> None:
    assert geometry_rows(DOMAIN, "T1", _cube(spacing))[0].verdict == verdict


def test_anatomy_is_refused_only_by_a_strict_card() -> None:
    volumes = {"T1": _cube()}
    assert gate_rows(DOMAIN, volumes, Says(brain=-9.0))[0].verdict == "fail"
    assert gate_rows(replace(DOMAIN, strict=False), volumes, Says(brain=-9.0))[0].verdict == "caution"
    assert gate_rows(DOMAIN, volumes, Says(brain=9.0))[0].verdict == "pass"


def test_another_contrast_than_declared_is_refused_and_a_look_alike_is_not() -> None:
    looks_like_t1post = Says(brain=9.0, T1post=9.0)
    assert gate_rows(DOMAIN, {"T1": _cube()}, looks_like_t1post)[1].verdict == "pass"
    row = gate_rows(DOMAIN, {"FLAIR": _cube()}, looks_like_t1post)[1]
    assert row.verdict == "fail"
    assert "T1post" in row.name


def test_a_key_without_contrast_is_judged_on_anatomy_alone() -> None:
    assert len(gate_rows(DOMAIN, {"image": _cube()}, Says(brain=9.0))) == 1


def test_the_gate_sees_the_same_whatever_the_orientation_of_the_file() -> None:
    volume = _cube((2.0, 2.5, 3.0))
    turned = np.flip(volume.data[0].transpose(2, 0, 1), (0, 2))
    affine = np.zeros((4, 4))
    affine[2, 0], affine[0, 1], affine[1, 2], affine[3, 3] = -3.0, 2.0, -2.5, 1.0
    other = Volume(turned, Geometry(turned.shape, affine))
    assert coarse(volume).shape == GATE_GRID
    np.testing.assert_allclose(coarse(volume), coarse(other), atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_no_contrast_at_all_is_refused(value: float) -> None:
    flat = Volume(np.full((9, 9, 9), value, dtype=np.float32), Geometry((9, 9, 9), np.eye(4)))
    with pytest.raises(InputError, match="constant"):
        check_voxels("T1", flat)


def test_the_shipped_gate_refuses_noise_and_simple_bodies() -> None:
    gate = Registry([SHIPPED]).load("brain-mr-gate").network
    rng = np.random.default_rng(0)
    geometry = Geometry((80, 90, 80), np.diag([2.4, 2.4, 2.4, 1.0]))
    noise = Volume(rng.rayleigh(100, geometry.shape).astype(np.float32), geometry)
    air = noise.data[0] / 20
    box = Volume(np.pad(np.full((40, 50, 40), 900.0, np.float32), 20) + air, geometry)
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in geometry.shape), indexing="ij")
    radius = np.sqrt(sum(a**2 for a in axes))
    ball = Volume(900 * (radius < 0.7).astype(np.float32) + air, geometry)
    shells = Volume((900 * (radius < 0.7) - 500 * (radius < 0.6)).astype(np.float32) + air, geometry)
    for volume in (noise, box, ball, shells):
        assert gate_rows(DOMAIN, {"image": volume}, gate)[0].verdict == "fail"


def test_labels_the_card_does_not_name_are_refused_and_a_mask_may_have_any() -> None:
    brain = Label(value=2, name="White matter", colour="#ffffff")
    data = np.zeros((4, 4, 4), dtype=np.int16)
    data[1, 1, 1], data[2, 2, 2] = 2, 77
    volume = Volume(data, Geometry(data.shape, np.eye(4)))
    check_labels(Port(key="mask", title="Mask", kind="labels"), volume)
    named = Port(key="labels", title="Labels", kind="labels", labels=(brain,))
    with pytest.raises(InputError, match="2 White matter") as refused:
        check_labels(named, volume)
    assert refused.value.got == "77"
    check_labels(named, volume.with_data(np.minimum(data, 2)))


def _map(values: object) -> Volume:
    data = np.asarray(values)
    return Volume(data, Geometry(data.shape[-3:], np.eye(4)))


@pytest.mark.parametrize(
    "data",
    [
        np.full((3, 3, 3), 2, np.int16),
        np.eye(3)[None] * 7.0,
        np.ones((2, 2, 2), bool),
        np.full((2, 2, 2), 40000, np.uint16),
    ],
    ids=["without background", "whole numbers as floats", "mask", "large"],
)
def test_a_label_map_needs_no_background(data: np.ndarray) -> None:
    check_label_map("labels", _map(data))


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (0.37 * np.arange(8.0).reshape(2, 2, 2), "the value 0.37"),
        (np.array([[[0.0, np.nan]]]), "the value nan"),
        (np.array([[[0.0, np.inf]]]), "the value inf"),
        (np.array([[[0, -3]]]), "the value -3"),
        (np.ones((2, 2, 2, 2), np.int16), "2 channels"),
    ],
    ids=["shares", "nan", "infinite", "negative", "channels"],
)
def test_what_is_no_label_map_is_refused_in_whole_sentences(data: np.ndarray, got: str) -> None:
    with pytest.raises(InputError, match="is not a label map") as refused:
        check_label_map("labels", _map(data))
    assert refused.value.got == got


def test_an_empty_label_map_is_refused() -> None:
    with pytest.raises(InputError, match=r"marks nothing on the grid of T1\. Expected: at least one voxel"):
        check_label_map("labels", _map(np.zeros((2, 2, 2))), grid_of="T1")


def test_a_label_map_may_have_nothing_around_its_labels_but_not_labels_beyond_the_field_of_view() -> None:
    grid = Geometry((200, 60, 60), np.diag([2.0, 2.0, 2.0, 1.0]))
    small, large = np.zeros((2, *grid.shape), np.uint8)
    small[90:100, 20:40, 20:40] = 1
    large[:, 20:40, 20:40] = 1
    domain = replace(DOMAIN, extent_mm=(60.0, 150.0))
    found = [geometry_rows(domain, "labels", Volume(x, grid), labels=True)[1] for x in (small, large)]
    assert [row.value for row in found] == ["60 x 60 x 60", "400 x 60 x 60"]
    assert [row.verdict for row in found] == ["pass", "fail"]
    assert geometry_rows(domain, "labels", Volume(small, grid))[1].verdict == "fail"
