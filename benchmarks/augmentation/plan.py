"""Which trainings docs/augmentation.md compares: labels times what they are trained on times seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from benchmarks.augmentation.drawing import Drawing

LABELLED = (8, 32, 0)
"""Labelled training crops; 0 for all."""

SEEDS = (0, 1, 2)


STRONG = "strong"


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What a segmentation is trained on.

    Args:
        name: short, unique.
        title: in words.
        augmentation: of crops and pairs, see `HippocampusSuggest`.
        drawing: generated pairs, or None.
        mix: share of generated samples.
        unlabelled: the generator also learns from the crops without a label, with the labels that the
            segmentation of the arm ``strong`` suggests.
        suggested: trained on those suggested labels themselves, without a generator.
        begin: name of an arm whose weights to begin with (a curriculum), or "".
        longer: how many times as many updates as the others.
    """

    name: str
    title: str
    augmentation: str = "strong"
    drawing: Drawing | None = None
    mix: float = 0.5
    unlabelled: bool = False
    suggested: bool = False
    begin: str = ""
    longer: int = 1

    @property
    def baseline(self) -> str:
        """The arm of (b) that makes as many updates in all."""
        return "strong-longer" if self.begin or self.longer > 1 else STRONG

    @property
    def needs_generator(self) -> bool:
        """Whether a GAN is trained for it."""
        return self.drawing is not None and self.drawing.images == "spade"


PLAIN = Drawing()
DEFORMED = Drawing(images="deformed")
REGISTERED = Drawing(images="registered")

MAIN: tuple[Arm, ...] = (
    Arm(name="none", title="(a) nothing", augmentation="none"),
    Arm(name=STRONG, title="(b) strong classical augmentation"),
    Arm(name="pairs", title="(c) b + generated pairs", drawing=PLAIN),
    Arm(
        name="pairs-unlabelled",
        title="(c) b + generated pairs, also from unlabelled images",
        drawing=PLAIN,
        unlabelled=True,
    ),
    Arm(name="alone", title="(d) generated pairs alone", drawing=PLAIN, mix=1.0),
)
"""The question, with any number of labels; nothing is unlabelled where all crops have one."""

TRIED: tuple[Arm, ...] = (
    Arm(name="deformed", title="b + deformed crops instead of a GAN's", drawing=DEFORMED),
    Arm(name="shapes", title="maps from the shape model", drawing=replace(PLAIN, maps="shapes")),
    Arm(name="judge", title="pairs chosen by the discriminator", drawing=replace(PLAIN, choose="judge")),
    Arm(
        name="agreement",
        title="pairs chosen by agreement with the segmentation of (b)",
        drawing=replace(PLAIN, choose="agreement"),
    ),
    Arm(name="mix-25", title="a quarter generated", drawing=PLAIN, mix=0.25),
    Arm(name="mix-75", title="three quarters generated", drawing=PLAIN, mix=0.75),
    Arm(name="curriculum", title="(d) first, then (b) from its weights", begin="alone"),
    Arm(
        name="registered",
        title="no GAN: b + labelled crops registered to unlabelled images",
        drawing=REGISTERED,
    ),
    Arm(name="strong-longer", title="(b), twice the updates, as many as a curriculum's", longer=2),
    Arm(name="pairs-longer", title="(c), twice the updates", drawing=PLAIN, longer=2),
    Arm(
        name="suggested",
        title="no generator: suggested labels of the unlabelled images (self-training)",
        suggested=True,
    ),
)
"""What else was tried, with the fewest labels and the first seed."""


@dataclass(frozen=True)
class Cell:
    """One training of a segmentation."""

    labelled: int
    arm: Arm
    seed: int

    @property
    def name(self) -> str:
        """Of its run's folder."""
        return f"{self.arm.name}-{self.labelled or 'all'}-{self.seed}"


def cells(seed: int) -> Iterator[Cell]:
    """All of one seed, in an order in which what a cell needs comes before it."""
    for labelled in LABELLED:
        for arm in MAIN:
            if labelled or not arm.unlabelled:
                yield Cell(labelled, arm, seed)
    if seed == SEEDS[0]:
        for arm in TRIED:
            yield Cell(LABELLED[0], arm, seed)


def named(arm: str) -> Arm:
    """The arm of this name."""
    return next(one for one in (*MAIN, *TRIED) if one.name == arm)
