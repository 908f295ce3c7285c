"""How a network is applied to one volume, decided from a memory estimate before it starts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import Any

import psutil  # type: ignore[import-untyped]
import torch

from medgan_core.errors import ResourceError, UsageError
from medgan_core.inference.compiled import Compiled
from medgan_core.inference.tiles import padded
from medgan_core.parsing import parse

_SHARE = 0.8  # of the free memory
_GPU_BATCH = 32  # fills a large GPU, and still a step of some milliseconds
_STEP_SECONDS = 0.8
_OVERLAP = 8  # multiples of the network's grid
_SMALLEST = 4  # side of the smallest tile in multiples


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Device, back end and sizes of every step; the same plan gives the same voxels.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        backend: ``torch``, ``openvino`` or ``onnxruntime``.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``.
        batch: slices in a step.
        tile: height and width of a step, multiples of the network's; the padded slice when it is whole.
        overlap: pixels that neighbouring tiles share at least.
        memory: upper bound in bytes of what `apply` takes beside its input.
    """

    device: str
    backend: str
    precision: str
    batch: int
    tile: tuple[int, int]
    overlap: int
    memory: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**dataclasses.asdict(self), "tile": list(self.tile)}

    @staticmethod
    def from_dict(plain: dict[str, Any]) -> Plan:
        """Read a plan back.

        Raises:
            ModelError: on a missing or unknown key or a value of the wrong type.
        """
        return parse(Plan, plain, where="plan")


def make(
    compiled: Compiled,
    shape: tuple[int, int, int],
    *,
    kept: int,
    memory_limit: int | None = None,
    tile: tuple[int, int] | None = None,
) -> Plan:
    """Whole slices when memory allows and a step stays short, else tiles.

    Args:
        compiled: the network.
        shape: of the volume, (i, j, k).
        kept: channels of the network's answer that are kept.
        memory_limit: bytes `apply` may take beside its input; None for most of what is free.
        tile: wished height and width; they are rounded up to the network's multiple.

    Raises:
        UsageError: when the wished tile is not positive.
        ResourceError: when even the smallest tile does not fit.
    """
    multiple = compiled.signature.multiple
    if tile is not None and min(tile) < 1:
        raise UsageError(
            "The tile is not usable",
            expected="two positive sides",
            got=str(tile),
            action="choose larger sides",
        )
    whole = (padded(shape[0], multiple), padded(shape[1], multiple))
    size = whole if tile is None else _within(tile, whole, multiple)
    cuda = compiled.torch_device.type == "cuda"
    plan = Plan(
        device=compiled.device,
        backend=compiled.backend,
        precision=compiled.precision,
        batch=min(_GPU_BATCH if cuda else compiled.parallel, shape[2]),
        tile=size,
        overlap=_overlap(size, whole, multiple),
        memory=0,
    )
    budget = _budget(compiled.torch_device) if memory_limit is None else memory_limit
    pixels = None if cuda else compiled.pixels_per_second * _STEP_SECONDS
    while True:
        plan = replace(plan, memory=estimate(compiled, shape, kept, plan))
        short = pixels is None or plan.tile[0] * plan.tile[1] <= pixels
        if plan.memory <= budget and short:
            return plan
        less = smaller(plan, compiled, shape)
        if less is None:
            if plan.memory <= budget:
                return plan
            raise _too_little(plan, budget)
        plan = less


def smaller(plan: Plan, compiled: Compiled, shape: tuple[int, int, int]) -> Plan | None:
    """The next smaller plan: half the batch, then half of the tile's longer side; None at the end."""
    if plan.batch > 1:
        return replace(plan, batch=plan.batch // 2)
    multiple = compiled.signature.multiple
    whole = (padded(shape[0], multiple), padded(shape[1], multiple))
    height, width = plan.tile
    if max(height, width) <= _SMALLEST * multiple:
        return None
    least = _SMALLEST * multiple
    if height >= width:
        tile = (max(padded(height // 2, multiple), least), width)
    else:
        tile = (height, max(padded(width // 2, multiple), least))
    return replace(plan, tile=tile, overlap=_overlap(tile, whole, multiple))


def estimate(compiled: Compiled, shape: tuple[int, int, int], kept: int, plan: Plan) -> int:
    """Upper bound in bytes: padded copy of the input, answer, blending buffer, features of one step."""
    multiple = compiled.signature.multiple
    whole = padded(shape[0], multiple) * padded(shape[1], multiple)
    held = 4 * shape[2] * (whole * compiled.signature.contrasts + shape[0] * shape[1] * kept)
    blend = 4 * plan.batch * whole * kept
    return held + blend + plan.batch * plan.tile[0] * plan.tile[1] * compiled.bytes_per_pixel


def _within(tile: tuple[int, int], whole: tuple[int, int], multiple: int) -> tuple[int, int]:
    return min(padded(tile[0], multiple), whole[0]), min(padded(tile[1], multiple), whole[1])


def _overlap(tile: tuple[int, int], whole: tuple[int, int], multiple: int) -> int:
    """Zero for whole slices, else as much as the network's grid asks for, at most half of the tile."""
    tiled = [side for side, full in zip(tile, whole, strict=True) if side < full]
    if not tiled:
        return 0
    return min(_OVERLAP * multiple, max(min(tiled) // 2 // multiple, 1) * multiple)


def _budget(device: torch.device) -> int:
    """Bytes that may be taken on a device."""
    if device.type == "cuda":
        free, _total = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(_SHARE * (free + held))
    return int(_SHARE * psutil.virtual_memory().available)


def _too_little(plan: Plan, budget: int) -> ResourceError:
    return ResourceError(
        "The memory does not suffice for this volume",
        expected=f"at least {plan.memory / 2**20:.0f} MiB (tiles of {plan.tile[0]}x{plan.tile[1]})",
        got=f"{budget / 2**20:.0f} MiB",
        action="raise the memory limit, close other programs, or crop the volume",
    )
