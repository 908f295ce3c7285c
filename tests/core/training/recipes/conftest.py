from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.data.studies import write_studies


@pytest.fixture(scope="session")
def brains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_studies(tmp_path_factory.mktemp("brains"))
