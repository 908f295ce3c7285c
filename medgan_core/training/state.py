"""Where a run stands on disk: weights, averages and optimiser as safetensors, the rest as JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

_TENSORS, _COUNTERS = "state.safetensors", "state.json"


def save_state(
    folder: Path,
    *,
    network: nn.Module,
    average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    counters: dict[str, Any],
) -> None:
    """Write the whole state; an interrupted write leaves the earlier one in place.

    The counters are kept in the header of the tensors' file as well, so the two never disagree.
    """
    tensors = {f"network.{k}": v.detach().contiguous() for k, v in network.state_dict().items()}
    tensors |= {f"average.{k}": v.contiguous() for k, v in average.items()}
    for number, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{k}": torch.as_tensor(v).contiguous() for k, v in state.items()}
    partial = folder / (_TENSORS + ".part")
    save_file(tensors, partial, metadata={"counters": json.dumps(counters)})
    os.replace(partial, folder / _TENSORS)
    (folder / _COUNTERS).write_text(json.dumps(counters, indent=2) + "\n", encoding="utf-8")


def load_state(
    folder: Path, *, network: nn.Module, average: dict[str, Tensor], optimiser: torch.optim.Optimizer
) -> dict[str, Any] | None:
    """Restore what `save_state` wrote into the given objects.

    Returns:
        The counters, or None when there is nothing to restore.
    """
    path = folder / _TENSORS
    if not path.is_file():
        return None
    tensors = load_file(path)
    network.load_state_dict({k[8:]: v for k, v in tensors.items() if k.startswith("network.")})
    average.update({k[8:]: v for k, v in tensors.items() if k.startswith("average.")})
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, number, name = key.split(".")
            state.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return _counters(path)


def _counters(path: Path) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as stream:
        counters: dict[str, Any] = json.loads(stream.metadata()["counters"])
    return counters
