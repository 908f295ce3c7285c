from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medgan_core import io
from medgan_core.data.manifest import Manifest
from medgan_core.engine import RunOptions, Session, run
from medgan_core.errors import UsageError
from medgan_core.evaluation import evaluate
from medgan_core.inference import apply_views, prepare
from medgan_core.inference.segmentation import softmax
from medgan_core.inference.slabs import slabs
from medgan_core.registry import Registry
from medgan_core.training import loop, publishing
from medgan_core.training.recipes.crops import PARTS
from medgan_core.training.recipes.hippocampus_suggest import HippocampusSuggest
from medgan_core.training.recipes.suggesting import judged, slabs_along, viewed
from medgan_core.volume import Geometry, Volume
from tests.core.training.recipes.subjects import SMALL, moment, untrained
from tests.crops import write_crops

NAME = "hippocampus-suggest"
RECIPE = HippocampusSuggest(widths=(8, 8), places=2, **SMALL)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_crops(tmp_path_factory.mktemp("crops"))


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    assert loop.train(RECIPE, data=data, out=out, command="medgan train", workers=0)
    return out


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slabs_are_cut_as_inference_cuts_them(axis: int) -> None:
    volumes = torch.rand(2, 3, 6, 7, 8)
    found = slabs_along(volumes, axis, [0, 4], 5)
    expected = torch.cat([slabs(v.swapaxes(1 + axis, 3), [0, 4], 5) for v in volumes])
    assert torch.equal(found, expected)


def test_validation_computes_what_a_served_model_does() -> None:
    network = RECIPE.network().eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data = 0.2 * torch.randn(parameter.shape, generator=generator)
    array = np.random.default_rng(0).random((1, 21, 26, 18), dtype=np.float32)
    compiled = prepare(network, device="cpu", backend="torch", precision="fp32")
    served = apply_views(compiled, array, presence=[True], axes=(2, 1, 0), each=softmax).values
    with torch.no_grad():
        found = viewed(network, torch.from_numpy(array), slices=RECIPE.slices, multiple=4)
    np.testing.assert_allclose(found.numpy(), served, atol=1e-5)


def test_a_perfect_answer_has_a_dice_of_one_and_a_wrong_one_less() -> None:
    truth = torch.randint(0, 3, (6, 7, 8), generator=torch.Generator().manual_seed(0))
    sure = 0.98 * torch.nn.functional.one_hot(truth, 3).movedim(-1, 0) + 0.02 / 3
    numbers = judged([sure, sure, sure], [truth, truth, truth * (truth != 2)], [1, 2])
    assert (numbers["dice_1"], numbers["cases"]) == (1.0, 3.0)
    assert numbers["dice_2"] == pytest.approx(2 / 3)
    assert numbers["dice"] == pytest.approx(5 / 6)
    assert numbers["factor_1"] == 0.0
    assert numbers["factor_2"] > 0.0


def test_one_patient_alone_and_a_label_that_is_nowhere_are_judged_by_finite_numbers() -> None:
    truth = torch.zeros((6, 7, 8), dtype=torch.int64)
    truth[2:4] = 1
    sure = 0.98 * torch.nn.functional.one_hot(truth, 3).movedim(-1, 0) + 0.02 / 3
    numbers = judged([sure], [truth], [1, 2])
    assert (numbers["dice_1"], numbers["dice_2"]) == (1.0, 1.0)
    assert all(np.isfinite(number) for number in numbers.values())
    assert [figure.spread for figure in RECIPE.figures(numbers, "none")] == [None, None]


def test_the_loss_looks_along_all_axes_and_learns_a_crop(data: Path) -> None:
    torch.manual_seed(0)
    recipe = replace(RECIPE, augmentation="none", places=8)
    networks, samples = untrained(recipe), recipe.samples(data, validation=False)
    batch = {key: torch.stack([samples[n][key] for n in range(2)]) for key in ("image", "label")}
    optimiser = torch.optim.Adam(networks.modules["model"].parameters(), lr=5e-3)
    losses = []
    for step in range(36):
        loss, _ = recipe.loss("model", networks, batch, moment(step))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.65 * losses[0]


