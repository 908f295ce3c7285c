"""Where a run stands, on disk: tensors in safetensors files of bounded size, all else as JSON.

A state is a folder of its own, and a small file names the one that counts; an interrupted write leaves the
earlier state in place. Parts stay below `PART_MIB`, so that a run can travel between machines in chunks.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from medgan_core.errors import ModelError
from medgan_core.whole_files import replacing

PART_MIB = 12
_FORMAT = 2


@dataclass(frozen=True)
class State:
    """A nested dictionary with text keys (whole numbers are written as text) of tensors and plain values."""

    tree: dict[str, Any]

    def save(self, folder: Path, name: str = "state") -> None:
        """Write as ``folder/NAME-N/``, then point ``folder/NAME.json`` to it and remove the one before."""
        pointer = folder / f"{name}.json"
        before = _target(pointer)
        number = int(before.name.rpartition("-")[2]) + 1 if before else 0
        target = folder / f"{name}-{number}"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        tensors: dict[str, Tensor] = {}
        plain = _split(self.tree, "", tensors)
        for part, piece in enumerate(_parts(tensors)):
            save_file(piece, target / f"part-{part}.safetensors")
        text = json.dumps({"format": _FORMAT, "values": plain}, indent=2)
        (target / "values.json").write_text(text + "\n", encoding="utf-8")
        with replacing(pointer) as draft:
            draft.write_text(json.dumps({"folder": target.name}) + "\n", encoding="utf-8")
        if before is not None:
            shutil.rmtree(before, ignore_errors=True)

    @staticmethod
    def load(folder: Path, name: str = "state") -> State | None:
        """Read what `save` wrote last; None when there is nothing."""
        target = _target(folder / f"{name}.json")
        if target is None:
            return None
        tensors: dict[str, Tensor] = {}
        for file in sorted(target.glob("part-*.safetensors")):
            tensors |= read_tensors(file)
        plain = json.loads((target / "values.json").read_text(encoding="utf-8"))
        if plain["format"] != _FORMAT:
            return None
        return State(_join(plain["values"], tensors))


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        ModelError: when it is damaged.
    """
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            "Weights cannot be read",
            expected=f"{file.parent.name}/{file.name} as it was written",
            got=str(error),
            action="bring back a copy of the file, or train again",
        ) from error


def plain_state(optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """An optimiser's state with text keys, without its settings (the recipe has them)."""
    return {"state": _texts(optimiser.state_dict()["state"])}


def restore(optimiser: torch.optim.Optimizer, kept: Mapping[str, Any]) -> None:
    """Give an optimiser what `plain_state` took."""
    state = {_number(key): value for key, value in kept["state"].items()}
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _target(pointer: Path) -> Path | None:
    if not pointer.is_file():
        return None
    name = json.loads(pointer.read_text(encoding="utf-8")).get("folder", "")
    target = pointer.parent / Path(name).name
    return target if name and target.is_dir() else None


_TENSOR = "__tensor__"


def _split(tree: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """Take the tensors out of a tree and leave their names in their places."""
    if isinstance(tree, Tensor):
        tensors[path] = tree.detach().contiguous()
        return {_TENSOR: path}
    if isinstance(tree, Mapping):
        return {str(k): _split(v, f"{path}/{k}", tensors) for k, v in tree.items()}
    if isinstance(tree, list | tuple):
        return [_split(v, f"{path}/{n}", tensors) for n, v in enumerate(tree)]
    return tree


def _join(plain: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(plain, dict):
        if _TENSOR in plain:
            return tensors[plain[_TENSOR]]
        return {k: _join(v, tensors) for k, v in plain.items()}
    if isinstance(plain, list):
        return [_join(v, tensors) for v in plain]
    return plain


def _parts(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Group tensors so that a group stays below the limit (a single tensor may exceed it)."""
    part: dict[str, Tensor] = {}
    size = 0
    for key, tensor in tensors.items():
        length = tensor.numel() * tensor.element_size()
        if part and size + length > PART_MIB * 2**20:
            yield part
            part, size = {}, 0
        part[key] = tensor.clone()
        size += length
    if part:
        yield part


def _texts(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {str(k): _texts(v) for k, v in tree.items()}
    return tree


def _number(key: str) -> int | str:
    return int(key) if key.isdigit() else key
