"""What stays loaded."""

from __future__ import annotations

from pathlib import Path

from medgan_core.engine import Session
from medgan_core.registry import Registry
from medgan_core.residency import Residency, default_budget
from tests.models import toy_denoise


def use(held: Residency[bytearray], key: str, size: int = 10) -> bytearray:
    return held.get(key, lambda: bytearray(size), len)


def test_the_least_recently_used_goes_first() -> None:
    held: Residency[bytearray] = Residency(30)
    for key in "abc":
        use(held, key)
    first = use(held, "a")
    use(held, "d")
    assert held.keys == ["c", "a", "d"]
    assert held.bytes == 30
    assert use(held, "a") is first


def test_a_value_that_grew_pushes_others_out_but_not_itself() -> None:
    held: Residency[bytearray] = Residency(30)
    use(held, "a")
    use(held, "b").extend(bytes(90))
    assert held.keys == ["a", "b"]
    use(held, "b")
    assert held.keys == ["b"], "its size is asked at every use"
    assert held.bytes == 100


def test_a_session_keeps_models_within_its_budget(tmp_path: Path) -> None:
    for name in ("one", "two"):
        toy_denoise(tmp_path, name=name)
    registry = Registry([tmp_path])
    session = Session(device="cpu", registry=registry, model_memory=1)
    first = session.model("one")
    assert session.model("one") is first
    session.model("two")
    assert session.model("one") is not first, "it had to go"
    roomy = Session(device="cpu", registry=registry, model_memory=default_budget("cpu"))
    first = roomy.model("one")
    roomy.model("two")
    assert roomy.model("one") is first
