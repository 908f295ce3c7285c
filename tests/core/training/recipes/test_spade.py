from __future__ import annotations

import torch

from medgan_core.training.recipes.generation import to_signed
from medgan_core.training.recipes.pictures import one_hot
from medgan_core.training.recipes.shapes import SHAPES, shapes_loss
from medgan_core.training.recipes.spade import ENCODER, LABELS, Spade, painted
from medgan_core.training.recipes.stabilised import DISCRIMINATOR, GENERATOR
from tests.core.training.recipes.subjects import moment, untrained

RECIPE = Spade(style=4, widths=(8, 8, 8), judge_widths=(8, 8))


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {
        "image": torch.rand(2, 1, *RECIPE.size, generator=generator),
        "label": torch.randint(LABELS, (2, 1, *RECIPE.size), generator=generator),
    }


def test_the_map_and_the_style_change_the_image() -> None:
    networks, label = untrained(RECIPE), batch()["label"]
    with torch.no_grad():
        a = RECIPE.draw(networks, label, torch.zeros(2, 4))
        b = RECIPE.draw(networks, (label + 1) % LABELS, torch.zeros(2, 4))
        c = RECIPE.draw(networks, label, torch.ones(2, 4))
    assert float((a - b).abs().max()) > 1e-3
    assert float((a - c).abs().max()) > 1e-3


def test_a_change_of_the_map_changes_the_image_most_where_it_is() -> None:
    networks = untrained(RECIPE)
    label = torch.zeros(1, 1, *RECIPE.size, dtype=torch.int64)
    other = label.clone()
    other[..., 4:9, 4:9] = 1
    with torch.no_grad():
        change = (
            RECIPE.draw(networks, label, torch.zeros(1, 4)) - RECIPE.draw(networks, other, torch.zeros(1, 4))
        ).abs()
    near = change[..., 4:9, 4:9].mean()
    far = change[..., 30:, 20:].mean()
    assert float(near) > 5 * float(far)


def test_each_player_moves_its_own_networks_alone() -> None:
    networks = untrained(RECIPE)
    for player in RECIPE.players():
        with networks.moving(*player.networks):
            RECIPE.loss(player.name, networks, batch(), moment())[0].backward()  # type: ignore[no-untyped-call]
        for name, module in networks.modules.items():
            reached = any(p.grad is not None and bool(p.grad.any()) for p in module.parameters())
            assert reached == (name in player.networks), (player.name, name)
            module.zero_grad()
    assert {n for p in RECIPE.players() for n in p.networks} == set(networks)


def test_the_style_comes_from_the_image_where_there_is_an_encoder() -> None:
    networks, real = untrained(RECIPE), to_signed(batch()["image"])
    with torch.no_grad():
        style, cost = RECIPE.styled(networks, real, moment())
        mean, log_variance = networks[ENCODER](real)
        noise = moment().normal(2, 4)
    torch.testing.assert_close(style, mean + torch.exp(0.5 * log_variance) * noise)
    assert float(cost) > 0
    free = Spade(style=4, widths=(8, 8), encode=False)
    style, cost = free.styled(untrained(free), real, moment())
    torch.testing.assert_close(style, noise)
    assert float(cost) == 0
    assert set(free.networks()) == {GENERATOR, DISCRIMINATOR, SHAPES}


def test_a_painted_map_has_the_means_of_the_image() -> None:
    label = batch()["label"]
    image = torch.tensor([0.1, 0.5, 0.9])[label]
    torch.testing.assert_close(painted(image, label), image)
    noisy = painted(image + 0.05 * torch.randn(image.shape), label)
    assert all(len(noisy[0][label[0] == n].unique()) == 1 for n in range(LABELS))


def test_the_network_of_maps_learns_the_one_there_is() -> None:
    recipe = Spade(widths=(16, 16, 16, 16))
    networks = untrained(recipe)
    label = torch.zeros(2, 1, *recipe.size, dtype=torch.int64)
    label[..., 10:30, 8:20] = 1
    optimiser = torch.optim.Adam(networks.exact(SHAPES).parameters(), lr=1e-2)
    losses = []
    for step in range(25):
        loss, _ = shapes_loss(networks, label, moment(step), classes=LABELS)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]
    with torch.no_grad():
        logits, _, _ = networks[SHAPES](one_hot(label, LABELS))
    assert float((logits.argmax(1) == label[:, 0]).float().mean()) > 0.98
