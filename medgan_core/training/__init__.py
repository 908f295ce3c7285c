"""Training and evaluation: recipes by name and the two verbs of the command line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from medgan_core.errors import ResourceError, UsageError
from medgan_core.monitor import Progress
from medgan_core.training import loop
from medgan_core.training.recipe import Recipe, configure
from medgan_core.training.recipes.ae import AE
from medgan_core.training.recipes.beta_vae import BetaVAE
from medgan_core.training.recipes.brain_suggest import BrainSuggest
from medgan_core.training.recipes.brain_synthesize import BrainSynthesize
from medgan_core.training.recipes.classifier import Classifier
from medgan_core.training.recipes.cyclegan import CycleGAN
from medgan_core.training.recipes.dae import DAE
from medgan_core.training.recipes.dcgan import DCGAN
from medgan_core.training.recipes.denoise import Denoise
from medgan_core.training.recipes.f_anogan import FAnoGAN
from medgan_core.training.recipes.flow import Flow
from medgan_core.training.recipes.gan import GAN
from medgan_core.training.recipes.gate import Gate
from medgan_core.training.recipes.gedgan import GEDGAN
from medgan_core.training.recipes.hippocampus_suggest import HippocampusSuggest
from medgan_core.training.recipes.hippocampus_synthesize import HippocampusSynthesize
from medgan_core.training.recipes.inpaint import Inpaint
from medgan_core.training.recipes.lesion_suggest import LesionSuggest
from medgan_core.training.recipes.pix2pix import Pix2pix
from medgan_core.training.recipes.progressive import Progressive
from medgan_core.training.recipes.segmentation import Segmentation
from medgan_core.training.recipes.sngan import SNGAN
from medgan_core.training.recipes.spade import Spade
from medgan_core.training.recipes.srgan import SRGAN
from medgan_core.training.recipes.translate import Translate
from medgan_core.training.recipes.wgan import WGAN
from medgan_core.training.recipes.wgan_gp import WGANGP

_ALL: tuple[type[Recipe], ...] = (
    Translate,
    Denoise,
    Gate,
    GAN,
    DCGAN,
    WGAN,
    WGANGP,
    SNGAN,
    Progressive,
    GEDGAN,
    Pix2pix,
    CycleGAN,
    SRGAN,
    Inpaint,
    AE,
    BetaVAE,
    Flow,
    Spade,
    HippocampusSynthesize,
    BrainSynthesize,
    HippocampusSuggest,
    BrainSuggest,
    LesionSuggest,
    FAnoGAN,
    DAE,
    Classifier,
    Segmentation,
)
RECIPES: dict[str, type[Recipe]] = {cls.name: cls for cls in _ALL}


def train(
    recipe: str,
    *,
    data: Path,
    out: Path,
    settings: Mapping[str, str] | None = None,
    resume: bool = False,
    dry_run: bool = False,
    max_minutes: float | None = None,
    preset: str = "auto",
    workers: int = 1,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> str:
    """Train a recipe; see `loop.train`.

    Args:
        recipe: its name in `RECIPES`.
        data: folder with manifest.csv.
        out: run folder.
        settings: recipe settings as text.
        resume: go on with the run in the folder.
        dry_run: only return the resolved recipe.
        max_minutes: stop, resumable, after so long.
        preset: ``cpu`` (a size two cores can train), ``gpu`` (a larger one, on CUDA), or ``auto``: by what is
            there. Settings given by hand win.
        workers: processes that prepare samples beside the training; 0 prepares them in between.
        progress: called at every update.
        cancel: polled at every update.

    Returns:
        The resolved recipe as JSON (dry run), or one sentence that says where the run stands.

    Raises:
        UsageError: on an unknown recipe, preset or setting.
        ResourceError: when the preset ``gpu`` is asked for and there is no CUDA device.
    """
    if recipe not in RECIPES:
        raise UsageError(
            f"There is no recipe called {recipe!r}",
            expected="one of " + ", ".join(RECIPES),
            got=recipe,
            action="choose a recipe from the list",
        )
    if preset not in ("auto", "cpu", "gpu"):
        raise UsageError("There is no such preset", expected="auto, cpu or gpu", got=preset)
    cuda = torch.cuda.is_available()
    large = preset == "gpu" or (preset == "auto" and cuda)
    cls = RECIPES[recipe]
    settings = dict(settings or {})
    resolved = configure(cls, {**cls.gpu, **settings} if large else settings)
    if dry_run:
        return json.dumps({"recipe": recipe, **dataclasses.asdict(resolved)}, indent=2)
    if large and not cuda:
        raise ResourceError(
            "There is no CUDA device to train on",
            expected="a GPU that torch can use",
            got="none",
            action="use --preset cpu",
        )
    chosen = "".join(f" --set {k}={v}" for k, v in settings.items())
    command = (
        f"medgan train {recipe} --data DATA --out {out.name} --preset {'gpu' if large else 'cpu'}{chosen}"
    )
    finished = loop.train(
        resolved,
        data=data,
        out=out,
        command=command,
        device="cuda" if large else "cpu",
        resume=resume,
        max_minutes=max_minutes,
        workers=workers,
        progress=progress,
        cancel=cancel,
    )
    served = out / "models" / recipe
    if finished and served.is_dir():
        return f"finished: the model is in {served}"
    if finished:
        return f"finished: the networks are in {out / 'networks'}; for a first look: medgan compare {out}"
    return "stopped before the end: go on with --resume"
