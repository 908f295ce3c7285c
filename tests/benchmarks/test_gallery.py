from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks import examples, gallery
from benchmarks.examples import Example
from medgan_core.engine import RunOptions, Session
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
