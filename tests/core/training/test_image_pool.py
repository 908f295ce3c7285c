from __future__ import annotations

import torch

from medgan_core.training.image_pool import ImagePool


def numbered(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2)


def shown(pool: ImagePool, images: torch.Tensor, *chance: tuple[float, float]) -> list[float]:
    found: list[float] = pool(images, torch.tensor(chance))[:, 0, 0, 0].tolist()
    return found


def test_new_images_are_shown_while_the_pool_fills() -> None:
    pool = ImagePool(3, (1, 2, 2))
    assert shown(pool, numbered(1, 2), (0.0, 0.0), (0.0, 0.0)) == [1, 2]
    assert int(pool.count) == 2


def test_a_full_pool_gives_an_old_image_for_a_new_one_half_of_the_time() -> None:
    pool = ImagePool(2, (1, 2, 2))
    shown(pool, numbered(1, 2), (0.0, 0.0), (0.0, 0.0))
    assert shown(pool, numbered(3, 4), (0.6, 0.0), (0.4, 0.9)) == [3, 2]
    assert pool.kept[:, 0, 0, 0].tolist() == [1, 4]
    assert int(pool.count) == 2


def test_every_image_is_shown_or_kept_once() -> None:
    pool, generator = ImagePool(5, (1, 2, 2)), torch.Generator().manual_seed(0)
    out: list[float] = []
    for first in range(1, 41, 4):
        out += pool(numbered(*range(first, first + 4)), torch.rand(4, 2, generator=generator))[
            :, 0, 0, 0
        ].tolist()
    out = out[5:] + pool.kept[:, 0, 0, 0].tolist()  # those shown while it filled were kept as well
    assert sorted(out) == list(range(1, 41))


def test_no_gradient_comes_back_and_the_images_given_stay() -> None:
    pool = ImagePool(1, (1, 2, 2))
    images = numbered(1, 2).clone().requires_grad_(True)
    out = pool(images, torch.zeros(2, 2))
    assert not out.requires_grad
    assert images[:, 0, 0, 0].tolist() == [1, 2]
    assert torch.equal(ImagePool(0, (1, 2, 2))(images, torch.zeros(2, 2)), images)


def test_the_images_are_part_of_the_state() -> None:
    pool, other = ImagePool(2, (1, 2, 2)), ImagePool(2, (1, 2, 2))
    shown(pool, numbered(5), (0.0, 0.0))
    other.load_state_dict(pool.state_dict())
    assert shown(other, numbered(6, 7), (0.0, 0.0), (0.0, 0.0)) == [6, 5]
