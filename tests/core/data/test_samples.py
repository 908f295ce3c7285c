from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from medgan_core.data.cases import TrainingSet
from medgan_core.data.crops import LabelledCrops
from medgan_core.data.degradation import MaskedSamples, ThickSliceSamples
from medgan_core.data.files import FileSet
from medgan_core.data.lesions import LesionPatches
from medgan_core.data.masks import LesionShapes
from medgan_core.data.pack import Pack
from medgan_core.data.samples import Samples
from medgan_core.data.slices import PairedSlices, UnpairedSlices
from medgan_core.data.stacks import Stack, load_stacks
from medgan_core.data.windows import Augmentation
from medgan_core.errors import UsageError

MOVED = Augmentation()
STILL = Augmentation(flip=0, rotation_deg=0, scale=0, shift=0, gain=0, gamma=0)


def crops(data: TrainingSet, *, seed: int = 0, validation: bool = False) -> LabelledCrops:
    return LabelledCrops.of(data, validation=validation, shape=(20, 24, 18), augmentation=MOVED, seed=seed)


def crop_slices(data: TrainingSet, *, seed: int = 0, validation: bool = False) -> LabelledCrops:
    return LabelledCrops.of(
        data, validation=validation, shape=(20, 24, 18), spatial_dims=2, augmentation=MOVED, seed=seed
    )


def stacks(data: TrainingSet, *contrasts: str, validation: bool = False, **options: Any) -> list[Stack]:
    return load_stacks(data, contrasts, validation=validation, fold=options.pop("fold", 0), **options)


def paired(data: TrainingSet, *, seed: int = 0, validation: bool = False) -> PairedSlices:
    found = stacks(data, "T1", "FLAIR", validation=validation, pixel_mm=1.5)
    return PairedSlices(found, size=(32, 30), augmentation=MOVED, seed=seed, validation=validation)


def slabs(data: TrainingSet, *, seed: int = 0, validation: bool = False) -> PairedSlices:
    found = stacks(data, "T1", validation=validation, plane="coronal")
    return PairedSlices(found, size=(32, 24), depth=5, augmentation=MOVED, seed=seed, validation=validation)


def unpaired(data: TrainingSet, *, seed: int = 0, validation: bool = False) -> UnpairedSlices:
    one, other = (stacks(data, key, validation=validation) for key in ("T1", "FLAIR"))
    return UnpairedSlices(one, other, size=(32, 32), augmentation=MOVED, seed=seed, validation=validation)


def patches(data: TrainingSet, *, seed: int = 0, validation: bool = False) -> LesionPatches:
    found = stacks(data, "T1", "FLAIR", label="lesion", validation=validation)
    return LesionPatches(found, size=(12, 12), augmentation=MOVED, seed=seed, validation=validation)


def degraded(data: TrainingSet, *, seed: int = 0, validation: bool = False) -> MaskedSamples:
    return MaskedSamples(
        ThickSliceSamples(crops(data, seed=seed, validation=validation), factor=2),
        kinds=("box", "blob", "slices", "lesion"),
        lesions=LesionShapes(
            [s.share >= 0.5 for s in stacks(data, "T1", label="lesion") if s.share is not None]
        ),
        seed=seed,
    )


MAKERS: dict[str, Callable[..., Samples]] = {
    "crops": crops,
    "crop slices": crop_slices,
    "paired": paired,
    "slabs": slabs,
    "unpaired": unpaired,
    "patches": patches,
    "degraded": degraded,
}
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "crops": {"image": (1, 20, 24, 18), "label": (1, 20, 24, 18), "case": ()},
    "crop slices": {"image": (1, 24, 18), "label": (1, 24, 18), "case": ()},
    "paired": {"image": (2, 32, 30), "case": ()},
    "slabs": {"image": (1, 5, 32, 24), "case": ()},
    "unpaired": {"a": (1, 32, 32), "b": (1, 32, 32)},
    "patches": {"image": (2, 12, 12), "mask": (1, 12, 12), "label": (), "case": ()},
    "degraded": {
        "image": (1, 20, 24, 18),
        "label": (1, 20, 24, 18),
        "case": (),
        "low": (1, 20, 24, 9),
        "hole": (1, 20, 24, 18),
        "masked": (1, 20, 24, 18),
    },
}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("name", MAKERS)
def test_samples_depend_on_seed_and_number_alone_and_not_on_where_they_come_from(
    name: str, files: FileSet, packed: Pack
) -> None:
    make = MAKERS[name]
    for validation in (False, True):
        if name == "unpaired" and validation:
            continue  # the fold's patients are two, and only their number matters below
        here, there = make(files, validation=validation), make(packed, validation=validation)
        first = here[3]
        assert {k: tuple(v.shape) for k, v in first.items()} == SHAPES[name]
        here[0], here[7]
        assert same(here[3], first)
        assert same(there[3], first)
    here = make(files)
    assert not same(here[3], here[5])
    assert not same(here[3], make(files, seed=1)[3])


