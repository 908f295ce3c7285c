"""A model as a MONAI Bundle: what the specification asks for, loaded and run by MONAI."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle.properties import MetaProperties
from monai.bundle.scripts import verify_net_in_out

from medgan_core import engine, io
from medgan_core.errors import UsageError
from medgan_core.export import bundle, bundle_text
from medgan_core.export.check import Exported
from medgan_core.registry import SHIPPED, Registry
from medgan_core.suitability import GATE_CLASSES
from medgan_core.volume import Volume

MANDATORY = (
    "version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version", "task",
    "description", "authors", "copyright", "network_data_format",
)  # fmt: skip
TENSOR = (
    "type", "format", "modality", "num_channels", "spatial_shape", "dtype", "value_range", "is_patch_data",
    "channel_def",
)  # fmt: skip


@pytest.fixture(scope="module")
def made(toy_registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return bundle.write_bundle(toy_registry.load("brain-mr-translate"), tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="module")
def metadata(made: Exported) -> dict:
    return dict(json.loads((made.path / "configs" / "metadata.json").read_text(encoding="utf-8")))


def test_monai_loads_the_same_network_in_both_ways(made: Exported) -> None:
    assert {one.by for one in made.agreements} == {"monai.bundle.ConfigParser", "monai.bundle.load"}
    assert len({one.shape for one in made.agreements}) == 2
    assert all(one.difference == 0 for one in made.agreements)


def test_the_files_are_those_of_the_specification(made: Exported) -> None:
    found = {str(p.relative_to(made.path)) for p in made.path.rglob("*") if p.is_file()}
    assert found == {
        "LICENSE",
        "configs/inference.json",
        "configs/metadata.json",
        "docs/README.md",
        "docs/data_license.txt",
        "models/model.pt",
        "models/brain-mr-translate/card.json",
        "models/brain-mr-translate/weights.safetensors",
    }
    assert [p.name for p in made.path.parent.iterdir()] == ["brain-mr-translate"]
    assert "Apache License" in (made.path / "LICENSE").read_text(encoding="utf-8")


def test_the_weights_are_a_plain_state_and_the_model_beside_them_is_the_same(
    made: Exported, toy_registry: Registry
) -> None:
    original = toy_registry.load("brain-mr-translate")
    plain = torch.load(made.path / "models" / "model.pt", weights_only=True)
    torch.testing.assert_close(dict(plain), original.network.state_dict(), rtol=0, atol=0)
    beside = Registry([made.path / "models"]).load("brain-mr-translate")
    assert beside.card == original.card


def test_the_metadata_have_every_mandatory_key(metadata: dict) -> None:
    required = [k for k, p in MetaProperties.items() if any(v is True for v in p.values())]
    assert set(required) <= set(metadata)
    assert set(MANDATORY) <= set(metadata)
    for tensor in (metadata["network_data_format"][k] for k in ("inputs", "outputs")):
        (said,) = tensor.values()
        assert set(TENSOR) <= set(said)
        assert len(said["channel_def"]) == said["num_channels"]


def test_channels_are_named_in_their_order(metadata: dict) -> None:
    takes = metadata["network_data_format"]["inputs"]["image"]["channel_def"]
    gives = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
    assert [takes[n] for n in ("0", "1", "5")] == ["T1, slice -1", "T1, slice +0", "T1post, slice +1"]
    assert takes["15"] == "FLAIR is there (1) or not (0)"
    assert [gives[n] for n in ("0", "2", "3")] == ["T1", "FLAIR", "log scale of the error of T1"]


def test_monai_finds_a_wrong_number_of_channels(made: Exported, metadata: dict, tmp_path: Path) -> None:
    """That its check of inputs and outputs, which the export runs, looks at what the metadata say."""
    metadata = json.loads(json.dumps(metadata))
    metadata["network_data_format"]["outputs"]["pred"]["num_channels"] += 1
    (tmp_path / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    config = str(made.path / "configs" / "inference.json")
    with pytest.raises(ValueError, match="channel number"):
        verify_net_in_out("network_def", str(tmp_path / "metadata.json"), config, device="cpu", n=4)


def test_running_the_bundle_is_running_the_model(
    made: Exported, toy_registry: Registry, oblique_head: Volume, tmp_path: Path
) -> None:
    settings = {"allow_unsuitable": True, "backend": "torch", "precision": "fp32"}
    io.write(oblique_head, tmp_path / "T1.nii.gz")
    wishes: dict[str, object] = {
        "config_file": str(made.path / "configs" / "inference.json"),
        "meta_file": str(made.path / "configs" / "metadata.json"),
        "bundle_root": str(made.path),
        "dataset_dir": str(tmp_path),
        "output_dir": str(tmp_path / "out"),
        "target": "T2",
        "device": "cpu",
        "settings": settings,
    }
    # A process of its own: nothing of this package is imported but what the bundle asks for.
    code = f"from monai.bundle.scripts import run; run(**{wishes!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    session = engine.Session("cpu", registry=toy_registry)
    options = engine.RunOptions(target="T2", settings=settings)
    inputs = {"T1": io.read(tmp_path / "T1.nii.gz")}
    expected = engine.run(session, "brain-mr-translate", inputs, options).volumes
    for key in ("T2", "trust"):
        result = io.read(tmp_path / "out" / f"{key}.nii.gz")
        # Equal but for where tiles end, which depends on the memory that is free at the moment.
        near = 1e-3 * float(expected[key].data.max())
        np.testing.assert_allclose(result.data, expected[key].data, rtol=0, atol=near)


def test_the_page_says_what_the_card_says(toy_registry: Registry) -> None:
    card = Registry([SHIPPED]).card("mr-denoise")
    page = bundle_text.readme(card)
    for text in (card.title, card.description, *card.limits, card.training.command, card.data[0].citation):
        assert text in page
    assert all(f"{figure.value:g}" in page for figure in card.figures)
    data = bundle_text.files(card)["docs/data_license.txt"]
    assert all(source.name in data and source.licence in data for source in card.data)


def test_a_model_that_only_others_ask_has_a_network_but_nothing_to_run() -> None:
    model = Registry([SHIPPED]).load("brain-mr-gate")
    assert "run" not in bundle._inference(model)
    assert bundle_text.outputs(model, len(GATE_CLASSES)) == list(GATE_CLASSES)


def test_a_bundle_is_never_written_over(made: Exported, toy_registry: Registry) -> None:
    before = (made.path / "configs" / "metadata.json").read_bytes()
    with pytest.raises(UsageError, match="already"):
        bundle.write_bundle(toy_registry.load("brain-mr-translate"), made.path.parent)
    assert (made.path / "configs" / "metadata.json").read_bytes() == before
