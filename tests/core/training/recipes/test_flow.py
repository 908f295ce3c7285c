from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from medgan_core.data.lesions import KINDS
from medgan_core.training.recipes.flow import MODEL, Flow
from medgan_core.training.recipes.generation import to_signed
from tests.core.training.recipes.subjects import moment, untrained

BY_CLASS = Flow(subject="patch", fold=0, condition="class", widths=(8, 8), steps=2)
BY_MAP = Flow(condition="map", widths=(8, 8), steps=2)


def awake(recipe: Flow) -> object:
    """Networks whose last layer is not zero, as it is at the start."""
    networks = untrained(recipe)
    head = networks.exact(MODEL).head
    torch.nn.init.normal_(head.weight, std=0.1)  # type: ignore[union-attr, arg-type]
    return networks


def test_the_loss_is_that_of_the_straight_way() -> None:
    recipe = Flow(widths=(8, 8), times="uniform")
    networks = awake(recipe)
    batch = {"image": torch.rand(2, 1, *recipe.size)}
    with torch.no_grad():
        loss, _ = recipe.loss(MODEL, networks, batch, moment())  # type: ignore[arg-type]
        random = moment()
        image = to_signed(batch["image"])
        noise, t = random.normal(*image.shape), random.uniform(2)
        along = t[:, None, None, None]
        answer = networks[MODEL](along * image + (1 - along) * noise, t)  # type: ignore[index]
    torch.testing.assert_close(loss, (answer - (image - noise)).square().mean())


@pytest.mark.parametrize("kind", ["class", "map"])
def test_the_condition_changes_the_image(kind: str) -> None:
    recipe = BY_CLASS if kind == "class" else BY_MAP
    networks, noise = awake(recipe), torch.randn(1, 1, *recipe.size)
    if kind == "class":
        given = [{"labels": torch.tensor([n])} for n in range(len(KINDS))]
    else:
        maps = [torch.zeros(1, 1, *recipe.size, dtype=torch.int64) + n for n in (0, 2)]
        given = [recipe.given({"label": m}, torch.tensor([False])) for m in maps]
    a, b = (recipe.draw(networks, noise, g) for g in given)  # type: ignore[arg-type]
    assert float((a - b).abs().max()) > 1e-3


def test_hidden_conditions_are_what_the_unconditional_network_sees() -> None:
    networks = awake(BY_MAP)
    label = torch.randint(3, (2, 1, *BY_MAP.size))
    given = BY_MAP.given({"label": label}, torch.tensor([True, False]))
    x, t = torch.randn(2, 1, *BY_MAP.size), torch.tensor([0.3, 0.3])
    with torch.no_grad():
        told, untold = networks[MODEL](x, t, **given), networks[MODEL](x, t)  # type: ignore[index]
    torch.testing.assert_close(told[:1], untold[:1])
    assert float((told[1] - untold[1]).abs().max()) > 1e-4
    hidden = BY_CLASS.given({"lesion": torch.tensor([1, 1])}, torch.tensor([True, False]))
    assert hidden["labels"].tolist() == [len(KINDS), 1]


def test_guidance_of_one_follows_the_condition_and_of_nought_ignores_it() -> None:
    networks, noise = awake(BY_CLASS), torch.randn(2, 1, *BY_CLASS.size)
    given = {"labels": torch.tensor([0, 1])}
    followed, ignored, stressed = (
        replace(BY_CLASS, guidance=g).draw(networks, noise, given)  # type: ignore[arg-type]
        for g in (1.0, 0.0, 3.0)
    )
    free = BY_CLASS.draw(networks, noise, {})  # type: ignore[arg-type]
    torch.testing.assert_close(ignored, free)
    assert float((followed - free).abs().max()) > 0
    assert float((stressed - free).abs().sum()) > float((followed - free).abs().sum())