@pytest.mark.parametrize("name", ["crops", "crop slices", "paired", "slabs", "patches"])
def test_validation_shows_other_patients_and_training_all_of_its_own(name: str, packed: Pack) -> None:
    seen = {}
    for validation in (False, True):
        samples: Any = MAKERS[name](packed, validation=validation)
        seen[validation] = {samples.patients[int(samples[n]["case"])] for n in range(24)}
        assert seen[validation] == set(samples.patients)
    assert seen[True]
    assert not seen[True] & seen[False]


def test_validation_crops_are_what_is_in_the_file(data: TrainingSet) -> None:
    samples = LabelledCrops.of(data, validation=True, shape=(18, 26, 20))
    (study,) = [s for s in data.studies if s.source == "crops" and s.split == "val"]
    case = data.case(study)
    sample = samples[0]
    np.testing.assert_array_equal(sample["image"][0].numpy(), case.images["T1"].image()[2:20])
    np.testing.assert_array_equal(sample["label"][0].numpy(), case.label("labels")[2:20])
    assert len(samples) == 1
    assert set(sample["label"].unique().tolist()) == {0, 1, 2}


def test_all_labelled_slices_are_gone_through_once(packed: Pack) -> None:
    samples = crop_slices(packed, validation=True)
    assert len(samples) == 6  # the label is six voxels wide
    assert len({samples[n]["image"].numpy().tobytes() for n in range(6)}) == 6
    assert same(samples[0], samples[6])
    assert all((samples[n]["label"] > 0).sum() >= 10 for n in range(6))


def test_the_contrasts_of_a_pair_move_together(packed: Pack) -> None:
    twice = [
        Stack(s.images.repeat(2, 1, 1, 1), None, s.patient, s.mirrored, s.head, s.slice_mm, s.pixel_mm)
        for s in stacks(packed, "T1")
    ]
    samples = PairedSlices(twice, size=(48, 44), depth=3, augmentation=Augmentation(gain=0, gamma=0))
    for n in range(4):
        one, other = samples[n]["image"]
        assert float(one.max()) > 0.5
        assert torch.equal(one, other)


def test_unpaired_slices_are_of_different_patients(packed: Pack) -> None:
    one = stacks(packed, "T1")
    marked = [
        Stack(torch.full_like(s.images, n + 1.0), None, s.patient, s.mirrored, s.head, s.slice_mm, s.pixel_mm)
        for n, s in enumerate(one)
    ]
    samples = UnpairedSlices(marked, marked, size=(8, 8))
    pairs = {(float(s["a"].max()), float(s["b"].max())) for s in (samples[n] for n in range(20))}
    assert pairs == {(1.0, 2.0), (2.0, 1.0)}
    with pytest.raises(UsageError, match="two patients"):
        UnpairedSlices(one[:1], one[:1])


def test_patches_are_balanced_and_their_masks_are_right(packed: Pack) -> None:
    found = stacks(packed, "T1", "FLAIR", label="lesion")
    samples = LesionPatches(found, size=(12, 12), augmentation=MOVED)
    several = [samples[n] for n in range(40)]
    assert sum(float(s["label"]) for s in several) == 20
    for sample in several:
        voxels = int(sample["mask"].sum())
        assert voxels >= 10 if sample["label"] else voxels == 0
    free = LesionPatches(found, size=(12, 12), share=0.0)
    assert all(float(free[n]["label"]) == 0 for n in range(8))
    bright = [float(s["image"][1][s["mask"][0] > 0].mean()) for s in several if s["label"]]
    dim = [float(s["image"][1].mean()) for s in several if not s["label"]]
    assert min(bright) > max(dim)  # the phantom's lesions are bright on FLAIR


