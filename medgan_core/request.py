"""What a person asks of a model, checked against its card before any work is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from medgan_core.card import ModelCard, Setting
from medgan_core.errors import UsageError

ENGINE_SETTINGS = (
    Setting(
        key="align",
        title="Align inputs",
        kind="bool",
        default=False,
        help="apply the rigid alignment that the registration check finds",
    ),
    Setting(
        key="allow_unsuitable",
        title="Run on unsuitable input",
        kind="bool",
        default=False,
        help="run though the suitability check refuses; the report then says fail",
    ),
    Setting(
        key="backend",
        title="Back end",
        kind="choice",
        default="auto",
        choices=("auto", "torch", "openvino", "onnxruntime"),
        help="what computes the network; auto takes the fastest that passes its self-check",
    ),
    Setting(
        key="precision",
        title="Precision",
        kind="choice",
        default="auto",
        choices=("auto", "fp32", "bf16", "fp16"),
        help="of the network's arithmetic",
    ),
    Setting(
        key="views",
        title="Views",
        kind="choice",
        default="auto",
        choices=("auto", "1", "3"),
        help="average predictions along 3 axes where voxels are nearly cubes: better, three times the work; "
        "auto does what the model's card says",
    ),
)
"""Settings of the engine, besides a model's own; a choice that a model does not have is refused."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How to run a model.

    Args:
        target: key of the wanted output; needed when the card has several.
        seed: of everything random in the run.
        count: how many samples to draw, for models that sample.
        settings: the card's settings and those of the engine, as values or as text.
        plan: a recorded inference plan to replay (from a report's provenance).
    """

    target: str | None = None
    seed: int = 0
    count: int = 1
    settings: Mapping[str, object] = field(default_factory=dict)
    plan: Mapping[str, Any] | None = None


def check_inputs(card: ModelCard, inputs: Mapping[str, object]) -> None:
    """Refuse unknown, missing or too few inputs.

    Raises:
        UsageError: naming the keys the model takes.
    """
    if not card.runnable:
        raise UsageError(
            f"The model {card.name!r} only serves other models",
            expected="a model with a task of its own",
            got=f"a {card.task}",
            action="choose another model from the list (medgan models)",
        )
    known = [port.key for port in card.inputs]
    unknown = sorted(set(inputs) - set(known))
    required = [p.key for p in card.inputs if p.required and p.key not in inputs]
    if unknown or required or len(inputs) < card.min_inputs:
        raise UsageError(
            f"The inputs do not fit the model {card.name!r}",
            expected=f"at least {card.min_inputs} of {', '.join(known)}"
            + (f", always {', '.join(p.key for p in card.inputs if p.required)}" if required else ""),
            got=", ".join(inputs) or "none",
            action="name each input by one of these keys",
        )


def choose_target(card: ModelCard, target: str | None, inputs: Mapping[str, object]) -> str:
    """The output to produce.

    Raises:
        UsageError: when the choice is missing, unknown, or already an input of a translation.
    """
    choices = [k for k in card.targets if card.task != "translate" or k not in inputs]
    if target is None and len(choices) == 1:
        return choices[0]
    if target is None or target not in choices:
        raise UsageError(
            "Choose what to produce" if target is None else f"The model cannot produce {target!r} here",
            expected="one of " + (", ".join(choices) or "(every target is among the inputs already)"),
            got=target or "no target",
            action="name the target (--target KEY)",
        )
    return target


def check_seed(seed: int) -> None:
    """Refuse a seed that random numbers cannot start from.

    Raises:
        UsageError: when it is below 0.
    """
    if seed < 0:
        raise UsageError(
            "The seed is not valid",
            expected="a whole number, 0 or above",
            got=str(seed),
            action="choose another seed",
        )


def check_count(card: ModelCard, count: int) -> None:
    """Refuse more than one sample of a model whose answer is one.

    Raises:
        UsageError: when count is not 1 for such a model.
    """
    most = 64 if card.task == "synthesize" else 1
    if not 1 <= count <= most:
        raise UsageError(
            f"The model {card.name!r} cannot give {count} results",
            expected="1" if most == 1 else f"1 to {most}",
            got=str(count),
            action="leave the count out"
            if most == 1
            else "choose a number in between; further runs with other seeds give more",
        )


def resolve_settings(card: ModelCard, given: Mapping[str, object]) -> dict[str, Any]:
    """Every setting with its value: given ones converted and checked, others at their default.

    Raises:
        UsageError: on an unknown key, a wrong type, a value out of bounds, or a choice of the engine's that
            this model does not have.
        ModelError: when the model cannot be applied.
    """
    from medgan_core.inference import appliers  # late: lists of settings need no torch

    known = {s.key: s for s in (*card.settings, *ENGINE_SETTINGS)}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise UsageError(
            f"Unknown setting {', '.join(unknown)}",
            expected="any of " + ", ".join(known),
            got=", ".join(unknown),
            action="correct the settings",
        )
    values = {key: _value(s, given[key]) if key in given else s.default for key, s in known.items()}
    appliers.of(card).check_settings(card.name, values)
    return values


def _value(setting: Setting, given: object) -> float | int | bool | str:
    try:
        value = _convert(setting, given)
    except (KeyError, TypeError, ValueError) as error:
        raise _bad_value(setting, given) from error
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = setting.minimum, setting.maximum
        if value != value or (low is not None and value < low) or (high is not None and value > high):
            raise _bad_value(setting, given)
    return value


def _convert(setting: Setting, given: object) -> float | int | bool | str:
    text = str(given).strip()
    if setting.kind == "bool":
        if isinstance(given, bool):
            return given
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.lower()]
    if setting.kind == "int":
        return int(text)
    if setting.kind == "float":
        return float(text)
    if text not in setting.choices:
        raise ValueError(text)
    return text


def _bad_value(setting: Setting, given: object) -> UsageError:
    bounds = ", ".join(setting.choices) if setting.choices else setting.kind
    if setting.minimum is not None or setting.maximum is not None:
        bounds += f" from {setting.minimum} to {setting.maximum}"
    return UsageError(
        f"The setting {setting.key!r} is not valid",
        expected=bounds,
        got=str(given),
        action="correct the setting",
    )
