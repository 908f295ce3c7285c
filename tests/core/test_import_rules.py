"""Who may import whom, read from the source (docs/architecture.md says why)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE, APP = ROOT / "medgan_core", ROOT / "monailabel_app"
EXTENSION = ROOT / "slicer_extension" / "MedGAN"
FORMATS = {"SimpleITK", "nibabel", "nrrd", "pydicom", "highdicom", "itk"}
HEAVY = {"torch", "monai", "medgan_core", "monailabel_app", "monailabel", "SimpleITK", "nibabel"}


def imports(file: Path) -> set[str]:
    """Full dotted names a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def tops(file: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(file)}


def inside(name: str, *packages: str) -> bool:
    return any(name == p or name.startswith(p + ".") for p in packages)


def files(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*.py"))
    assert found
    return found


def test_the_volume_needs_only_numpy_and_errors() -> None:
    third = {n for n in imports(CORE / "volume.py") if inside(n, "medgan_core")}
    assert all(inside(n, "medgan_core.errors") for n in third)
    assert not tops(CORE / "volume.py") & {"torch", "scipy", *FORMATS}


@pytest.mark.parametrize("file", files(CORE), ids=lambda f: str(f.relative_to(ROOT)))
def test_core_knows_no_server_and_no_slicer(file: Path) -> None:
    assert not tops(file) & {"monailabel", "monailabel_app", "slicer", "vtk", "qt", "MedGANLib", "fastapi"}


@pytest.mark.parametrize("file", files(CORE), ids=lambda f: str(f.relative_to(ROOT)))
def test_file_formats_are_known_to_io_alone(file: Path) -> None:
    if (CORE / "io") in file.parents:
        return
    allowed = {"SimpleITK"} if file.name == "alignment.py" else set()
    assert not (tops(file) & FORMATS) - allowed


@pytest.mark.parametrize("package", ["networks", "losses", "metrics", "physics"])
def test_building_blocks_stand_alone(package: str) -> None:
    for file in files(CORE / package):
        own = {n for n in imports(file) if inside(n, "medgan_core")}
        allowed = (f"medgan_core.{package}", "medgan_core.errors")
        assert all(inside(n, *allowed) or n == f"medgan_core.{package}" for n in own), file


def test_inference_does_not_know_training() -> None:
    for file in files(CORE / "inference"):
        assert not any(inside(n, "medgan_core.training", "medgan_core.data") for n in imports(file))


def test_the_app_does_not_reach_into_the_engine() -> None:
    hidden = tuple(
        f"medgan_core.{p}"
        for p in ("inference", "networks", "losses", "metrics", "training", "data", "physics", "preprocess")
    )
    # The entry of every training, and the names it takes; versions of models; a run's curves.
    names = "train", "RECIPES", "cohort.Cohort", "tuning", "tuning.recipe_of", "publishing", "folder"
    public = {f"medgan_core.training.{name}" for name in names}
    for file in files(APP):
        assert not any(inside(n, *hidden) for n in imports(file) - public), file


def test_the_slicer_module_needs_neither_core_nor_torch() -> None:
    for file in files(EXTENSION):
        if "Testing" not in file.parts:
            assert not tops(file) & HEAVY, file
