from __future__ import annotations

import numpy as np
import torch

from medgan_core.data.draws import generators
from medgan_core.physics.ms_lesions import add_ms_lesions
from medgan_core.physics.simulation import tissue_map
from medgan_core.physics.tissues import INDEX
from tests.brains import brain_labels

TISSUE = torch.from_numpy(np.ascontiguousarray(tissue_map(brain_labels())[..., 25:40].transpose(2, 0, 1)))


def test_lesions_replace_white_matter_alone() -> None:
    painted = 0
    for number in range(30):
        found = add_ms_lesions(TISSUE.clone(), *generators(0, number))
        changed = found != TISSUE
        assert (TISSUE[changed] == INDEX["white"]).all()
        assert (found[changed] == INDEX["ms lesion"]).all()
        painted += bool(changed.any())
    assert 20 <= painted < 30


def test_many_lesions_lie_beside_the_ventricles() -> None:
    fluid = torch.eq(TISSUE, INDEX["csf"]).float()[:, None]
    near = torch.nn.functional.max_pool2d(fluid, 9, stride=1, padding=4)[:, 0] > 0
    white = torch.eq(TISSUE, INDEX["white"])
    lesions = torch.zeros_like(white)
    for number in range(40):
        lesions |= add_ms_lesions(TISSUE.clone(), *generators(1, number)) == INDEX["ms lesion"]
    share = float((lesions & near).sum()) / float((white & near).sum())
    elsewhere = float((lesions & ~near).sum()) / float((white & ~near).sum())
    assert share > elsewhere


def test_without_white_matter_nothing_is_painted() -> None:
    grey = torch.full_like(TISSUE, INDEX["grey"])
    assert torch.equal(add_ms_lesions(grey.clone(), *generators(0, 0)), grey)
