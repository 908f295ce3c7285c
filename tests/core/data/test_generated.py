from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from medgan_core import io
from medgan_core.data.generated import GeneratedImages, Mixed
from medgan_core.errors import InputError, UsageError
from medgan_core.volume import Geometry, Volume

SIZE = (6, 5)


def write(folder: Path, **images: np.ndarray) -> Path:
    """A folder as `medgan sample` writes it; an underscore stands for a hyphen in a name."""
    files = {}
    for key, stack in images.items():
        name = key.replace("_", "-")
        files[name] = [f"{name}-{n:03d}.nii.gz" for n in range(1, len(stack) + 1)]
        for file, image in zip(files[name], stack, strict=True):
            voxels = image.reshape(*image.shape, 1)[..., :1] if image.ndim == 2 else image
            io.write(Volume(voxels, Geometry(voxels.shape, np.eye(4))), folder / file)
    (folder / "samples.json").write_text(json.dumps({"files": files}), encoding="utf-8")
    return folder


def level(value: float, count: int = 3) -> np.ndarray:
    return np.stack([np.full(SIZE, value + n / 100, dtype=np.float32) for n in range(count)])


def test_images_of_both_classes_know_their_class(tmp_path: Path) -> None:
    folder = write(tmp_path, without_lesion=level(0.2), with_lesion=level(0.7))
    drawn = GeneratedImages(folder, size=SIZE, seed=3, keys=("image", "lesion"))
    samples = [drawn[n] for n in range(len(drawn))]
    assert [s["image"].shape for s in samples] == [(1, *SIZE)] * 6
    assert all(int(s["lesion"]) == int(s["image"].mean() > 0.5) for s in samples)
    assert len({round(float(s["image"].mean()), 3) for s in samples}) == 6  # each once
    assert torch.equal(drawn[6]["image"], drawn[0]["image"])


def test_pairs_keep_image_and_map_together_in_3d(tmp_path: Path) -> None:
    size = (4, 3, 2)
    label = np.zeros((2, *size), dtype=np.int16)
    label[1, :2] = 2
    folder = write(tmp_path, image=label.astype(np.float32) / 2, label=label)
    drawn = GeneratedImages(folder, size=size, seed=0, keys=("image", "label", "lesion"))
    for sample in (drawn[0], drawn[1]):
        assert torch.equal(sample["image"] * 2, sample["label"].float())
        assert int(sample["lesion"]) == int(sample["label"].any())


@pytest.mark.parametrize(
    ("keys", "size"), [(("image", "label"), SIZE), (("image", "lesion"), (4, 4))], ids=["no maps", "size"]
)
def test_images_that_do_not_serve_are_refused(
    keys: tuple[str, ...], size: tuple[int, ...], tmp_path: Path
) -> None:
    folder = write(tmp_path, without_lesion=level(0.2), with_lesion=level(0.7))
    with pytest.raises(InputError) as caught:
        GeneratedImages(folder, size=size, seed=0, keys=keys)
    assert "medgan sample" in caught.value.action


def test_a_folder_without_a_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        GeneratedImages(tmp_path, size=SIZE, seed=0, keys=("image",))


class Numbered:
    """Samples that know their number and that it is odd or even; there is more in them than is needed."""

    def __init__(self, name: int) -> None:
        self._name = name

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        return {"of": torch.tensor(self._name), "number": torch.tensor(number), "other": torch.zeros(())}


@pytest.mark.parametrize(("share", "generated"), [(0.5, 20), (0.25, 10), (0.9, 36)])
def test_the_proportion_holds_and_no_sample_of_either_set_is_left_out(share: float, generated: int) -> None:
    mixed = Mixed(Numbered(0), Numbered(1), share=share, keys=("of", "number"))

    def numbers(name: int) -> Iterator[int]:
        return (int(s["number"]) for s in (mixed[n] for n in range(40)) if int(s["of"]) == name)

    assert list(numbers(1)) == list(range(generated))
    assert list(numbers(0)) == list(range(40 - generated))
    assert mixed[0].keys() == {"of", "number"}


@pytest.mark.parametrize("share", [0.0, 1.0, 1.5])
def test_a_mixture_has_both(share: float) -> None:
    with pytest.raises(UsageError):
        Mixed(Numbered(0), Numbered(1), share=share, keys=("of",))
