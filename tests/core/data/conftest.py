from __future__ import annotations

from pathlib import Path

import pytest

from medgan_core.data.cases import TrainingSet
from medgan_core.data.files import FileSet
from medgan_core.data.pack import Pack, pack
from medgan_core.data.training_set import open_training_set
from tests.core.data.studies import write_studies


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_studies(tmp_path_factory.mktemp("studies"))


@pytest.fixture(scope="session")
def files(studies: Path) -> FileSet:
    found = open_training_set(studies)
    assert isinstance(found, FileSet)
    return found


@pytest.fixture(scope="session")
def packed(files: FileSet, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return pack(files, tmp_path_factory.mktemp("pack"))


@pytest.fixture(scope="session", params=["files", "pack"])
def data(request: pytest.FixtureRequest, files: FileSet, packed: Pack) -> TrainingSet:
    return files if request.param == "files" else packed
