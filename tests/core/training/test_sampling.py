"""Samples of a run: what is drawn, where it is written, and how it is marked."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from matplotlib import image
from safetensors.torch import load_file

from medgan_core import io, registry
from medgan_core.errors import ModelError, UsageError
from medgan_core.training import sampling
from medgan_core.training.moment import Moment
from tests.core.training.tiny import LATENT, TABLE, Tiny, finished
from tests.phantom import write_data_set


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data_set(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(Tiny(), data, tmp_path_factory.mktemp("runs") / "run")


def draw(run: Path, out: Path, *, count: int = 3, seed: int = 0) -> list[np.ndarray]:
    made = sampling.sample(run, count=count, out=out, seed=seed, device="cpu", recipes=TABLE)
    return [io.read(out / name).data[0] for name in made["files"]["image"]]


def test_the_same_seed_gives_the_same_voxels_and_another_one_others(run: Path, tmp_path: Path) -> None:
    first, again = draw(run, tmp_path / "a"), draw(run, tmp_path / "b")
    other = draw(run, tmp_path / "c", seed=1)
    np.testing.assert_array_equal(first, again)
    assert all(np.abs(a - b).max() > 1e-3 for a, b in zip(first, other, strict=True))
    assert np.abs(first[0] - first[1]).max() > 1e-3


def test_many_are_drawn_in_parts_that_differ(run: Path, tmp_path: Path) -> None:
    many = draw(run, tmp_path / "many", count=20)
    assert len(many) == 20
    np.testing.assert_array_equal(many[:16], draw(run, tmp_path / "part", count=16))
    assert np.abs(many[16] - many[0]).max() > 1e-3


def test_the_saved_average_draws_in_fp32(run: Path, tmp_path: Path) -> None:
    """The same image by hand: weights from the file, the same random numbers."""
    weights = load_file(run / "networks" / "generator.safetensors")
    moment = Moment.at(2, 2, seed=(104729, 4, 0), device=torch.device("cpu"))
    by_hand = moment.normal(2, LATENT) @ weights["weight"].T + weights["bias"]
    drawn = np.stack(draw(run, tmp_path, count=2, seed=4))
    np.testing.assert_allclose(drawn.reshape(2, -1), by_hand.numpy(), rtol=1e-5, atol=1e-6)


def test_volumes_say_that_they_are_synthetic_and_where_their_voxels_are(run: Path, tmp_path: Path) -> None:
    made = sampling.sample(run, count=2, out=tmp_path, seed=7, device="cpu", recipes=TABLE)
    assert made["files"]["image"] == ["image-001.nii.gz", "image-002.nii.gz"]
    for name, kind in (("image-001.nii.gz", np.float32), ("labels-002.nii.gz", np.int16)):
        volume = nibabel.load(tmp_path / name)
        np.testing.assert_array_equal(volume.affine, np.diag([2.0, 3.0, 4.0, 1.0]))
        assert (volume.shape, volume.get_data_dtype()) == ((6, 5, 4), kind)
        told = json.loads(volume.header.extensions[0].get_content().decode().rstrip("\0"))
        assert told["MedGAN.synthetic"] == "true"
        assert (told["MedGAN.seed"], told["MedGAN.model"]) == ("7", "tiny")
        assert told["MedGAN.target"] == name[:-11]
    assert set(np.unique(nibabel.load(tmp_path / "labels-001.nii.gz").get_fdata())) == {0, 3}


def test_the_record_names_seed_run_and_weights(run: Path, tmp_path: Path) -> None:
    made = sampling.sample(run, count=9, out=tmp_path, seed=7, device="cpu", recipes=TABLE)
    assert json.loads((tmp_path / "samples.json").read_text(encoding="utf-8")) == made
    digest = registry.sha256(run / "networks" / "generator.safetensors")
    assert made["provenance"]["weights"] == {"generator": digest}
    assert (made["seed"], made["run"], made["recipe"]) == (7, "run", "tiny")
    assert "--seed 7" in made["command"]
    # Nine images in two rows of eight for each of two names, (j, i) = (5, 6) with lines between.
    assert image.imread(tmp_path / made["picture"]).shape[:2] == (4 * 6 - 1, 8 * 7 - 1)


def test_a_slice_is_a_volume_of_one_slice_and_channels_are_files(data: Path, tmp_path: Path) -> None:
    run = finished(Tiny(size=(7, 5), channels=2), data, tmp_path / "run")
    made = sampling.sample(run, count=1, out=tmp_path / "out", device="cpu", recipes=TABLE)
    assert made["files"]["image"] == ["image-c1-001.nii.gz", "image-c2-001.nii.gz"]
    volumes = [io.read(tmp_path / "out" / name) for name in made["files"]["image"]]
    assert volumes[0].geometry.shape == (7, 5, 1)
    assert np.abs(volumes[0].data - volumes[1].data).max() > 1e-3


def test_spacing_is_one_millimetre_where_nothing_is_said() -> None:
    class Isotropic(Tiny):
        spacing_mm = 0.8  # type: ignore[assignment]

    class Slices(Tiny):
        spacing_mm = (0.5, 0.6)

    assert sampling.spacing_mm(Isotropic(), 3) == (0.8, 0.8, 0.8)
    assert sampling.spacing_mm(Isotropic(), 2) == (0.8, 0.8, 1.0)
    assert sampling.spacing_mm(Slices(), 2) == (0.5, 0.6, 1.0)


def test_a_recipe_that_draws_nothing_says_what_to_do_and_leaves_nothing(data: Path, tmp_path: Path) -> None:
    class Mute(Tiny):
        name = "mute"
        sample = Tiny.__mro__[1].sample  # type: ignore[assignment]

    run = finished(Mute(), data, tmp_path / "run")
    with pytest.raises(UsageError, match="medgan run"):
        sampling.sample(run, count=1, out=tmp_path / "out", device="cpu", recipes={"mute": Mute})
    assert not (tmp_path / "out").exists()


def test_images_that_are_not_finite_are_not_written(data: Path, tmp_path: Path) -> None:
    class Broken(Tiny):
        name = "broken"

        def sample(self, networks, count, moment):
            return {"image": torch.full((count, 1, *self.size), float("nan"))}

    run = finished(Broken(), data, tmp_path / "run")
    with pytest.raises(ModelError, match="finite"):
        sampling.sample(run, count=1, out=tmp_path / "out", device="cpu", recipes={"broken": Broken})
    assert not (tmp_path / "out").exists()
