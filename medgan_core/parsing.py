"""From plain JSON types to frozen dataclasses; a typo does not pass."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from medgan_core.errors import ModelError

T = TypeVar("T")


def parse(cls: type[T], plain: Any, *, where: str) -> T:
    """Build a (nested) frozen dataclass from plain JSON types, refusing what does not fit.

    Args:
        cls: the dataclass.
        plain: what `json.loads` gave.
        where: a name for error messages.

    Raises:
        ModelError: naming the key that is missing, unknown, or of the wrong type.
    """
    if not isinstance(plain, dict):
        raise _misfit(where, "an object", plain)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    unknown = sorted(set(plain) - set(fields))
    if unknown:
        raise _misfit(where, f"only the keys {', '.join(fields)}", f"also {', '.join(unknown)}")
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for name, f in fields.items():
        if name in plain:
            values[name] = _value(hints[name], plain[name], f"{where}.{name}")
        elif f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise _misfit(where, f"the key {name}", "none")
    return cls(**values)


def _value(hint: Any, plain: Any, where: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _any_of(args, plain, where)
    if origin is Literal:
        if plain not in args:
            raise _misfit(where, "one of " + ", ".join(map(str, args)), plain)
        return plain
    if origin is tuple:
        if not isinstance(plain, list | tuple):
            raise _misfit(where, "a list", plain)
        if args[-1] is Ellipsis:
            return tuple(_value(args[0], v, f"{where}[{i}]") for i, v in enumerate(plain))
        if len(plain) != len(args):
            raise _misfit(where, f"a list of {len(args)}", plain)
        return tuple(_value(a, v, where) for a, v in zip(args, plain, strict=True))
    if origin is dict:
        if not isinstance(plain, dict):
            raise _misfit(where, "an object", plain)
        return {str(k): _value(args[1], v, f"{where}.{k}") for k, v in plain.items()}
    if hint is Any:
        return plain
    if dataclasses.is_dataclass(hint):
        return parse(typing.cast(type[Any], hint), plain, where=where)
    if hint is float and isinstance(plain, int) and not isinstance(plain, bool):
        return float(plain)
    if hint is type(None):
        hint = types.NoneType
    if not isinstance(plain, hint) or (hint in (int, float) and isinstance(plain, bool)):
        raise _misfit(where, hint.__name__, plain)
    return plain


def _any_of(hints: tuple[Any, ...], plain: Any, where: str) -> Any:
    for hint in hints:
        try:
            return _value(hint, plain, where)
        except ModelError:
            continue
    raise _misfit(where, " or ".join(getattr(h, "__name__", str(h)) for h in hints), plain)


def _misfit(where: str, expected: str, got: object) -> ModelError:
    return ModelError(
        f"{where} is not valid",
        expected=expected,
        got=str(got)[:200],
        action="correct the file, or install the model again",
    )
