"""MONAI's sliding-window inferer over the same slabs, in its quickest setting that is as good."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from numpy.typing import NDArray

from benchmarks.timing import seconds
from medgan_core import inference

ROIS = (  # side (None: the whole slice), overlap, slices at once
    (None, 0.0, 1),
    (None, 0.0, 4),
    (192, 0.25, 1),
    (128, 0.25, 1),
)
EQUAL_DB = 0.05


def monai(
    network: torch.nn.Module,
    array: NDArray[np.float32],
    presence: list[bool],
    roi: int | None,
    overlap: float,
    slices: int,
) -> Callable[[], NDArray[np.float32]]:
    """MONAI's inferer over the slabs of each slice, torch float32; gives (channels, i, j, k).

    It gets slices padded to the network's multiple as the engine pads them, so that both compute the same.
    """
    device, multiple = next(network.parameters()).device, int(network.multiple)
    rows, columns = array.shape[1:3]
    whole = [-(-n // multiple) * multiple for n in (rows, columns)]
    padding = ((0, 0), (0, whole[0] - rows), (0, whole[1] - columns), (0, 0))
    volume = torch.from_numpy(np.pad(array, padding, mode="edge")).to(device)
    window = whole if roi is None else [min(roi, n) for n in whole]
    inferer = SlidingWindowInferer(window, sw_batch_size=4, overlap=overlap, mode="gaussian")
    flags = presence if network.presence else None

    def run() -> NDArray[np.float32]:
        out = []
        with torch.inference_mode():
            for start in range(0, array.shape[3], slices):
                index = range(start, min(start + slices, array.shape[3]))
                out.append(inferer(inference.slabs(volume, index, network.slices, flags), network))
            return torch.cat(out)[..., :rows, :columns].permute(1, 2, 3, 0).cpu().numpy()

    return run


def best_monai(
    network: torch.nn.Module, array: NDArray[np.float32], truth: NDArray[np.float32], output: int
) -> tuple[str, Callable[[], NDArray[np.float32]], dict[str, float]]:
    """MONAI's quickest setting that is as good as whole slices; its name, itself, PSNR of all settings."""
    presence = [bool(channel.any()) for channel in array]
    runs = {
        f"roi {roi or 'whole slice'}, overlap {overlap:g}, {slices} at once": monai(
            network, array, presence, roi, overlap, slices
        )
        for roi, overlap, slices in ROIS
    }
    quality = {name: psnr(run()[output], truth) for name, run in runs.items()}
    exact = next(iter(quality.values()))  # whole slices in float32
    good = {name: run for name, run in runs.items() if quality[name] >= exact - EQUAL_DB}
    device = str(next(network.parameters()).device)
    times = {name: min(seconds(run, device) for _ in range(2)) for name, run in good.items()}
    best = min(good, key=lambda name: times[name])
    return best, runs[best], quality


def psnr(answer: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """In dB with peak 1 inside of the head, after the least-squares gain."""
    answer, truth = answer[truth > 0], truth[truth > 0]
    gain = float((answer * truth).sum() / max(float((answer * answer).sum()), 1e-12))
    return float(-10 * np.log10(np.mean((gain * answer - truth) ** 2) + 1e-12))
