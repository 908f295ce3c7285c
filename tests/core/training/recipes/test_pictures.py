"""What the recipes on crops and patches share: two updates in 2D and 3D, and the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from medgan_core.cli import build
from medgan_core.errors import UsageError
from medgan_core.training import folder, loop
from medgan_core.training.networks import Networks
from medgan_core.training.recipe import Recipe
from medgan_core.training.recipes.ae import AE
from medgan_core.training.recipes.beta_vae import BetaVAE
from medgan_core.training.recipes.classifier import Classifier
from medgan_core.training.recipes.f_anogan import FAnoGAN
from medgan_core.training.recipes.flow import Flow
from medgan_core.training.recipes.pictures import CLASSES, one_hot
from medgan_core.training.recipes.segmentation import Segmentation
from medgan_core.training.recipes.spade import Spade
from tests.core.training.recipes.subjects import CPU, SMALL, WIDTHS, judge_few, moment, write_subjects

FOLD = {"subject": "patch", "fold": 0}
KINDS: dict[str, tuple[Recipe, set[str]]] = {
    "ae": (AE(latent=4, noise=0.1), {"psnr", "ssim", "psnr_input"}),
    "ae that compresses": (AE(latent=4, grid=True, rate=0.01), {"psnr", "bits", "psnr_mean"}),
    "ae of patches": (AE(latent=4, **FOLD), {"psnr", "auroc", "auroc_intensity"}),
    "beta-vae": (BetaVAE(latent=4), {"psnr", "loss", "kl", "elbo", "swd"}),
    "beta-vae of patches": (BetaVAE(latent=4, **FOLD), {"auroc", "swd"}),
    "flow": (Flow(steps=1, method="euler"), {"swd", "loss", "diversity"}),
    "flow by class": (Flow(steps=1, method="euler", condition="class", guidance=2.0, **FOLD), {"swd"}),
    "flow by map": (Flow(steps=1, method="euler", condition="map"), {"swd"}),
    "spade": (Spade(style=4, judge_widths=(4, 4, 4)), {"swd", "psnr", "psnr_painted"}),
    "spade without an encoder": (Spade(style=4, judge_widths=(4, 4), encode=False), {"swd"}),
    "f-anogan": (FAnoGAN(latent=4, encoder_share=0.5, critic_steps=2), {"auroc", "swd", "residual"}),
    "classifier": (Classifier(), {"auroc", "average_precision", "accuracy"}),
    "segmentation": (Segmentation(), {"dice", "dice_1", "dice_2"}),
    "segmentation of lesions": (Segmentation(**FOLD), {"dice", "dice_1"}),
}
DRAWN = {
    "beta-vae": {"image"},
    "flow": {"image"},
    "flow by class": {"without-lesion", "with-lesion"},
    "flow by map": {"image", "label"},
    "spade": {"image", "label"},
    "f-anogan": {"image"},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_subjects(tmp_path_factory.mktemp("subjects"))


@pytest.fixture(autouse=True)
def few_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    judge_few(monkeypatch)


def subject(recipe: Recipe) -> str:
    return getattr(recipe, "subject", "patch" if hasattr(recipe, "contrast") else "hippocampus")


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_two_updates_leave_figures_a_picture_and_networks_that_draw(
    kind: str, dims: int, data: dict[str, Path], tmp_path: Path
) -> None:
    base, wanted = KINDS[kind]
    recipe = replace(base, spatial_dims=dims, widths=WIDTHS[dims], **SMALL)  # type: ignore[call-arg]
    assert loop.train(recipe, data=data[subject(recipe)], out=tmp_path, command="none", workers=0)
    (found,) = folder.metrics(tmp_path, "validation")
    assert wanted | {recipe.metric} <= found.keys()
    assert list((tmp_path / "pictures").iterdir())
    networks = Networks(folder.trained(tmp_path, recipe), CPU)
    if kind not in DRAWN:
        return
    with torch.no_grad():
        drawn = recipe.sample(networks, 3, moment())
    assert drawn.keys() == DRAWN[kind]
    for name, image in drawn.items():
        assert image.shape == (3, 1, *recipe.size)  # type: ignore[attr-defined]
        assert float(image.min()) >= 0
        assert float(image.max()) <= (2 if name == "label" else 1)


@pytest.mark.parametrize("recipe", sorted({base.name for base, _ in KINDS.values()}))
def test_the_command_line_trains_it(recipe: str, data: dict[str, Path], tmp_path: Path) -> None:
    kind = next(base for base, _ in KINDS.values() if base.name == recipe)
    settings = {**{k: str(v) for k, v in SMALL.items()}, "widths": "8,8,8"}
    command = ["train", recipe, "--data", str(data[subject(kind)]), "--out", str(tmp_path / "run")]
    command += ["--preset", "cpu", "--workers", "0"]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    done = CliRunner().invoke(build(), command)
    assert done.exit_code == 0, done.output
    assert folder.is_done(tmp_path / "run")


@pytest.mark.parametrize(
    "settings",
    [{"subject": "knee"}, {"fold": 1}, {"condition": "class"}, {"condition": "mood"}, {"times": "late"}],
    ids=str,
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Flow(**settings)  # type: ignore[arg-type]


def test_one_hot_maps_say_the_label_of_every_voxel() -> None:
    labels = torch.randint(CLASSES["hippocampus"], (2, 1, 5, 4))
    maps = one_hot(labels, CLASSES["hippocampus"])
    assert maps.shape == (2, 3, 5, 4)
    assert torch.equal(maps.argmax(1, keepdim=True), labels)
    assert bool((maps.sum(1) == 1).all())


def test_half_of_the_judged_patches_show_a_lesion_and_usual_ones_train(data: dict[str, Path]) -> None:
    recipe = AE(**FOLD)  # type: ignore[arg-type]
    training = recipe.samples(data["patch"], validation=False)
    judged = recipe.samples(data["patch"], validation=True)
    for number in range(8):
        assert not int(training[number]["lesion"])
        assert not bool(training[number]["label"].any())
        sample = judged[number]
        assert int(sample["lesion"]) == number % 2 == int(sample["label"].any())
    assert not set(training.patients) & set(judged.patients)  # type: ignore[attr-defined]


def test_slabs_have_their_slices_last(data: dict[str, Path]) -> None:
    recipe = AE(spatial_dims=3, **FOLD)  # type: ignore[arg-type]
    sample = recipe.samples(data["patch"], validation=True)[1]
    assert sample["image"].shape == sample["label"].shape == (1, *recipe.size) == (1, 32, 32, 8)
