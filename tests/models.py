"""Small real models with random weights, saved as published ones, for tests that need any model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from medgan_core import registry
from medgan_core.card import ModelCard, Training
from medgan_core.training.recipes.denoise import Denoise
from medgan_core.training.recipes.translate import Translate

TRAINING = Training(command="none", recipe="toy", updates=0, minutes=0.0, device="CPU", seed=0)


def toy_translate(folder: Path, *, name: str = "brain-mr-translate") -> ModelCard:
    """A tiny translation network under ``folder/NAME``; no suitability gate."""
    return _save(folder, Translate(widths=(8, 16)), name)


def toy_denoise(folder: Path, *, name: str = "mr-denoise") -> ModelCard:
    """A tiny residual network under ``folder/NAME``: nearly the identity; no suitability gate."""
    return _save(folder, Denoise(widths=(8, 16)), name)


def _save(folder: Path, recipe: Translate | Denoise, name: str) -> ModelCard:
    torch.manual_seed(0)
    card = recipe.card(TRAINING)
    card = replace(card, name=name, domain=replace(card.domain, gate=""))
    return registry.save(folder / name, card, recipe.network())
