from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.augmentation import page
from benchmarks.augmentation.bench import Bench
from benchmarks.augmentation.deformation import Deformed, pair, warped
from benchmarks.augmentation.drawing import Drawing, write
from benchmarks.augmentation.plan import LABELLED, STRONG, Arm, Cell, cells, named
from benchmarks.augmentation.registration import Registered
from benchmarks.gains import gain
from benchmarks.labelled_sets import cases, first_labelled
from medgan_core.data.generated import GeneratedImages
from medgan_core.errors import UsageError
from medgan_core.metrics.overlap import dice
from medgan_core.training.recipes.crops import SHAPE
from tests.crops import write_crops

TINY = {"batch": 2, "widths": (8, 8), "places": 2, "warmup": 1}
GENERATOR = {
    "batch": 2,
    "widths": (4, 4),
    "judge_widths": (4, 4),
    "style_widths": (4, 4),
    "shape_widths": (4, 4),
    "hidden": 4,
    "warmup": 1,
}
FEW = Drawing(count=3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_crops(tmp_path_factory.mktemp("crops"))


@pytest.fixture(scope="module")
def bench(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    runs = tmp_path_factory.mktemp("runs") / "augmentation"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("medgan_core.training.recipes.generation.JUDGED", 32)
        patch.setattr("medgan_core.training.recipes.generation._PAIRS", 2)
        yield Bench(
            data=data,
            runs=runs,
            figures=runs / "figures",
            updates=2,
            generator_updates=2,
            segmentation=TINY,
            generator=GENERATOR,
        )


ARMS = [
    Arm(name="pairs", title="", drawing=FEW),
    Arm(name="shapes", title="", drawing=dataclasses.replace(FEW, maps="shapes", choose="judge"), mix=1.0),
    Arm(name="agreement", title="", drawing=dataclasses.replace(FEW, images="deformed", choose="agreement")),
    Arm(name="registered", title="", drawing=dataclasses.replace(FEW, images="registered"), longer=2),
    Arm(name="suggested", title="", suggested=True),
    Arm(name="curriculum", title="", begin=STRONG),
]


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_every_kind_of_cell_is_trained_judged_and_kept(bench: Bench, arm: Arm) -> None:
    cell = Cell(2, arm, 0)
    found = bench.judged(cell)
    assert {label: len(values) for label, values in found.items()} == {"1": 3, "2": 3}
    assert all(0 <= value <= 1 for values in found.values() for value in values)
    written = bench.file(cell).stat().st_mtime_ns
    assert bench.judged(cell) == found
    assert bench.file(cell).stat().st_mtime_ns == written


def test_the_generator_sees_only_what_its_cell_may(bench: Bench, data: Path) -> None:
    own = Cell(2, Arm(name="pairs", title="", drawing=FEW), 0)
    both = dataclasses.replace(own, arm=dataclasses.replace(own.arm, unlabelled=True))
    labelled = set(first_labelled(data, 2, 0))
    assert bench._training_set(own) == (data, 2)
    folder, count = bench._training_set(both)
    assert count == 0
    truth = {case.study.patient: case.label("labels") for case in cases(data)}
    for case in cases(folder):
        same = np.array_equal(case.label("labels"), truth[case.study.patient])
        assert same == (case.study.patient in labelled)
    assert len(cases(folder)) == 5
    assert len(cases(folder, validation=True)) == 3


def test_pairs_are_read_as_they_were_written(tmp_path: Path) -> None:
    image, label = torch.rand(3, 1, *SHAPE), torch.randint(3, (3, 1, *SHAPE))
    folder = write(tmp_path / "pairs", image, label)
    read = GeneratedImages(folder, size=SHAPE, seed=0, keys=("image", "label"))
    found = [read[n] for n in range(3)]
    for one, other in zip(image, label, strict=True):
        match = next(s for s in found if torch.allclose(s["image"], one))
        torch.testing.assert_close(match["label"], other)


def test_a_crop_is_deformed_together_with_its_map(data: Path) -> None:
    deformed = Deformed(cases(data))
    image, label, _ = deformed.draw(2, seed=1)
    assert image.shape == label.shape == (2, 1, *SHAPE)
    assert (deformed.draw(2, seed=1)[0] == image).all()
    for one, mask in zip(image, label, strict=True):
        # The phantom is brighter inside, so the image must follow the map.
        assert float(one[mask > 0].mean()) > float(one[mask == 0].mean()) + 0.2
    assert len({int((mask > 0).sum()) for mask in label}) > 1


def test_a_labelled_crop_is_carried_onto_images_without_labels(data: Path) -> None:
    everyone = cases(data)
    registered = Registered(everyone[:2], everyone[2:])
    image, label = registered.draw(5, seed=0)
    assert image.shape == label.shape == (5, 1, *SHAPE)
    assert (registered.draw(5, seed=0)[0] == image).all()
    known = [
        (torch.from_numpy(values), torch.from_numpy(labels)) for values, labels in map(pair, everyone[2:])
    ]
    for one, mask in zip(image[:, 0], label[:, 0], strict=True):
        errors = [float((one - values).square().mean()) for values, _ in known]
        target, truth = known[int(np.argmin(errors))]
        assert min(errors) < 0.5 * float((target - target.mean()).square().mean())
        overlap = dice((mask > 0).numpy(), (truth > 0).numpy(), label=1)
        assert overlap is not None
        assert overlap > 0.7


def test_a_field_says_where_a_voxel_comes_from() -> None:
    image = np.random.default_rng(0).random((6, 7, 8), dtype=np.float32)
    field = np.zeros((3, 6, 7, 8), dtype=np.float32)
    field[1] = 1.0
    np.testing.assert_allclose(warped(image, field)[:, :-1], image[:, 1:], atol=1e-6)


def test_the_plan_has_every_cell_once_and_what_it_needs() -> None:
    planned = list(cells(0))
    assert len({cell.name for cell in planned}) == len(planned)
    assert {cell.labelled for cell in planned} == set(LABELLED)
    assert not any(cell.arm.unlabelled for cell in planned if not cell.labelled)
    assert {dataclasses.replace(cell, seed=0) for cell in cells(1)} < set(planned)
    names = [cell.name for cell in planned]
    for place, cell in enumerate(planned):
        assert named(cell.arm.baseline).longer == (1 if not cell.arm.begin else 2) * cell.arm.longer
        if cell.arm.begin:
            begun = dataclasses.replace(cell, arm=named(cell.arm.begin))
            assert begun.name in names[:place]


def test_a_gain_is_paired_over_patients() -> None:
    rng = np.random.default_rng(0)
    level = rng.uniform(0.5, 0.9, 20)
    low = [{"1": level.tolist(), "2": level.tolist()}]
    high = [{"1": (level + 0.03 + rng.normal(0, 0.005, 20)).tolist(), "2": (level + 0.03).tolist()}]
    found = gain(high, low)
    assert found.low < found.mean < found.high
    assert found.mean == pytest.approx(0.03, abs=0.005)
    assert found.p < 1e-4, "far below the spread between patients, yet plain when paired"
    none = gain(low, low)
    assert (none.mean, none.p) == (0.0, 1.0)


def test_seeds_that_disagree_widen_the_interval_of_a_gain() -> None:
    level = np.linspace(0.5, 0.9, 20)
    low, same, apart = (
        [{"1": (level + shift).tolist()} for shift in shifts]
        for shifts in ((0.0, 0.0, 0.0), (0.02, 0.02, 0.02), (-0.03, 0.02, 0.07))
    )
    steady, shaky = gain(same, low), gain(apart, low)
    assert steady.mean == pytest.approx(shaky.mean) == pytest.approx(0.02)
    assert steady.low > 0 > shaky.low
    assert steady.seeds == 3


def test_a_cell_that_was_judged_under_other_settings_is_not_found(bench: Bench) -> None:
    cell = Cell(2, named(STRONG), 0)
    bench.judged(cell)
    other = dataclasses.replace(bench, generator_updates=3)
    assert bench.found(cell) is not None
    assert other.found(cell) is None


def test_a_finished_run_with_other_settings_is_refused(bench: Bench) -> None:
    cell = Cell(2, ARMS[0], 0)
    bench.judged(cell)
    other = dataclasses.replace(bench, generator_updates=3)
    with pytest.raises(UsageError, match="other settings"):
        other.segmented(cell)


def test_the_page_says_whether_the_aims_are_reached(tmp_path: Path) -> None:
    def dices(value: float) -> page.Dices:
        return {"1": [value, value + 0.02], "2": [value, value]}

    levels = {STRONG: 0.8, "pairs": 0.83, "alone": 0.7, "pairs-unlabelled": 0.81}
    found = {
        Cell(n, named(arm), seed): dices(value + 0.05 * (n == 0))
        for n in LABELLED
        for arm, value in levels.items()
        for seed in (0, 1)
    }
    page.write(found, tmp_path)
    text = (tmp_path / "augmentation.md").read_text(encoding="utf-8")
    assert "the same crops raise Dice: +0.030" in text
    assert "this reaches the aim of +0.02" in text
    assert "unlabelled images raise Dice: +0.010" in text
    assert "this does not reach the aim of +0.02" in text
    assert "All real crops in place of those 8 change the Dice of (b) by +0.050." in text
    assert "88% of the Dice of all real ones; this does not reach" in text
    assert "less than 8 real crops give with (b): 0.755 instead of 0.805." in text
    assert "Above (b) by more than the interval: (c) b + generated pairs, 8 labels; " in text
    assert (tmp_path / "augmentation.png").stat().st_size > 5000


def test_where_generated_pairs_lower_the_dice_the_page_says_so() -> None:
    said = page.verdict(_cells_of(STRONG, 0.8) | _cells_of("pairs", 0.79))
    assert "the same crops lower Dice: -0.010" in said
    assert "shipped" not in said, "it learns from all labels, of which nothing is known yet"
    said = page.verdict(_cells_of(STRONG, 0.8, labelled=0) | _cells_of("pairs", 0.79, labelled=0))
    assert said.endswith("so it is trained with (b).")


def test_what_was_tried_once_and_won_is_named() -> None:
    said = page.verdict(_cells_of(STRONG, 0.8) | _cells_of("registered", 0.82, seeds=(0,)))
    assert "registered to unlabelled images, 8 labels, one seed." in said


def _cells_of(
    arm: str, value: float, *, labelled: int = 8, seeds: tuple[int, ...] = (0, 1)
) -> dict[Cell, page.Dices]:
    return {Cell(labelled, named(arm), seed): {"1": [value, value + 0.02]} for seed in seeds}
