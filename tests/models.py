"""Small real models with random weights, saved as published ones, for tests that need any model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from medgan_core import registry
from medgan_core.card import ModelCard, Training
from medgan_core.training.recipe import Recipe
from medgan_core.training.recipes.brain_suggest import BrainSuggest
from medgan_core.training.recipes.brain_synthesize import BrainSynthesize
from medgan_core.training.recipes.dae import DAE
from medgan_core.training.recipes.denoise import Denoise
from medgan_core.training.recipes.f_anogan import FAnoGAN
from medgan_core.training.recipes.hippocampus_suggest import HippocampusSuggest
from medgan_core.training.recipes.hippocampus_synthesize import HippocampusSynthesize
from medgan_core.training.recipes.inpaint import Inpaint
from medgan_core.training.recipes.lesion_suggest import LesionSuggest
from medgan_core.training.recipes.srgan import SRGAN
from medgan_core.training.recipes.translate import Translate

TRAINING = Training(command="none", recipe="toy", updates=0, minutes=0.0, device="CPU", seed=0)


def toy_translate(folder: Path, *, name: str = "brain-mr-translate") -> ModelCard:
    """A tiny translation network under ``folder/NAME``; no suitability gate."""
    return _save(folder, Translate(widths=(8, 16)), name)


def toy_denoise(folder: Path, *, name: str = "mr-denoise") -> ModelCard:
    """A tiny residual network under ``folder/NAME``: nearly the identity; no suitability gate."""
    return _save(folder, Denoise(widths=(8, 16)), name)


def toy_thin_slices(folder: Path, *, name: str = "mr-thin-slices") -> ModelCard:
    """A tiny network for twice as many slices under ``folder/NAME``; no suitability gate."""
    return _save(folder, SRGAN(widths=(8, 4), blocks=1, factor=2), name)


def toy_inpaint(folder: Path, *, name: str = "mr-inpaint") -> ModelCard:
    """A tiny inpainting network under ``folder/NAME``; no suitability gate."""
    return _save(folder, Inpaint(widths=(4, 8)), name)


def toy_anomaly(folder: Path, *, name: str = "flair-anomaly") -> ModelCard:
    """Tiny networks that look for anomalies of FLAIR under ``folder/NAME``; no suitability gate."""
    return _save(folder, FAnoGAN(latent=4, widths=(4, 4, 4)), name)


def toy_restorer(folder: Path, *, name: str = "flair-restored") -> ModelCard:
    """A tiny network that restores FLAIR under ``folder/NAME``; no suitability gate."""
    return _save(folder, DAE(widths=(4, 8)), name)


def toy_pairs(folder: Path, *, name: str = "hippocampus-synthesize") -> ModelCard:
    """Tiny networks that draw pairs of image and label map under ``folder/NAME``."""
    recipe = HippocampusSynthesize(
        style=4, shape=4, hidden=4, widths=(4, 4), style_widths=(4, 4), shape_widths=(4, 4)
    )
    return _save(folder, recipe, name)


def toy_suggest(folder: Path, *, name: str = "hippocampus-suggest") -> ModelCard:
    """A tiny network that suggests the parts of the hippocampus under ``folder/NAME``."""
    return _save(folder, HippocampusSuggest(widths=(8, 8)), name)


def toy_lesions(folder: Path, *, name: str = "lesion-suggest") -> ModelCard:
    """A tiny network that suggests lesions under ``folder/NAME``; it completes with brain-mr-translate."""
    return _save(folder, LesionSuggest(widths=(8, 8)), name)


def toy_structures(folder: Path, *, name: str = "brain-suggest") -> ModelCard:
    """A tiny network that suggests structures of the brain under ``folder/NAME``; no suitability gate."""
    return _save(folder, BrainSuggest(widths=(8, 8)), name)


def toy_brain(folder: Path, *, name: str = "brain-mr-synthesize") -> ModelCard:
    """A tiny network that paints label maps under ``folder/NAME``."""
    return _save(folder, BrainSynthesize(widths=(8, 16)), name)


def _save(folder: Path, recipe: Recipe, name: str) -> ModelCard:
    torch.manual_seed(0)
    card, model = recipe.card(TRAINING), recipe.model(recipe.networks())
    assert card is not None
    assert model is not None
    card = replace(card, name=name, domain=replace(card.domain, gate=""))
    return registry.save(folder / name, card, model)
