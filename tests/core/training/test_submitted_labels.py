"""Which submitted labels a model is tuned on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medgan_core import io
from medgan_core.card import ModelCard
from medgan_core.errors import UsageError
from medgan_core.training.cohort import FOREIGN, Cohort
from medgan_core.volume import Geometry, Volume
from tests.models import toy_suggest

GRID = Geometry((6, 6, 6), np.eye(4))


@pytest.fixture(scope="module")
def suggester(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    """A model that knows the labels 1 and 2."""
    return toy_suggest(tmp_path_factory.mktemp("suggest"))


def site(folder: Path, **values: float) -> dict[str, Path]:
    """Images with a final label that has this value beside 0 and 1; those labels, as the store lists them."""
    finals = folder / "labels" / "final"
    finals.mkdir(parents=True)
    found = {}
    for name, value in values.items():
        voxels = np.zeros(GRID.shape, np.float32)
        io.write(Volume(voxels, GRID), folder / f"{name}.nii")
        voxels[0, 0, :2] = 1, value
        found[name] = io.write(Volume(voxels, GRID), finals / f"{name}.nii")
    return found


def test_a_label_with_foreign_values_is_left_out_and_counted(tmp_path: Path, suggester: ModelCard) -> None:
    finals = site(tmp_path, a=2, b=1, c=6, d=2, e=0.5)
    found = Cohort.of(tmp_path, suggester, finals)
    assert {study.patient for study in found.studies} == {"a", "b", "d"}
    assert {study.split for study in found.studies} == {"train", "val"}
    assert found.left_out == {FOREIGN: 2}


@pytest.mark.parametrize("foreign", ["a", "b", "c"])
def test_whoever_is_left_out_some_are_trained_on_and_one_is_held_back(
    tmp_path: Path, suggester: ModelCard, foreign: str
) -> None:
    found = Cohort.of(tmp_path, suggester, site(tmp_path, **{**dict.fromkeys("abc", 2), foreign: 7}))
    assert (found.patients, len(found.held_back)) == (1, 1)


def test_the_place_of_one_left_out_is_taken_by_another(tmp_path: Path, suggester: ModelCard) -> None:
    names = [f"p{number:02d}" for number in range(66)]
    finals = site(tmp_path, **dict.fromkeys(names[:3], 9), **dict.fromkeys(names[3:], 1))
    found = Cohort.of(tmp_path, suggester, finals)
    assert (found.patients, len(found.held_back)) == (48, 12)
    assert found.left_out[FOREIGN] > 0
    assert not {study.patient for study in found.studies} & set(names[:3])


def test_when_too_few_are_left_the_refusal_counts_them(tmp_path: Path, suggester: ModelCard) -> None:
    with pytest.raises(UsageError, match=f"2 submitted labels {FOREIGN}"):
        Cohort.of(tmp_path, suggester, site(tmp_path, a=6, b=2, c=7))
