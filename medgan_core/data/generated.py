"""Generated images as training samples, alone or among real ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medgan_core import io
from medgan_core.data.draws import fixed_order
from medgan_core.data.lesions import KINDS
from medgan_core.data.samples import Samples
from medgan_core.errors import InputError, UsageError

_RECORD = "samples.json"


class GeneratedImages:
    """The images of a folder that `medgan sample` wrote, one after the other in a fixed random order.

    They serve as they are: their variety is the generator's, so nothing is moved or turned.

    Args:
        folder: with samples.json, and images with their label maps (``image``, ``label``), or images of each
            class (`lesions.KINDS`).
        size: voxels of an image, two or three sides.
        seed: of the order.
        keys: of a sample that training needs: ``image``, ``lesion``, ``label``.

    Raises:
        InputError: when the folder holds no such images, or images of another size.
    """

    def __init__(self, folder: Path, *, size: Sequence[int], seed: int, keys: Sequence[str]) -> None:
        self._folder, self._size = folder, tuple(size)
        files, self._keys = self._files(), tuple(keys)
        if set(KINDS) <= set(files) and "label" not in keys:
            images = torch.cat([self._read(files[kind]) for kind in KINDS])
            lesion = torch.cat([torch.full((len(files[kind]),), n) for n, kind in enumerate(KINDS)])
            self._parts = {"image": images, "lesion": lesion}
        elif {"image", "label"} <= set(files):
            images, label = self._read(files["image"]), self._read(files["label"]).long()
            self._parts = {"image": images, "label": label, "lesion": label.flatten(1).any(1).long()}
        else:
            raise self._refused(", ".join(files) or "nothing")
        self._order = fixed_order(len(images), seed)

    def __len__(self) -> int:
        """Images there are; after so many they repeat."""
        return len(self._order)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Image (1, *size) float32, lesion (0 or 1) int64, label map (1, *size) int64, as asked for."""
        place = self._order[number % len(self._order)]
        return {key: self._parts[key][place] for key in self._keys}

    def _files(self) -> dict[str, list[str]]:
        record = self._folder / _RECORD
        if not record.is_file():
            raise self._refused("no samples.json")
        told: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        found: dict[str, list[str]] = told["files"]
        return found

    def _read(self, names: Sequence[str]) -> Tensor:
        """Volumes as (n, 1, *size), float32; those of 2D images have one slice."""
        arrays = [io.read(self._folder / name).data[0] for name in names]
        thick = (*self._size, 1)[:3]
        if any(array.shape != thick for array in arrays):
            raise self._refused(f"images of {arrays[0].shape} voxels")
        stacked = np.stack(arrays).astype(np.float32)
        return torch.from_numpy(stacked).reshape(len(arrays), 1, *self._size)

    def _refused(self, got: str) -> InputError:
        wanted = f"samples.json, and images of {self._size} voxels with label maps, or of both classes"
        return InputError(
            f"The folder {self._folder.name} holds no generated images to train on",
            expected=wanted,
            got=got,
            action="draw them with medgan sample from a run on the same kind of images",
        )


class Mixed:
    """Real and generated samples in a fixed proportion.

    Sample n is a generated one when ``floor((n + 1) share) > floor(n share)``; each of the two sets is gone
    through without gaps, so that what is balanced in it stays balanced.

    Args:
        real: from patients.
        generated: from a generator.
        share: of generated samples, above 0 and below 1.
        keys: of a sample that training needs; both sets have them.

    Raises:
        UsageError: when the share leaves one of the sets out.
    """

    def __init__(self, real: Samples, generated: Samples, *, share: float, keys: Sequence[str]) -> None:
        if not 0 < share < 1:
            raise UsageError(
                "The share of generated samples is out of range",
                expected="above 0 and below 1",
                got=str(share),
                action="train on one of the two alone, or choose another share",
            )
        self._real, self._generated, self._share, self._keys = real, generated, share, tuple(keys)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """The sample with the keys asked for."""
        before, after = (int(n * self._share) for n in (number, number + 1))
        sample = self._generated[before] if after > before else self._real[number - before]
        return {key: sample[key] for key in self._keys}
