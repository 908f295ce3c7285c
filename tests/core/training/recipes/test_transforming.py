from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from medgan_core import training
from medgan_core.errors import UsageError
from medgan_core.networks.patchgan import PatchDiscriminator
from medgan_core.training import folder
from medgan_core.training.recipes.pix2pix import Pix2pix
from medgan_core.training.recipes.transforming import OneContrast, Transforming, contrasts_of
from tests.core.training.recipes.tiny_brains import OWN, SHARED, batch_of, moment, networks_of, run, tiny

ALL = sorted(OWN, key=lambda cls: cls.name)
BASELINES = {
    "pix2pix": {"psnr_identity", "psnr_curve"},
    "cyclegan": {"psnr_identity", "psnr_curve", "psnr_back"},
    "srgan": {"psnr_linear"},
    "inpaint": {"psnr_harmonic"},
}


@pytest.fixture(autouse=True)
def few_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medgan_core.training.recipes.transforming.JUDGED", 8)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.name)
def test_two_updates_move_every_weight_and_are_judged_beside_a_baseline(
    cls: type[Transforming], dims: int, brains: Path, tmp_path: Path
) -> None:
    recipe = tiny(cls, spatial_dims=dims, **({"content_first": 0.0} if cls.name == "srgan" else {}))
    assert run(recipe, brains, tmp_path)
    (found,) = folder.metrics(tmp_path, "validation")
    assert {"psnr", "ssim"} | BASELINES[cls.name] <= found.keys()
    assert list((tmp_path / "pictures").iterdir())
    torch.manual_seed(recipe.seed)
    before = recipe.networks()
    for name, state in folder.networks(tmp_path).items():
        for key, parameter in before[name].named_parameters():
            if parameter.dim() > 1:  # the hinge's gradient on the last bias cancels at the start
                assert not torch.equal(state[key], parameter.detach()), f"{name}.{key}"


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.name)
def test_settings_are_read_from_text_as_the_command_line_gives_them(
    cls: type[Transforming], brains: Path, tmp_path: Path
) -> None:
    def text(value: Any) -> str:
        return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)

    settings = {k: text(v) for k, v in {**SHARED, **OWN[cls], "validate_every": 9}.items()}
    said = training.train(
        cls.name, data=brains, out=tmp_path / "run", settings=settings, preset="cpu", workers=0
    )
    assert said.startswith("finished")
    large = training.train(cls.name, data=brains, out=tmp_path, preset="gpu", dry_run=True)
    assert large != training.train(cls.name, data=brains, out=tmp_path, preset="cpu", dry_run=True)


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.name)
def test_all_stabilisers_work_together(cls: type[Transforming], brains: Path, tmp_path: Path) -> None:
    options = {
        "r1": 1.0,
        "r1_every": 1,
        "gradient_penalty": 1.0,
        "instance_noise": 0.1,
        "augment": True,
        "feature_matching": 1.0,
        "structure": 1.0,
        "critic_steps": 2,
    }
    assert run(tiny(cls, **options), brains, tmp_path)


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.name)
def test_each_player_moves_its_own_networks_alone(cls: type[Transforming], brains: Path) -> None:
    recipe = tiny(cls, **({"content_first": 0.0} if cls.name == "srgan" else {}))
    networks, batch = networks_of(recipe), batch_of(recipe, brains)
    for player in recipe.players():
        with networks.moving(*player.networks):
            recipe.loss(player.name, networks, batch, moment())[0].backward()
        for name, module in networks.modules.items():
            moved = [p.grad is not None for p in module.parameters()]
            assert all(moved) if name in player.networks else not any(moved), name
            module.zero_grad(set_to_none=True)


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.name)
def test_the_fold_keeps_its_patients_out_of_training(cls: type[Transforming], brains: Path) -> None:
    for fold in (-1, 0, 1, 2):
        recipe = tiny(cls, fold=fold)
        parts = [{s.patient for s in recipe.stacks(brains, ("T1",), validation=v)} for v in (False, True)]
        assert parts[0]
        assert parts[1]
        assert not parts[0] & parts[1]


def test_the_structure_error_is_zero_for_the_truth_alone() -> None:
    recipe = tiny(Pix2pix)
    x = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert float(recipe.structure_error(x, x)) == 0
    assert float(recipe.structure_error(x.flip(2), x)) > 0.01
    volume = x[..., None].expand(-1, -1, -1, -1, 6)
    torch.testing.assert_close(
        recipe.structure_error(volume.flip(2), volume), recipe.structure_error(x.flip(2), x)
    )


def test_the_error_of_a_pair_is_as_written() -> None:
    recipe = tiny(Pix2pix, l1=7.0, structure=3.0)
    a, b = (torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    loss, parts = recipe.paired_error(a, b)
    assert float(parts["l1"]) == pytest.approx(float((a - b).abs().mean()))
    assert float(loss) == pytest.approx(7 * float(parts["l1"]) + 3 * float(recipe.structure_error(a, b)))


def test_the_discriminator_halves_no_further_than_the_shortest_side_allows() -> None:
    def judge(**options: Any) -> PatchDiscriminator:
        found = Pix2pix(**options).patch_discriminator(2)
        assert isinstance(found, PatchDiscriminator)
        return found

    assert len(judge().convolutions) == 4
    for depth in (6, 8, 12, 24):
        thin = judge(spatial_dims=3, size=(32, 32), depth=depth)
        assert thin(torch.zeros(1, 2, 32, 32, depth)).shape[-1] >= 1


def test_contrasts_are_shown_in_turn() -> None:
    class Numbered:
        def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
            return {"image": torch.arange(3.0)[:, None, None].expand(3, 2, 2)}

    shown = OneContrast(Numbered())
    assert [float(shown[n]["image"].mean()) for n in range(4)] == [0, 1, 2, 0]
    assert shown[0]["image"].shape == (1, 2, 2)


@pytest.mark.parametrize("text", ["", "T1,", "T1,T1"])
def test_contrasts_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="contrasts"):
        contrasts_of(text)


@pytest.mark.parametrize("options", [{"size": (4, 32)}, {"size": (32,)}, {"spatial_dims": 4}])
def test_sizes_that_do_not_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="size"):
        tiny(Pix2pix, **options)
