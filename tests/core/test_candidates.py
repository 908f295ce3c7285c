"""What a suggesting model says of images without a label."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medgan_core import candidates
from medgan_core.engine import Session
from medgan_core.errors import UnsuitableError, UsageError
from medgan_core.registry import CARD, SHIPPED, Registry
from medgan_core.volume import Geometry, Volume
from tests.models import toy_denoise, toy_structures, toy_suggest


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A suggesting network whose random weights are large enough to decide something."""
    folder = tmp_path_factory.mktemp("models")
    toy_suggest(folder)
    toy_denoise(folder)
    session = Session("cpu", registry=Registry([folder]))
    generator = torch.Generator().manual_seed(0)
    for parameter in session.model("hippocampus-suggest").network.parameters():
        parameter.data = 0.2 * torch.randn(parameter.shape, generator=generator)
    return session


def crop(spacing: tuple[float, float, float] = (1.0, 1.0, 1.0), seed: int = 0, side: float = 36.0) -> Volume:
    """Noise over a bright half, `side` mm along each axis."""
    shape = tuple(round(side / one) for one in spacing)
    data = 300 + 100 * np.random.default_rng(seed).normal(size=shape)
    data[: shape[0] // 2] += 400
    return Volume(np.maximum(data, 0).astype(np.float32), Geometry(shape, np.diag([*spacing, 1.0])))


def test_views_that_disagree_score_and_the_same_image_always_the_same(session: Session) -> None:
    one, again = (candidates.look(session, "hippocampus-suggest", crop()) for _ in range(2))
    assert one == again
    assert 0 < one.score < 10
    assert len(one.features) == 8
    other = candidates.look(session, "hippocampus-suggest", crop(seed=1))
    assert other.features != one.features


def test_a_network_that_is_sure_has_nothing_to_learn(session: Session) -> None:
    sure = Session("cpu", registry=session.registry)
    head = sure.model("hippocampus-suggest").network.head
    assert isinstance(head, torch.nn.Conv2d)
    assert head.bias is not None
    head.weight.data.zero_()
    head.bias.data = torch.tensor([3.0, 0.0, 1.0]).repeat_interleave(4)
    found = candidates.look(sure, "hippocampus-suggest", crop())
    assert found.score == pytest.approx(0.0, abs=1e-5)


def test_thinning_keeps_the_score(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = candidates.look(session, "hippocampus-suggest", crop()).score
    monkeypatch.setattr(candidates, "_MOST_VALUES", 20_000)
    assert candidates.look(session, "hippocampus-suggest", crop()).score == pytest.approx(whole, rel=0.1)


def test_what_cannot_be_asked_is_refused(session: Session) -> None:
    with pytest.raises(UsageError, match="which image to label next"):
        candidates.look(session, "mr-denoise", crop())
    with pytest.raises(UnsuitableError):
        candidates.look(session, "hippocampus-suggest", crop((3.0, 3.0, 3.0)))


def test_another_anatomy_is_refused_as_for_a_run(tmp_path: Path) -> None:
    card = toy_structures(tmp_path)
    gated = replace(card, domain=replace(card.domain, gate="brain-mr-gate"))
    gated.save(tmp_path / card.name / CARD)
    session = Session("cpu", registry=Registry([SHIPPED, tmp_path]))
    with pytest.raises(UnsuitableError, match="looks like a head or brain"):
        candidates.look(session, card.name, crop((2.0, 2.0, 2.0), side=120))
