"""What a run folder holds, and how it is read again.

- ``recipe.json``: the resolved recipe and the version of the code.
- ``data.json``: the files of the data set with their hashes, and whose were read to train on.
- ``metrics.jsonl``, ``curves/``, ``pictures/``: what `journal` writes.
- ``state.json`` and ``state-N/``: where to go on from; ``good``: the last state that was well; ``best``: the
  best average so far.
- ``networks/NAME.safetensors``: the averaged networks of the finished run; ``done.json``: how it was trained.
- ``models/NAME/``: the model that is served, where the recipe has one.
- ``base/NAME/``: the model that was tuned, where the run is a tuning.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from medgan_core import registry
from medgan_core.data.training_set import open_training_set
from medgan_core.data.witness import Patient
from medgan_core.errors import MedganError, UsageError
from medgan_core.parsing import parse
from medgan_core.results import make_folder
from medgan_core.training.recipe import Recipe
from medgan_core.training.state import read_tensors

BASE = "base"
_RECIPE, _DATA, _DONE, _NETWORKS = "recipe.json", "data.json", "done.json", "networks"
_SAME = ("set", "patient", "visit", "split", "kind", "key", "sha256")


def claim(out: Path, resolved: Mapping[str, Any], data: Path, *, resume: bool) -> None:
    """Make the folder this run's, or check that it is.

    Args:
        out: the folder; is made.
        resolved: the recipe with all its settings.
        data: folder of the data set.
        resume: the folder may hold the same recipe's state.

    Raises:
        UsageError: when it holds another run, one of other data, or one that is not to be resumed.
    """
    now = json.loads(json.dumps(resolved))
    files = open_training_set(data).record()
    make_folder(out)
    if _begun(out):
        before = json.loads((out / _RECIPE).read_text(encoding="utf-8"))
        changed = [k for k in now if k != "version" and before.get(k) != now[k]]
        if not resume or changed:
            raise UsageError(
                "The run folder holds a run already",
                expected="a new folder, or the same recipe and --resume",
                got=out.name + (f", other {', '.join(changed)}" if changed else ""),
                action="choose another --out, or add --resume",
            )
        _require_same(json.loads((out / _DATA).read_text(encoding="utf-8"))["files"], files)
    else:
        _write(out / _DATA, {"files": files})
    _write(out / _RECIPE, now)


def _begun(out: Path) -> bool:
    """Whether there is anything to lose: a recipe alone is of a training that failed before it learned."""
    return is_run(out) and any((out / name).is_file() for name in ("metrics.jsonl", "state.json", _DONE))


def _require_same(before: Sequence[Mapping[str, str]], now: Sequence[Mapping[str, str]]) -> None:
    """Refuse other data than the run began with; where they lie, and whether packed, is no matter."""
    was, are = ({tuple(one.get(key) for key in _SAME) for one in files} for files in (before, now))
    if was != are:
        raise UsageError(
            "The run was begun on other data",
            expected=f"the {len(was)} files of its {_DATA}: patients, splits and contents",
            got=f"{len(are - was)} others, {len(was - are)} missing",
            action="give the data that it began with, or choose another --out and --set init=...",
        )


def write_read(out: Path, patients: Sequence[Patient]) -> None:
    """Keep whose arrays were read to train on."""
    record = json.loads((out / _DATA).read_text(encoding="utf-8"))
    _write(out / _DATA, {**record, "read": [dataclasses.asdict(patient) for patient in patients]})


def read(run: Path) -> set[Patient] | None:
    """Whose arrays were read to train on; None where the run does not say, or there is none."""
    if not (run / _DATA).is_file():
        return None
    record = json.loads((run / _DATA).read_text(encoding="utf-8"))
    return {Patient(**one) for one in record["read"]} if "read" in record else None


def there(run: Path) -> set[Patient]:
    """All patients of the data that a run was given."""
    record = json.loads((run / _DATA).read_text(encoding="utf-8"))
    return {Patient(one["set"], one["patient"], one["licence"]) for one in record["files"]}


def write_networks(out: Path, modules: Mapping[str, nn.Module]) -> None:
    """Keep networks in full precision."""
    (out / _NETWORKS).mkdir(exist_ok=True)
    for name, module in modules.items():
        state = {k: v.detach().cpu().contiguous() for k, v in module.state_dict().items()}
        save_file(state, out / _NETWORKS / f"{name}.safetensors")


def write_done(out: Path, training: Mapping[str, Any]) -> None:
    """Mark a run as finished, with what its model's card says of its training."""
    _write(out / _DONE, training)


def resolved(run: Path) -> dict[str, Any]:
    """The recipe of a run, with all its settings.

    Raises:
        UsageError: when the folder holds no run.
    """
    file = run / _RECIPE
    if not is_run(run):
        raise UsageError(
            "There is no run in this folder",
            expected="a folder that medgan train wrote",
            got=str(run),
            action="correct the folder",
        )
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def is_run(run: Path) -> bool:
    """Whether a folder holds a run."""
    return (run / _RECIPE).is_file()


