"""What a run says about itself while it goes: JSON lines, curves, pictures."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor


class Journal:
    """Writes ``metrics.jsonl`` and, where their libraries are installed, TensorBoard curves and pictures.

    Args:
        folder: of the run.
        write: False in all processes but the first.
    """

    def __init__(self, folder: Path, *, write: bool = True) -> None:
        self._folder, self._write = folder, write
        self._curves: Any = None

    def numbers(self, kind: str, *, step: int, seconds: float, values: Mapping[str, float | str]) -> None:
        """One line of numbers (or words) of one kind."""
        if not self._write:
            return
        rounded = {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in values.items()}
        line = {"kind": kind, "step": step, "seconds": round(seconds, 1), **rounded}
        with (self._folder / "metrics.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        curves = self._tensorboard()
        if curves is not None:
            for key, value in rounded.items():
                if isinstance(value, float):
                    curves.add_scalar(f"{kind}/{key}", value, step)
            curves.flush()

    def pictures(self, pictures: Tensor, *, step: int) -> None:
        """A grid (rows, columns, h, w), 0 to 1, as ``pictures/STEP.png``."""
        if not self._write or importlib.util.find_spec("matplotlib") is None:
            return
        folder = self._folder / "pictures"
        folder.mkdir(exist_ok=True)
        write_grid(pictures, folder / f"{step:07d}.png")

    def close(self) -> None:
        """Let go of the files."""
        if self._curves is not None:
            self._curves.close()

    def _tensorboard(self) -> Any:
        if self._curves is None and importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard.writer import SummaryWriter

            self._curves = SummaryWriter(self._folder / "curves")
        return self._curves


def write_grid(pictures: Tensor, file: Path) -> None:
    """Write (rows, columns, h, w), 0 black to 1 white, as one PNG with thin lines between."""
    from matplotlib import image

    rows, columns, height, width = pictures.shape
    grid = np.ones((rows * (height + 1) - 1, columns * (width + 1) - 1), dtype=np.float32)
    values = pictures.detach().float().clamp(0, 1).cpu().numpy()
    for row in range(rows):
        for column in range(columns):
            top, left = row * (height + 1), column * (width + 1)
            grid[top : top + height, left : left + width] = values[row, column]
    image.imsave(file, grid, cmap="gray", vmin=0, vmax=1)
