"""The rounds of a simulated annotation.

A first network learns from a few crops drawn at random. Then a strategy of `medgan_core.active` says which
crops to label next, from what the network says of the unlabelled ones, and a new network learns from all
that are labelled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.kept import kept, read
from benchmarks.labelled_sets import cases, first_labelled, write
from benchmarks.suggesting import SMALL, UPDATES, Dices, judged, suggested, trained
from medgan_core.active import Pool, at_random, disagreement, order
from medgan_core.training.finished import Finished
from medgan_core.training.recipes.hippocampus_suggest import HippocampusSuggest

ROUNDS = (4, 8, 16, 32)
"""Labelled crops in each round; the first are drawn at random."""

SEEDS = (0, 1, 2)
PROTOCOL = 3


@dataclass(frozen=True, kw_only=True)
class Way:
    """Who chooses the next crops.

    Args:
        name: short, unique.
        strategy: of `medgan_core.active`.
        networks: trained from different random weights; of one network the views are the members that may
            disagree, of several the networks.
    """

    name: str
    strategy: str
    networks: int = 1


WAYS = (
    Way(name="random", strategy="random"),
    Way(name="epistemic", strategy="epistemic"),
    Way(name="epistemic-ensemble", strategy="epistemic", networks=3),
    Way(name="diversity", strategy="diversity"),
)

Curves = dict[tuple[str, int], list[Dices]]
"""Dice in every round by way and seed."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One strategy after the other, round by round.

    Args:
        data: folder with the manifest.
        runs: folder of all runs; its last part is the benchmark's name.
        figures: folder of the Dice of every round.
        rounds: labelled crops in each round.
        updates: of every network.
        segmentation: further settings of every network.
    """

    data: Path
    runs: Path
    figures: Path
    rounds: tuple[int, ...] = ROUNDS
    updates: int = UPDATES
    segmentation: Mapping[str, Any] = field(default_factory=lambda: SMALL)

    def curve(self, way: Way, seed: int) -> list[Dices]:
        """Dice on the val patients in every round; what was done is taken from the folder."""
        labelled = self._begun(seed)
        found = []
        for number in range(len(self.rounds)):
            record = self._round(way, seed, labelled, number)
            found.append(record["dice"])
            labelled = record["next"]
        return found

    def finished(self) -> Curves:
        """The curves of which every round is there, of any seed."""
        found: Curves = {}
        for way in WAYS:
            for seed in SEEDS:
                labelled: Sequence[str] = self._begun(seed)
                curve: list[Dices] = []
                for number in range(len(self.rounds)):
                    record = read(self._file(way, seed, number), self._key(way, labelled, number))
                    if record is None:
                        break
                    curve.append(record["dice"])
                    labelled = record["next"]
                else:
                    found[way.name, seed] = curve
        return found

    def _begun(self, seed: int) -> list[str]:
        """Who is labelled in the first round."""
        return sorted(set(first_labelled(self.data, self.rounds[0], seed)))

    def _file(self, way: Way, seed: int, number: int) -> Path:
        return self.figures / f"{way.name}-{number}-{seed}.json"

    def _round(self, way: Way, seed: int, labelled: Sequence[str], number: int) -> dict[str, Any]:
        """Dice of the network that learnt from the labelled crops, and who is labelled next."""
        name = f"{way.name if number else 'first'}-{self.rounds[number]}-{seed}"
        last = number + 1 == len(self.rounds)

        def make() -> dict[str, Any]:
            runs = [self._trained(name, labelled, seed, n) for n in range(1 if last else way.networks)]
            more = 0 if last else self.rounds[number + 1] - self.rounds[number]
            chosen = self._chosen(runs, way.strategy, seed, labelled)[:more] if more else []
            return {"dice": judged(runs[0], self.data), "next": [*labelled, *chosen]}

        found: dict[str, Any] = kept(self._file(way, seed, number), self._key(way, labelled, number), make)
        return found

    def _key(self, way: Way, labelled: Sequence[str], number: int) -> dict[str, Any]:
        return {
            "protocol": PROTOCOL,
            "way": asdict(way),
            "rounds": self.rounds[: number + 2],
            "updates": self.updates,
            "labelled": list(labelled),
            "settings": {k: str(v) for k, v in self.segmentation.items()},
        }

    def _trained(self, name: str, labelled: Sequence[str], seed: int, number: int) -> Finished:
        """The n-th network of a round."""
        recipe = HippocampusSuggest(
            seed=seed + 1000 * number, updates=self.updates, validate_every=self.updates, **self.segmentation
        )
        folder = write(self.runs / "sets" / name, self.data, set(labelled))
        return trained(recipe, folder, self.runs / (f"{name}-{number}" if number else name))

    def _chosen(
        self, runs: Sequence[Finished], strategy: str, seed: int, labelled: Sequence[str]
    ) -> list[str]:
        """The unlabelled patients in the order of the strategy."""
        if strategy == "random":
            left = [one.study.patient for one in cases(self.data) if one.study.patient not in labelled]
            return [left[index] for index in at_random(len(left), seed=seed)]
        features: dict[str, NDArray[np.float32]] = {}
        scores: dict[str, float] = {}
        for answers in zip(*(suggested(run, self.data, validation=False) for run in runs), strict=True):
            first = answers[0]
            features[first.patient] = first.features.numpy()
            if first.patient not in labelled:
                scores[first.patient] = _disagreement([one.members.numpy() for one in answers])
        pool = Pool(
            scores=np.array(list(scores.values())),
            features=np.stack([features[patient] for patient in scores]),
            labelled=np.stack([features[patient] for patient in labelled]),
            seed=seed,
        )
        left = list(scores)
        return [left[index] for index in order(strategy, pool)]


def _disagreement(networks: Sequence[NDArray[np.float32]]) -> float:
    """Of the views of one network, or of several networks, each the mean over its views."""
    members = networks[0] if len(networks) == 1 else np.stack([views.mean(axis=0) for views in networks])
    return disagreement(members)
