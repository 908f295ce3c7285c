"""The randomness of samples: a function of seed and number alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

TRAINING, VALIDATION, DEGRADATION, MAPPED, TURNED = 0, 1, 2, 3, 4


def generators(seed: int, number: int, stream: int = TRAINING) -> tuple[np.random.Generator, torch.Generator]:
    """The two sources of randomness of one sample.

    Args:
        seed: of the training.
        number: of the sample.
        stream: which of several independent sequences: training and validation have their own, and so
            has what is done to a sample afterwards.
    """
    rng = np.random.default_rng((seed, number, stream))
    return rng, torch.Generator().manual_seed(int(rng.integers(2**62)))


def pick(rng: np.random.Generator, groups: Mapping[str, Sequence[int]]) -> int:
    """One member: first a group, then a member of it, all with the same chance.

    Args:
        rng: what draws.
        groups: members by group, none of them empty, such as cases by patient.
    """
    names = sorted(groups)
    members = groups[names[int(rng.integers(len(names)))]]
    return members[int(rng.integers(len(members)))]


def grouped(names: Sequence[str]) -> dict[str, list[int]]:
    """Positions of each name, such as cases by their patients."""
    groups: dict[str, list[int]] = {}
    for n, name in enumerate(names):
        groups.setdefault(name, []).append(n)
    return groups


def fixed_order(count: int, seed: int) -> list[int]:
    """All numbers below `count` in an order of the seed's, for samples that are gone through one by one."""
    return [int(n) for n in np.random.default_rng((seed, count)).permutation(count)]