def test_lesion_free_patches_keep_their_distance() -> None:
    share = torch.zeros(5, 60, 60, dtype=torch.float16)
    share[2, 30, 30] = 1
    images = torch.ones(1, 5, 60, 60, dtype=torch.float16)
    stack = Stack(images, share, "p", True, False, 3.0, (1.0, 1.0))
    samples = LesionPatches([stack], size=(8, 8), share=0.0, clearance_mm=4.0)
    places = samples._without[0].long()
    reach = (places - torch.tensor([2, 30, 30])).abs()
    near = (reach[:, 0] <= 1) & (reach[:, 1] <= 8) & (reach[:, 2] <= 8)
    assert len(places)
    assert not near.any()
    assert {int(p[0]) for p in places} == {0, 1, 2, 3, 4}
    head = Stack(images, share, "p", True, True, 3.0, (1.0, 1.0))
    deep = LesionPatches([head], size=(8, 8), share=0.0, scalp_mm=15.0)._without[0]
    assert int(deep[:, 1:].min()) > 15
    assert int(deep[:, 1:].max()) < 60 - 15


def test_a_request_without_data_says_what_is_missing(packed: Pack) -> None:
    with pytest.raises(UsageError, match="T9"):
        load_stacks(packed, ("T9",), validation=False)
    with pytest.raises(UsageError, match="plane"):
        load_stacks(packed, ("T1",), validation=False, plane="oblique")
    with pytest.raises(UsageError, match="label"):
        LesionPatches(stacks(packed, "T1"))
    with pytest.raises(UsageError, match="labelled"):
        LabelledCrops([packed.case(s) for s in packed.select(coverage=["crop"])], spatial_dims=2, least=999)
    with pytest.raises(UsageError, match="kind"):
        MaskedSamples(crops(packed), kinds=("lesion",))


def test_an_augmentation_of_nothing_changes_nothing(packed: Pack) -> None:
    cases = [packed.case(s) for s in packed.select(coverage=["crop"])]
    plain, still = (LabelledCrops(cases, shape=(18, 24, 18), augmentation=a) for a in (None, STILL))
    torch.testing.assert_close(plain[2]["image"], still[2]["image"], rtol=0, atol=1e-5)
    assert torch.equal(plain[2]["label"], still[2]["label"])


def lesion_stack(*places: tuple[slice, slice, slice]) -> Stack:
    share = torch.zeros(5, 60, 60, dtype=torch.float16)
    for place in places:
        share[place] = 1
    return Stack(torch.ones(1, 5, 60, 60, dtype=torch.float16), share, "p", True, False, 3.0, (1.0, 1.0))


ONE_SIDE = (slice(1, 4), slice(12, 20), slice(28, 36))
BOTH_SIDES = [(slice(1, 4), side, slice(4, 8)) for side in (slice(14, 18), slice(42, 46))]


def test_where_both_kinds_are_drawn_they_mirror_each_other() -> None:
    stack = lesion_stack(ONE_SIDE, *BOTH_SIDES)
    samples = LesionPatches([stack], size=(8, 8), validation=True)
    free, lesion = samples._without[0].long(), samples._with[0].long()
    anywhere = LesionPatches([stack], size=(8, 8), share=0.0)._without[0].long()
    assert 0 < len(free) < len(anywhere)
    assert int(free[:, 1].min()) >= 40 - 6
    assert int(free[:, 1].max()) <= 47 + 6
    assert set(free[:, 0].tolist()) == {0, 1, 2, 3, 4}
    assert int(lesion[:, 2].min()) >= 28  # the other side of the others has a lesion too
    assert len(lesion) == 3 * 8 * 8


def test_a_stack_without_comparable_places_is_trained_on_but_not_judged() -> None:
    stacks_of_both = [lesion_stack(*BOTH_SIDES), lesion_stack(ONE_SIDE)]
    judged = LesionPatches(stacks_of_both, size=(8, 8), validation=True)
    assert [len(p) > 0 for p in judged._with] == [len(p) > 0 for p in judged._without] == [False, True]
    trained = LesionPatches(stacks_of_both, size=(8, 8))
    assert len(trained._with[0]) == 2 * 3 * 4 * 4
    assert len(trained._without[0]) > len(trained._without[1])
    alone = LesionPatches(stacks_of_both[:1], size=(8, 8), validation=True)
    assert len(alone._with[0]) == len(trained._with[0])  # nothing better is there