def test_a_run_is_published_with_figures_and_intervals_and_applied(
    trained: Path, data: Path, tmp_path: Path
) -> None:
    line = json.loads((trained / "metrics.jsonl").read_text().splitlines()[-1])
    assert line["cases"] == 3
    card, _ = publishing.publish(trained, name=NAME, models=tmp_path, default=True)
    assert card.volume_calibration == (line["factor_1"], line["factor_2"])
    assert [f.name for f in card.figures] == [f"Dice, {part.name}" for part in PARTS]
    assert all(f.n == 3 for f in card.figures)
    registry = Registry([tmp_path])
    assert registry.card(NAME) == card
    study = next(s for s in Manifest.load(data).studies if s.split == "val")
    image = io.read(study.images["T1"])
    outcome = run(Session("cpu", registry=registry), NAME, {"image": image}, RunOptions())
    assert set(outcome.volumes) == {"segmentation", "uncertainty"}
    assert outcome.volumes["segmentation"].geometry.close_to(image.geometry)
    assert set(np.unique(outcome.volumes["segmentation"].data)) <= {0, 1, 2}


def test_evaluation_tells_dice_and_volumes_of_patients_left_out(
    trained: Path, data: Path, tmp_path: Path
) -> None:
    publishing.publish(trained, name=NAME, models=tmp_path, default=True)
    rows = evaluate(NAME, data=data, registry=Registry([tmp_path])).rows
    assert [row["patient"] for row in rows] == ["crops/c5", "crops/c6", "crops/c7"]
    truth = io.read(data / "c5-labels.nii.gz").data
    for value, part in ((1, "Anterior hippocampus"), (2, "Posterior hippocampus")):
        assert rows[0][f"true mL, {part}"] == pytest.approx((truth == value).sum() / 1000)
        assert 0 <= rows[0][f"Dice, {part}"] <= 1
        assert rows[0][f"mL, {part}"] >= 0


def test_evaluation_leaves_out_what_the_model_is_not_for(trained: Path, tmp_path: Path) -> None:
    publishing.publish(trained, name=NAME, models=tmp_path / "models")
    lines = ["set,patient,visit,key,kind,coverage,split,licence,path"]
    rng = np.random.default_rng(0)
    cases = {"whole-head": ((90, 90, 90), 2.0, 1), "other-labels": ((34, 46, 36), 1.0, 7)}
    for name, (shape, spacing, value) in cases.items():
        geometry = Geometry(shape, np.diag([spacing, spacing, spacing, 1]))
        labels = np.zeros(shape, np.int16)
        labels[5:20, 5:20, 5:20] = value
        files = {"image": rng.uniform(0, 100, shape).astype(np.float32), "label": labels}
        for kind, array in files.items():
            io.write(Volume(array, geometry), tmp_path / f"{name}-{kind}.nii.gz")
            key = "T1" if kind == "image" else "labels"
            lines.append(f"odd,odd/{name},,{key},{kind},crop,val,CC0,{name}-{kind}.nii.gz")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(UsageError, match="No patient") as refused:
        evaluate(NAME, data=tmp_path, registry=Registry([tmp_path / "models"]))
    assert "1 study: refused by the model: image: voxel size: 2 x 2 x 2 mm" in refused.value.got
    assert "other values than the model's: 7" in refused.value.got


def test_few_labelled_patients_are_the_first_of_one_order(data: Path) -> None:
    def patients(labelled: int, seed: int = 0) -> set[str]:
        samples = replace(RECIPE, labelled=labelled, seed=seed).samples(data, validation=False)
        return set(samples.patients)  # type: ignore[attr-defined]

    assert [len(patients(n)) for n in (1, 2, 4, 0)] == [1, 2, 4, 5]
    assert patients(1) < patients(2) < patients(4) < patients(0)
    assert len({frozenset(patients(2, seed)) for seed in range(8)}) > 1
    with pytest.raises(UsageError, match="at most 5"):
        patients(6)
    few = replace(RECIPE, labelled=1).samples(data, validation=True)
    assert len(few) == 3  # type: ignore[arg-type]


def test_an_augmentation_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="none, slight, strong"):
        HippocampusSuggest(augmentation="wild")


def test_pairs_that_were_generated_are_trained_on(data: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "drawn"
    drawn.mkdir()
    names: dict[str, list[str]] = {"image": [], "label": []}
    for number in range(3):
        label = np.zeros((32, 48, 32), np.int16)
        label[10:20, 10:20, 10:20] = 1
        for key, array in (("image", 0.2 + 0.5 * label.astype(np.float32)), ("label", label)):
            names[key].append(f"{key}-{number}.nii.gz")
            io.write(Volume(array, Geometry(label.shape, np.eye(4))), drawn / names[key][-1])
    (drawn / "samples.json").write_text(json.dumps({"files": names}), encoding="utf-8")
    alone = replace(RECIPE, generated=str(drawn), mix=1.0)
    samples = alone.samples(data, validation=False)
    assert all(set(samples[n]["label"].unique().tolist()) == {0, 1} for n in range(4))
    mixed = replace(RECIPE, generated=str(drawn), mix=0.5)
    assert loop.train(mixed, data=data, out=tmp_path / "run", command="none", workers=0)
