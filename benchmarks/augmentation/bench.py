"""One cell after the other: the generator, its pairs, the segmentation, its Dice; all kept and resumable."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.augmentation import drawing
from benchmarks.augmentation.plan import STRONG, Cell, named
from benchmarks.kept import kept, read
from benchmarks.labelled_sets import first_labelled, write
from benchmarks.suggesting import SMALL, Dices, judged, suggested, trained
from medgan_core.training.finished import Finished
from medgan_core.training.recipes.hippocampus_suggest import HippocampusSuggest
from medgan_core.training.recipes.hippocampus_synthesize import HippocampusSynthesize

PROTOCOL = 2
UPDATES = 3000
"""Of a segmentation. With half of them the one on classical augmentation alone is far from its best."""

GENERATOR_UPDATES = 600


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where everything lies, and how long it is trained.

    Args:
        data: folder with the manifest.
        runs: folder of all runs and pairs; its last part is the benchmark's name.
        figures: folder of the Dice of every cell.
        updates: of a segmentation.
        generator_updates: of a generator.
        segmentation: further settings of every segmentation.
        generator: further settings of every generator.
    """

    data: Path
    runs: Path
    figures: Path
    updates: int = UPDATES
    generator_updates: int = GENERATOR_UPDATES
    segmentation: Mapping[str, Any] = field(default_factory=lambda: SMALL)
    generator: Mapping[str, Any] = field(default_factory=dict)

    def judged(self, cell: Cell) -> Dices:
        """Dice of a cell's segmentation in every val patient; made once."""
        found: Dices = kept(self.file(cell), self._key(cell), lambda: judged(self.segmented(cell), self.data))
        return found

    def found(self, cell: Cell) -> Dices | None:
        """The same where it was made already, else None."""
        there: Dices | None = read(self.file(cell), self._key(cell))
        return there

    def _key(self, cell: Cell) -> dict[str, Any]:
        return {
            "protocol": PROTOCOL,
            "arm": dataclasses.asdict(cell.arm),
            "updates": [self.updates, self.generator_updates],
            "settings": {k: str(v) for k, v in {**self.segmentation, **self.generator}.items()},
        }

    def file(self, cell: Cell) -> Path:
        """Where a cell's figures are kept."""
        return self.figures / f"{cell.name}.json"

    def segmented(self, cell: Cell) -> Finished:
        """The cell's segmentation, trained where it is not there."""
        arm, settings = cell.arm, dict(self.segmentation)
        data, labelled = self.data, cell.labelled
        if arm.drawing is not None:
            settings |= {"generated": str(self.pairs(cell)), "mix": arm.mix}
        if arm.suggested:
            data, labelled = self.suggested(cell), 0
        if arm.begin:
            begun = self.segmented(dataclasses.replace(cell, arm=named(arm.begin)))
            settings |= {"init": str(begun.path)}
        recipe = HippocampusSuggest(
            labelled=labelled,
            augmentation=arm.augmentation,
            seed=cell.seed,
            updates=self.updates * arm.longer,
            validate_every=self.updates * arm.longer,
            **settings,
        )
        return trained(recipe, data, self.runs / cell.name)

    def pairs(self, cell: Cell) -> Path:
        """The folder of the cell's generated pairs, drawn where it is not there."""
        wanted = cell.arm.drawing
        assert wanted is not None
        parts = [wanted.images, wanted.maps, wanted.choose, str(wanted.count)]
        kind = "-".join([*parts, *(["unlabelled"] if cell.arm.unlabelled else [])])
        folder = self.runs / "pairs" / f"{kind}-{cell.labelled or 'all'}-{cell.seed}"
        generator = self.generated(cell) if cell.arm.needs_generator else None
        if not (folder / "samples.json").is_file():
            sources = drawing.Sources(
                *self._training_set(cell),
                cell.seed,
                generator=generator,
                segmentation=self.strong(cell) if wanted.choose == "agreement" else None,
            )
            drawing.write(folder, *drawing.draw(wanted, sources))
        return folder

    def generated(self, cell: Cell) -> Finished:
        """The cell's generator, which saw only what the cell may see; trained where it is not there."""
        data, labelled = self._training_set(cell)
        recipe = HippocampusSynthesize(
            labelled=labelled,
            seed=cell.seed,
            updates=self.generator_updates,
            validate_every=self.generator_updates,
            **self.generator,
        )
        kind = "generator-unlabelled" if cell.arm.unlabelled else "generator"
        return trained(recipe, data, self.runs / f"{kind}-{cell.labelled or 'all'}-{cell.seed}")

    def strong(self, cell: Cell) -> Finished:
        """The segmentation with classical augmentation alone, of the same labels and seed."""
        return self.segmented(dataclasses.replace(cell, arm=named(STRONG)))

    def suggested(self, cell: Cell) -> Path:
        """A training set in which the unlabelled crops have the labels that `strong` suggests."""
        folder = self.runs / "suggested" / f"{cell.labelled}-{cell.seed}"
        if not (folder / "manifest.csv").is_file():
            own = set(first_labelled(self.data, cell.labelled, cell.seed))
            answers = suggested(self.strong(cell), self.data, validation=False)
            maps = {one.patient: one.labels.numpy() for one in answers if one.patient not in own}
            write(folder, self.data, own, maps)
        return folder

    def _training_set(self, cell: Cell) -> tuple[Path, int]:
        """Folder and number of labelled crops that the cell's pairs come from."""
        return (self.suggested(cell), 0) if cell.arm.unlabelled else (self.data, cell.labelled)
