from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medgan_core.data.draws import generators
from medgan_core.data.lesion_scans import LESION, SHOWN, LesionHeads, LesionSlabs, of_patients, simulated
from medgan_core.data.slabs import CONTRASTS
from medgan_core.data.training_set import open_training_set
from medgan_core.preprocess import Preprocess
from tests.brains import brain_labels, write_heads


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_heads(tmp_path_factory.mktemp("heads"))


def test_the_mask_of_a_patient_lies_on_what_is_bright(data: Path) -> None:
    held = open_training_set(data)
    cases = [held.case(s, [*CONTRASTS, LESION]) for s in held.select(labels=[LESION])]
    source = of_patients(cases, Preprocess(in_plane_mm=(0.8, 1.2)), slices=3, size=48)
    flair, found = CONTRASTS.index("FLAIR"), 0
    for number in range(40):
        slab = source.draw(*generators(0, number))
        assert slab.lesion is not None
        assert len(slab.images) == len(CONTRASTS)
        inside = slab.lesion > 0.99
        if inside.sum() > 20:
            found += 1
            tissue = (slab.images[flair] > 0.3) & (slab.lesion == 0)
            bright, usual = (float(slab.images[flair][where].mean()) for where in (inside, tissue))
            assert bright > 1.4 * usual
    assert found >= 4


def test_simulated_lesions_are_in_white_matter_and_bright_on_flair() -> None:
    source = simulated([brain_labels()], slices=3, size=48)
    flair, brighter = CONTRASTS.index("FLAIR"), []
    for number in range(30):
        slab = source.draw(*generators(0, number))
        assert slab.lesion is not None
        inside, outside = slab.lesion > 0.99, (slab.lesion == 0) & (slab.images[flair] > 0.2)
        if inside.sum() > 30 and outside.any():
            brighter.append(
                float(slab.images[flair][inside].mean()) > float(slab.images[flair][outside].mean())
            )
    assert len(brighter) >= 8
    assert sum(brighter) / len(brighter) > 0.7, "fat is bright as well"


def test_a_sample_depends_on_its_number_alone() -> None:
    samples = LesionSlabs(simulated([brain_labels()], slices=3, size=32), seed=1, effects=1.0)
    first, again = samples[3], samples[3]
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert set(first["label"].unique().tolist()) <= {0, 1}


def test_every_second_head_to_judge_has_flair_alone() -> None:
    heads = LesionHeads(simulated([brain_labels()], slices=3, size=32), count=4, seed=0)
    assert len(heads) == 4
    for number in range(4):
        scan = heads[number]
        assert scan["image"].shape == (len(SHOWN), 60, 72, 20)
        assert scan["label"].shape == (1, 60, 72, 20)
        assert scan["present"].tolist() == [True, number % 2 == 1, number % 2 == 1]
        shown = scan["image"].abs().amax(dim=(1, 2, 3)) > 0
        assert torch.equal(shown, scan["present"])
    assert any(int(heads[n]["label"].sum()) > 0 for n in range(4))
