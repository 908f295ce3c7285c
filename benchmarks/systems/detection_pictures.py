"""Pictures of what networks find unusual, on a simulated head with painted spots."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.systems import heads
from benchmarks.systems.section import Picture, image_rows, upright
from medgan_core.data.lesions import LesionPatches
from medgan_core.data.stacks import FOREGROUND
from medgan_core.networks.slab_unet import SlabUNet
from medgan_core.training.finished import Finished
from medgan_core.training.loading import collate
from medgan_core.training.recipes import patches as real
from medgan_core.training.recipes.dae import DAE, WHITE
from medgan_core.training.recipes.f_anogan import FAnoGAN
from medgan_core.training.recipes.generation import from_signed, to_signed

_SHOWN = 8
_GAIN = 4.0
_SLICES, _APART = 4, 6


def slices(run: Finished, data: Path) -> Picture:
    """Slices of a simulated head with painted spots, what the denoiser makes of them, and its map."""
    recipe = cast("DAE", run.recipe)
    head = heads.simulated(data, [recipe.contrast], pixel_mm=real.PIXEL_MM, lesions=True)
    assert head.share is not None
    most = torch.argsort(head.share.sum((1, 2)), descending=True)[: _SLICES * _APART : _APART]
    images, marked = head.images[0, most][:, None].float(), head.share[most].float()
    multiple = cast("SlabUNet", run.networks.exact("model")).multiple
    padded = functional.pad(images, (0, -images.shape[3] % multiple, 0, -images.shape[2] % multiple))
    with torch.no_grad():
        restored = recipe.restored(run.networks, padded.to(run.device)).float().cpu()
    away = recipe.map(padded, restored) * (padded > FOREGROUND) / WHITE
    shown: list[tuple[str, Tensor]] = [
        ("simulated", images[:, 0]),
        ("restored", restored[:, 0]),
        ("map", away[:, 0]),
        ("painted", marked),
    ]
    caption = (
        "Slices of a simulated head with painted spots, what the denoising autoencoder makes of them, its "
        f"map (white: {WHITE:g} times the expected difference or more), and where the spots are."
    )
    size = images.shape[2:]
    return image_rows("restored", caption, [(label, heads.framed(x, size)) for label, x in shown])


def patches(run: Finished, data: Path) -> Picture:
    """Generated patches, and what the generator makes of patches of a simulated head with painted spots."""
    recipe = cast("FAnoGAN", run.recipe)
    head = heads.simulated(data, [recipe.contrast], pixel_mm=real.PIXEL_MM, lesions=True)
    h, w, thick = real.patch_size(3)
    depth = thick if recipe.spatial_dims == 3 else 1
    samples = real.Patches(LesionPatches([head], size=(h, w), depth=depth, validation=True))
    given = collate([samples[n] for n in range(_SHOWN)])["image"].clamp(0, 1)
    with torch.no_grad():
        again = from_signed(recipe.again(run.networks, to_signed(given.to(run.device)))).cpu()
    drawn = run.draw(_SHOWN)["image"]
    rows: list[tuple[str, Tensor]] = [
        ("generated", drawn),
        ("simulated", given),
        ("made of it", again),
        (f"{_GAIN:.0f} x difference", _GAIN * (again - given).abs()),
    ]
    caption = (
        "Patches that f-AnoGAN generates; patches of a simulated head, every second one with painted spots, "
        "what the generator makes of them, and the difference."
    )
    return image_rows("detection", caption, [(label, upright(images, _SHOWN)) for label, images in rows])
