from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from benchmarks import variants
from benchmarks.labelled_sets import cases
from benchmarks.systems.judged import Bench
from benchmarks.systems.runs import Runs
from medgan_core.engine import Session
from medgan_core.training.recipes.segmentation import Segmentation
from tests.core.training.recipes.tiny_brains import run
from tests.crops import write_crops


def test_variants_follow_their_crops_and_their_maps_move_with_them(tmp_path: Path) -> None:
    crops = cases(write_crops(tmp_path / "data"))[:2]
    found = variants.varied(Session("cpu"), crops)
    assert len(found.images) == len(found.labels) == 2 * variants.EACH
    assert found.owners(variants.EACH).tolist() == [0, 0, 1, 1]
    for image, label, owner in zip(found.images, found.labels, found.owners(variants.EACH), strict=True):
        own, other = (found.originals[n].flatten() for n in (owner, 1 - owner))
        alike = [np.corrcoef(image.flatten(), x)[0, 1] for x in (own, other)]
        assert alike[0] > alike[1]
        assert 0 < (label != found.maps[owner]).float().mean() < 0.1
        inside, outside = image[label > 0].mean(), image[label == 0].mean()
        assert inside > outside + 0.1


def test_figures_stand_beside_those_of_the_crops_themselves(tmp_path: Path) -> None:
    data, runs = write_crops(tmp_path / "data", train=8, val=7), tmp_path / "runs"
    few = {"updates": 2, "batch": 2, "warmup": 1, "validate_every": 2}
    run(Segmentation(spatial_dims=3, widths=(4, 4, 4), **few), data, runs / "segmentation")
    found = variants.judge(Bench(data, Runs(runs), 8))
    dice, kid, alike = variants.figures(found)
    assert (dice.n, kid.n, alike.n) == (7, 8, 7)
    assert 0 < alike.value < 1
    assert alike.value > found["alike_real"]
    assert kid.baseline.startswith("training crops")
    assert torch.isfinite(torch.tensor([dice.value, kid.value])).all()