def is_tuning(run: Path) -> bool:
    """Whether a run tuned a published model."""
    return (run / BASE).is_dir()


def is_done(run: Path) -> bool:
    """Whether a run is finished."""
    return (run / _DONE).is_file()


def done(run: Path) -> dict[str, Any]:
    """How a finished run was trained.

    Raises:
        UsageError: when the folder holds no run, or it is not finished.
    """
    file = run / _DONE
    resolved(run)
    if not is_done(run):
        raise UsageError(
            "The run is not finished",
            expected="a run that reached its last update",
            got=run.name,
            action="go on with medgan train --resume",
        )
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def metrics(run: Path, kind: str = "") -> list[dict[str, Any]]:
    """The lines of one kind in ``metrics.jsonl``, or all of them, in order.

    A last line without its end is one that the run is writing, or was when it was ended: it is left out.
    """
    file = run / "metrics.jsonl"
    if not file.is_file():
        return []
    whole, _, _ = file.read_text(encoding="utf-8").rpartition("\n")
    lines = [json.loads(line) for line in whole.splitlines()]
    return [line for line in lines if kind in ("", line["kind"])]


def stopped(run: Path) -> str:
    """What the watch ended a run for, or "" when the run is finished or can go on."""
    lines = metrics(run)
    if is_done(run) or not lines or lines[-1]["kind"] != "watch":
        return ""
    spent = lines[-1]["rollbacks"] >= resolved(run)["rollbacks"] or not (run / "good.json").is_file()
    return str(lines[-1]["trouble"]) if spent else ""


def networks(run: Path) -> dict[str, dict[str, Tensor]]:
    """Weights of a finished run's networks, by name.

    Raises:
        ModelError: when a file is damaged.
    """
    return {f.stem: read_tensors(f) for f in sorted((run / _NETWORKS).glob("*.safetensors"))}


def hashes(run: Path) -> dict[str, str]:
    """sha256 of the weights of a finished run's networks, by name."""
    return {f.stem: registry.sha256(f) for f in sorted((run / _NETWORKS).glob("*.safetensors"))}


def rebuilt(run: Path, recipes: Mapping[str, type[Recipe]]) -> Recipe:
    """The recipe of a run as the object it was; settings that came later have their default.

    Args:
        run: its folder.
        recipes: those there are, by name.

    Raises:
        UsageError: when the folder holds no run, or one of a recipe or with settings that are not there
            (any more).
    """
    settings = resolved(run)
    name, version = settings.pop("recipe", ""), settings.pop("version", "unknown")
    action = f"use the version of medgan that made the run ({version})"
    if name not in recipes:
        raise UsageError(
            f"The run {run.name} is of an unknown recipe",
            expected="one of " + ", ".join(recipes),
            got=str(name),
            action=action,
        )
    try:
        return parse(recipes[name], settings, where=_RECIPE)
    except MedganError as error:
        raise UsageError(
            f"The recipe {name!r} no longer has the settings of the run {run.name}",
            expected=error.expected,
            got=error.got,
            action=action,
        ) from error


def trained(run: Path, recipe: Recipe) -> dict[str, nn.Module]:
    """The networks of a finished run with their weights, on the CPU and in evaluation mode.

    Raises:
        UsageError: when the run is not finished, or its weights are not those of its recipe.
    """
    done(run)
    states = networks(run)
    with torch.random.fork_rng(devices=[]):
        modules = recipe.networks()
    for name, module in modules.items():
        try:
            module.load_state_dict(states[name])
        except (KeyError, RuntimeError) as error:
            raise UsageError(
                f"The weights of the run {run.name} do not fit its recipe",
                expected=f"the tensors of its network {name!r}",
                got=str(error).splitlines()[-1].strip(),
                action="use the version of medgan that made the run",
            ) from error
        module.eval().requires_grad_(False)
    return modules


def initial(place: Path, names: set[str], recipe: str) -> dict[str, dict[str, Tensor]]:
    """Weights to start from: those of a finished run's networks, or of a model's folder.

    Raises:
        UsageError: when the place has none that fit.
    """
    found = {k: v for k, v in networks(place).items() if k in names}
    if found:
        return found
    if names == {"model"}:
        shelf = place / "models" if (place / "models").is_dir() else place.parent
        name = recipe if (place / "models").is_dir() else place.name
        return {"model": registry.Registry([shelf]).load(name).network.state_dict()}
    raise UsageError(
        "There is nothing to start from",
        expected=f"a finished run with networks {', '.join(sorted(names))}",
        got=place.name,
        action="correct --set init=...",
    )


def _write(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
