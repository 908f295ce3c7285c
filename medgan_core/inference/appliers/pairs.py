"""Synthesis of pairs: an image for a label map, in a style that is drawn or taken from an image."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from medgan_core import preprocess
from medgan_core.card import IMAGE, LABEL_MAP, REFERENCE, SEGMENTATION, Grid
from medgan_core.errors import InputError, ModelError
from medgan_core.inference.appliers.application import Answer, Application
from medgan_core.inference.views import Views
from medgan_core.inference.whole import layers_told
from medgan_core.networks.labelled_synthesizer import LabelledSynthesizer
from medgan_core.numbering import numbered
from medgan_core.report import Row
from medgan_core.resampling import resample
from medgan_core.volume import Geometry, Volume

_MARGIN_MM, _LARGEST_MM = 8.0, 128
_BIAS_MM = (1.0e-3, 1.3e-3, 1.7e-3)
"""Half way between two voxels the one towards lower R, A, S is taken, along whatever axes a map is stored."""


def synthesize(work: Application) -> Answer:
    """As many pairs of image and segmentation as asked for.

    A given label map is the segmentation of every pair, and the image lies on its grid, 0 where it was not
    computed; otherwise maps come from the shape model, on the card's grid. Sample n depends on the seed, on n
    and on the settings ``shape`` and ``style`` alone: standard deviations of the codes that are drawn, about
    the mean shape, and about the mean style or that of the reference.

    Raises:
        InputError: when the label map is too large.
        ModelError: when the card has no grid.
        CancelledError: when cancelled.
    """
    network, monitor = cast("LabelledSynthesizer", work.whole.network), work.monitor
    grid = _grid(work)
    labels, reference = (work.volumes.get(key) for key in (LABEL_MAP, REFERENCE))
    with monitor.stage("preprocess", 0.2), torch.no_grad():
        given = None if labels is None else _window(labels, grid, network.multiple)
        centre, spread = _style(network, reference, grid, work)
    made: dict[str, Volume] = {}
    with monitor.stage("network", 1.0), torch.no_grad():
        for number in range(work.count):
            with (
                monitor.share(number / work.count, (number + 1) / work.count),
                layers_told(network, monitor.step),
            ):
                pair = _pair(work, number, given, centre, spread)
            for key, volume in zip((IMAGE, SEGMENTATION), pair, strict=True):
                made[numbered(key, number, work.count)] = volume
    rows = [
        Row("Label map", "drawn from the shape model" if labels is None else "as given"),
        Row("Style", "drawn" if reference is None else "of the reference"),
    ]
    if labels is not None and given is not None:
        rows += _outside(labels.geometry, given.geometry)
    return Answer(volumes=made, views=Views(views=()), rows=tuple(rows))


def _pair(
    work: Application, number: int, given: Volume | None, centre: Tensor, spread: Tensor
) -> tuple[Volume, Volume]:
    """Image and segmentation of a sample."""
    network, device = cast("LabelledSynthesizer", work.whole.network), work.whole.torch_device
    shape, style = _codes(network, work, number)
    if given is None:
        maps = network.draw_maps(work.settings["shape"] * shape.to(device)).cpu()
        place = _from_nothing(_grid(work))
    else:
        maps = torch.from_numpy(given.data.astype(np.int64))
        place = given.geometry
    one_hot = functional.one_hot(maps, network.labels).movedim(-1, 1).float()
    code = centre + work.settings["style"] * spread * style.to(device)
    image = network(one_hot.to(device), code)[0].cpu().numpy()
    return _placed(image, maps.numpy().astype(np.uint8), place, work.volumes.get(LABEL_MAP))


def _outside(grid: Geometry, window: Geometry) -> list[Row]:
    """Of a grid that is larger than the window: how much of it was not computed."""
    ones = Volume(np.ones(window.shape, dtype=np.float32), window)
    share = float((_faded(ones, grid).data < 0.5).mean())
    if not share:
        return []
    name = "Beyond the computed field of view, where the image is 0"
    return [Row(name, round(100 * share, 1), "% of the voxels", "0", "caution")]


def _grid(work: Application) -> Grid:
    if work.card.grid is None:
        raise ModelError(
            f"The card of {work.card.name!r} does not say how large what it makes is",
            expected="a grid",
            got="none",
            action="publish the model again",
        )
    return work.card.grid


def _codes(network: LabelledSynthesizer, work: Application, number: int) -> tuple[Tensor, Tensor]:
    """Standard normal codes of the sample's shape and style, (1, length) each."""
    seed = int(np.random.SeedSequence((work.seed, number)).generate_state(1)[0])
    generator = torch.Generator().manual_seed(seed)
    shape, style = (torch.randn(1, *size, generator=generator) for size in (network.shape, network.style))
    return shape, style


