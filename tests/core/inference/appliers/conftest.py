from __future__ import annotations

from collections.abc import Mapping

import pytest

from medgan_core.engine import RunOptions, Session
from medgan_core.registry import Registry

FAST: Mapping[str, object] = {"backend": "torch", "precision": "fp32"}


@pytest.fixture(scope="session")
def session(toy_registry: Registry) -> Session:
    return Session("cpu", registry=toy_registry)


@pytest.fixture
def options() -> RunOptions:
    return RunOptions(settings=FAST)
