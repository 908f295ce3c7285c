from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks import examples, gallery
from benchmarks.examples import Example
from medgan_core.engine import RunOptions, Session
from medgan_core.request import check_count, check_inputs, choose_target
from medgan_core.volume import Geometry, Volume

GEOMETRY = Geometry((12, 16, 8), np.diag([1.0, 1.0, 2.0, 1.0]))


def ramp() -> Volume:
    rng = np.random.default_rng(0)
    return Volume(rng.random((1, 12, 16, 8), dtype=np.float32) + 0.5, GEOMETRY)


def test_the_page_shows_every_model_with_its_figures_and_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session("cpu")
    names = session.registry.names()
    labels = ramp().with_data((ramp().data > 1).astype(np.uint8))
    varied = Example(
        inputs={"image": ramp(), "labels": labels}, options=RunOptions(count=2), said="a ramp of noise"
    )
    monkeypatch.setattr(gallery, "EXAMPLES", {"mr-variants": lambda data, session: varied})
    text = gallery.write(tmp_path, tmp_path / "out", session, names).read_text(encoding="utf-8")
    assert len(re.findall(r"^## ", text, flags=re.M)) == len(names)
    for name in names:
        card = session.registry.card(name)
        assert card.description in text
        assert all(limit in text for limit in card.limits)
        assert all(f"| {figure.name} |" in text for figure in card.figures)
    (picture,) = re.findall(r"\]\((pictures/\S+)\)", text)
    assert (tmp_path / "out" / picture).stat().st_size > 2000


def test_every_runnable_shipped_model_has_an_example() -> None:
    registry = Session("cpu").registry
    shown = {name for name in registry.names() if registry.card(name).runnable}
    assert shown <= set(examples.EXAMPLES)


def test_every_example_asks_for_what_its_model_can_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = ramp().with_data(np.full((1, 12, 16, 8), 2, dtype=np.int16))
    monkeypatch.setattr(examples, "template", ramp)
    monkeypatch.setattr(examples, "label_map", lambda data: maps)
    monkeypatch.setattr(examples, "head", lambda data: dict.fromkeys(("T1", "T2", "FLAIR"), ramp()))
    session = Session("cpu")
    for name, example in examples.EXAMPLES.items():
        asked, card = example(tmp_path, session), session.registry.card(name)
        assert asked is not None
        check_inputs(card, asked.inputs)
        choose_target(card, asked.options.target, asked.inputs)
        check_count(card, asked.options.count)


def test_a_tumour_lies_in_the_middle_of_its_oedema_and_nothing_else_changes() -> None:
    shape = (80, 80, 80)
    head = np.zeros((1, *shape), dtype=np.int16)
    head[0, 20:, :, :] = 2
    head[0, 20:, :10, :] = 3
    labels = Volume(head, Geometry(shape, np.diag([1.0, 1.0, 1.0, 1.0])))
    found = examples.with_tumour(labels).data
    assert set(np.unique(found)) == {0, 2, 3, 471, 472}
    assert (head[found == 471] == 2).all()
    middle = [np.argwhere(found[0] == value).mean(axis=0) for value in (471, 472)]
    np.testing.assert_allclose(*middle, atol=4.0)
    changed = (found == 471) | (found == 472)
    np.testing.assert_array_equal(found[~changed], head[~changed])


def test_thick_slices_stay_where_their_voxels_were() -> None:
    volume = ramp()
    found = examples.thick(volume, 4)
    np.testing.assert_allclose(found.data[..., 1], volume.data[..., 4:8].mean(-1), rtol=1e-6)
    assert found.geometry.spacing == pytest.approx((1, 1, 8))
    assert found.geometry.affine[2, 3] == pytest.approx(3.0)


def test_a_ball_is_a_mask_of_its_size() -> None:
    mask = examples.ball(ramp(), radius_mm=3.0).data
    assert set(np.unique(mask)) == {0, 1}
    assert mask.sum() * 2.0 == pytest.approx(4 / 3 * np.pi * 27, rel=0.25)