def _style(
    network: LabelledSynthesizer, reference: Volume | None, grid: Grid, work: Application
) -> tuple[Tensor, Tensor]:
    """Centre and spread of the styles, (1, style) each: the reference's, or 0 and 1.

    Of the reference the middle is read, as large as the card's grid or what there is of it.
    """
    if reference is None:
        return torch.zeros(1, *network.style), torch.ones(1, *network.style)
    _, placement = preprocess.forward(work.card.preprocess, [reference])
    outer = np.abs(reference.geometry.affine[:3, :3]) @ np.array(reference.geometry.shape)
    fitting = np.maximum(np.floor(outer / np.array(grid.spacing_mm)), 1).astype(int)
    middle = reference.geometry.affine @ [*((np.array(reference.geometry.shape) - 1) / 2), 1.0]
    place = _around(middle[:3], np.minimum(fitting, grid.shape), grid)
    image = resample(reference, place).data / np.float32(placement.scales[0])
    shown = torch.from_numpy(np.nan_to_num(image)[None]).float()
    return network.appearance(shown.to(work.whole.torch_device))


def _window(labels: Volume, grid: Grid, multiple: int) -> Volume:
    """The label map with the card's voxels, along R, A, S: the card's size, more where its labels need it.

    A voxel of the window lies on one of the map, so a map with the same voxels is only moved. The window is
    the same in the patient, whatever directions the map is stored along.

    Raises:
        InputError: when the labels reach further than the network can work on at once.
    """
    affine = labels.geometry.affine
    where = np.argwhere(labels.data[0] != 0)
    points = where @ affine[:3, :3].T + affine[:3, 3]
    low, high = points.min(axis=0), points.max(axis=0)
    spacing = np.array(grid.spacing_mm)
    needed = np.ceil((high - low + 2 * _MARGIN_MM) / spacing / multiple).astype(int) * multiple
    size = np.maximum(needed, grid.shape)
    if (size * spacing).max() > _LARGEST_MM:
        raise InputError(
            f"The label map {LABEL_MAP} is too large for this model",
            expected=f"labels within {_LARGEST_MM - 2 * _MARGIN_MM:g} mm along every axis",
            got=" x ".join(f"{side:.0f}" for side in high - low) + " mm",
            action="give one structure alone, cut out of the map",
        )
    middle = (low + high) / 2 - _BIAS_MM
    index = np.rint(np.linalg.inv(affine) @ [*middle, 1.0])
    place = _around((affine @ index)[:3], size, grid, on_voxel=True)
    biased = place.affine.copy()
    biased[:3, 3] -= _BIAS_MM
    return Volume(resample(labels, Geometry(place.shape, biased), order=0).data, place)


def _around(
    middle: NDArray[np.float64], size: NDArray[np.int_], grid: Grid, *, on_voxel: bool = False
) -> Geometry:
    """A grid of so many voxels around a point in RAS mm, or with a voxel on the point."""
    spacing = np.array(grid.spacing_mm)
    affine = np.diag([*spacing, 1.0])
    steps = size // 2 if on_voxel else (size - 1) / 2
    affine[:3, 3] = middle - steps * spacing
    i, j, k = (int(side) for side in size)
    return Geometry((i, j, k), affine)


def _from_nothing(grid: Grid) -> Geometry:
    return _around(np.zeros(3), np.array(grid.shape), grid)


def _placed(
    image: NDArray[np.float32], maps: NDArray[np.uint8], place: Geometry, labels: Volume | None
) -> tuple[Volume, Volume]:
    """Image, (1, i, j, k) with 1 as the foreground's percentile, and segmentation where they belong."""
    volume = Volume(image * np.float32(preprocess.TRANSLATED_FOREGROUND), place)
    if labels is None:
        return volume, Volume(maps, place)
    return _faded(volume, labels.geometry), labels.with_data(labels.data.astype(np.uint8))


def _faded(volume: Volume, grid: Geometry) -> Volume:
    """On a larger grid, fading to 0 within a voxel, so that rounding decides nothing at the border."""
    affine = volume.geometry.affine.copy()
    affine[:3, 3] -= affine[:3, :3].sum(axis=1)
    i, j, k = (side + 2 for side in volume.geometry.shape)
    data = np.pad(volume.data[0], 1)
    return resample(Volume(data, Geometry((i, j, k), affine)), grid)
