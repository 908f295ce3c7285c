"""What the card of a published model says of its last validation."""

from __future__ import annotations

from collections.abc import Mapping

from medgan_core.card import Figure
from medgan_core.training.recipe import Batch

STUDIES = "studies"
"""Number under which a validation says how many visits of patients its samples come from."""


def studies(batch: Batch) -> dict[str, float]:
    """How many visits the samples of a validation come from, as one of its numbers."""
    return {STUDIES: float(len(set(batch["case"].tolist())))}


def figures(
    numbers: Mapping[str, float], command: str, *, units: Mapping[str, str], baseline: str, words: str
) -> tuple[Figure, ...]:
    """Figures of a card; none when the validation did not say how many studies it looked at.

    Args:
        numbers: of the validation, those of the baseline with its name after an underscore.
        command: that trained the run.
        units: of the numbers to tell, by name.
        baseline: name of what the model is compared with.
        words: the same in words.
    """
    if STUDIES not in numbers:
        return ()
    return tuple(
        Figure(
            name=name.replace("_", " "),
            value=round(numbers[name], 4),
            unit=unit,
            n=int(numbers[STUDIES]),
            split="studies left out of the training, a few images of each",
            command=command,
            baseline=f"{words}: {numbers[other]:.4g}" if (other := f"{name}_{baseline}") in numbers else "",
        )
        for name, unit in units.items()
    )
