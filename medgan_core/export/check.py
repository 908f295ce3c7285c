"""Whether an exported network computes what the original does."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from medgan_core.errors import ModelError, ResourceError

LIMIT = 1e-4
"""Largest difference that passes, as a share of the largest value: fp32 sums in another order."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """One comparison of the exported network with the original.

    Args:
        by: what ran it.
        shape: of the input.
        difference: the largest one, in the unit of the output.
        largest: absolute value of the original's output.
    """

    by: str
    shape: tuple[int, ...]
    difference: float
    largest: float

    @property
    def share(self) -> float:
        """The difference as a share of the largest value."""
        return self.difference / max(self.largest, 1e-12)


@dataclass(frozen=True)
class Exported:
    """What was written, and how it agreed with the original."""

    path: Path
    agreements: tuple[Agreement, ...]


def compare(
    by: str, network: nn.Module, exported: Callable[[Tensor], Tensor], examples: Iterable[Tensor]
) -> tuple[Agreement, ...]:
    """Run both on the examples.

    Raises:
        ModelError: when shapes differ, or values by more than `LIMIT`.
    """
    found = []
    for example in examples:
        with torch.no_grad():
            true, made = network(example), exported(example)
        if made.shape != true.shape:
            raise _other(by, example, f"the shape {tuple(true.shape)}", f"{tuple(made.shape)}")
        one = Agreement(
            by=by,
            shape=tuple(example.shape),
            difference=float((made - true).abs().max()),
            largest=float(true.abs().max()),
        )
        if not one.share <= LIMIT:
            raise _other(
                by, example, f"a difference of at most {LIMIT:g} of the largest value", f"{one.share:.2g}"
            )
        found.append(one)
    return tuple(found)


def require(*modules: str, extra: str) -> None:
    """Check that optional libraries are installed.

    Args:
        modules: names as they are imported.
        extra: of this package, which brings them.

    Raises:
        ResourceError: when one is not there.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise ResourceError(
            "A library that this needs is not installed",
            expected=", ".join(modules),
            got="no " + ", ".join(missing),
            action=f"pip install 'medgan[{extra}]'",
        )


def _other(by: str, example: Tensor, expected: str, got: str) -> ModelError:
    return ModelError(
        f"The exported network computes something else ({by}, input {tuple(example.shape)})",
        expected=expected,
        got=got,
        action="nothing was written; report this with the model's name and the versions (medgan --version)",
    )
