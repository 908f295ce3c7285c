from __future__ import annotations

import numpy as np
import pytest
import torch

from medgan_core.data.slabs import CONTRASTS, Slab
from medgan_core.errors import InputError
from medgan_core.training.recipes.translate import INPUTS, TARGETS, TranslateSamples


class Scans:
    """Slabs with the contrasts of one of the studies, drawn at random."""

    def __init__(self, *studies: tuple[str, ...]) -> None:
        self.studies = studies

    def draw(self, rng: np.random.Generator, generator: torch.Generator) -> Slab:
        study = self.studies[rng.integers(len(self.studies))]
        there = tuple(contrast in study for contrast in CONTRASTS)
        images = torch.rand((len(CONTRASTS), 3, 8, 8), generator=generator)
        return Slab(images * torch.tensor(there)[:, None, None, None], there)


def test_a_target_is_always_left_to_predict_and_never_shown() -> None:
    samples = TranslateSamples(Scans(("T1", "T1post"), ("T2", "FLAIR", "PD"), ("T1", "PD")), seed=0)
    for number in range(60):
        sample = samples[number]
        shown = sample["input"][-len(INPUTS) :, 0, 0].bool()
        wanted = sample["weight"].amax((1, 2)) > 0
        assert wanted.any()
        assert not any(
            shown[INPUTS.index(t)] for t, is_wanted in zip(TARGETS, wanted, strict=True) if is_wanted
        )


@pytest.mark.parametrize("study", [("T1", "PD"), ("T1post", "PD")])
def test_scans_of_which_nothing_can_be_made_of_another_are_refused(study: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="nothing to translate"):
        TranslateSamples(Scans(study), seed=0)[0]
