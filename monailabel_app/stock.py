"""What stock MONAI Label clients send with ``/infer``, in this project's terms."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medgan_core.card import ModelCard
from medgan_core.errors import UsageError
from medgan_core.request import ENGINE_SETTINGS, choose_target
from monailabel_app.jobs.run import Run, checked

_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha")
_UPLOAD = re.compile(r"tmp[a-z0-9_]{8}(\.[A-Za-z0-9._]{1,40})?")
_FRESH_S = 30.0


@dataclass(frozen=True)
class StockRequest:
    """A checked ``/infer``: the work, and the key of the one volume that is returned (None: the target)."""

    work: Run
    result: str | None

    def choose(self, files: Mapping[str, str]) -> str:
        """The key of the volume to return, of those that the run gave (the first variant of several).

        Raises:
            UsageError: when it gave none, as a variant of an image without label map has no segmentation.
        """
        wanted = self.result or self.work.target
        for key in files:
            if key == wanted or key.startswith(f"{wanted}-"):
                return key
        raise _wrong("result", "one of " + ", ".join(files), wanted)


def describe(card: ModelCard) -> dict[str, Any]:
    """A card as ``/info`` shows it: all that a client needs to build its panel."""
    plain = card.to_dict()
    keys = (
        "name",
        "version",
        "title",
        "description",
        "task",
        "inputs",
        "min_inputs",
        "outputs",
        "settings",
        "domain",
        "limits",
        "licence",
    )
    return {**{key: plain[key] for key in keys}, "targets": list(card.targets)}


def label_names(card: ModelCard) -> dict[str, int]:
    """Names and values of the labels that a model suggests; none for one that gives images."""
    if card.task != "suggest":
        return {}
    return {label.name: label.value for port in card.outputs for label in port.labels}


def config(card: ModelCard) -> dict[str, Any]:
    """Options as stock clients show and send them back: a list is a choice, its first entry the default."""
    options: dict[str, Any] = {
        "input": [port.key for port in card.inputs],
        "target": list(card.targets),
        "result_extension": list(_SUFFIXES),
        "seed": 0,
    }
    for setting in card.settings:
        options[setting.key] = _default_first(setting.default, setting.choices)
    return options


def read_request(
    card: ModelCard,
    params: Mapping[str, Any],
    image: Path | None,
    stored: Callable[[str], Path],
    labels: Path | None = None,
) -> StockRequest:
    """Turn parameters of ``/infer`` into work.

    Args:
        card: the model's.
        params: ``input``, ``target``, ``seed``, ``settings``, ``inputs``, ``result``, ``result_extension``,
            and settings of the card by their own keys; what else stock clients send is ignored.
        image: the volume that came as ``image=`` or ``file``, if one did.
        stored: where an image of the datastore lies, by id.
        labels: a label map that came as ``label``; it is the card's first input that takes one.

    Raises:
        UsageError: when they do not fit the card.
    """
    inputs: dict[str, str] = {}
    if image is not None:
        inputs[_one(params, "input") or card.inputs[0].key] = str(image)
    if labels is not None:
        inputs[next(iter(card.label_inputs), "labels")] = str(labels)
    inputs |= {key: str(stored(value)) for key, value in _table(params, "inputs").items()}
    suffix = _one(params, "result_extension") or ".nii"
    if suffix not in _SUFFIXES:
        raise _wrong("result_extension", "one of " + ", ".join(_SUFFIXES), suffix)
    known = {setting.key for setting in (*card.settings, *ENGINE_SETTINGS)}
    settings = {key: _first(value) for key, value in params.items() if key in known}
    settings |= _table(params, "settings")
    work = Run(
        model=card.name,
        inputs=inputs,
        target=_target(card, params, inputs),
        seed=_seed(params.get("seed", 0)),
        settings=settings,
        suffix=suffix,
    )
    work, result = checked(card, work), _one(params, "result")
    results = [work.target, *(port.key for port in card.outputs if port.key not in card.targets)]
    if result not in (None, *results):
        raise _wrong("result", "one of " + ", ".join(map(str, results)), result)
    return StockRequest(work, result)


def answer(
    card: ModelCard, result: str, files: Mapping[str, str], report: Mapping[str, Any]
) -> dict[str, Any]:
    """The ``params`` of an answer: what was returned, and the report."""
    return {"model": card.name, "result": result, "results": list(files), **report}


def is_upload(path: str) -> bool:
    """True for a file that MONAI Label has just received: it leaves such a file behind when a run fails.

    A client can name any path of the server in ``image=``, so only what looks exactly like MONAI Label's own
    temporary file, made moments ago, counts.
    """
    file = Path(path)
    try:
        return (
            file.parent == Path(tempfile.gettempdir())
            and _UPLOAD.fullmatch(file.name) is not None
            and file.is_file()
            and not file.is_symlink()
            and time.time() - file.stat().st_mtime < _FRESH_S
        )
    except OSError:
        return False


def _target(card: ModelCard, params: Mapping[str, Any], inputs: Mapping[str, str]) -> str | None:
    asked = params.get("target")
    if isinstance(asked, list) or not asked:
        # A client that sends the offered list back has not chosen: the first that is not there already.
        asked = next((key for key in card.targets if key not in inputs), None)
    return choose_target(card, asked if asked is None else str(asked), inputs)


def _seed(value: Any) -> int:
    try:
        seed = int(_first(value))
    except (TypeError, ValueError, OverflowError):
        seed = -1
    if seed < 0:
        raise _wrong("seed", "a whole number >= 0", value)
    return seed


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def _one(params: Mapping[str, Any], key: str) -> str | None:
    value = _first(params.get(key))
    return None if value in (None, "") else str(value)


def _table(params: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = params.get(key) or {}
    if not isinstance(value, dict):
        raise _wrong(key, "an object", value)
    if key == "inputs" and not all(isinstance(v, str) for v in value.values()):
        raise _wrong(key, "an object of image ids", value)
    return {str(k): v for k, v in value.items()}


def _default_first(default: Any, choices: tuple[str, ...]) -> Any:
    return [default, *(c for c in choices if c != default)] if choices else default


def _wrong(key: str, expected: str, got: Any) -> UsageError:
    return UsageError(
        f"The parameter {key!r} is not valid",
        expected=expected,
        got=repr(got)[:200],
        action="correct the parameter",
    )
