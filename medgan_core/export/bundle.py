"""A model as a MONAI Bundle, verified by loading it through MONAI.

``NAME/configs/metadata.json`` and ``inference.json``, ``NAME/LICENSE``, ``NAME/docs/README.md`` and
``data_license.txt``, and the weights twice: ``NAME/models/model.pt``, the name the specification asks for, is
a plain state dict that loads with ``weights_only=True``; ``NAME/models/NAME/`` is the model as `registry`
reads it (card and safetensors). MONAI's schema is not checked: it would have to be downloaded.
"""

from __future__ import annotations

import json
import logging
import shutil
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medgan_core import __version__, networks, registry
from medgan_core.errors import UsageError
from medgan_core.export import bundle_text
from medgan_core.export.check import Agreement, Exported, compare
from medgan_core.export.interface import Interface
from medgan_core.registry import Model

_SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
)
_META, _INFERENCE = "configs/metadata.json", "configs/inference.json"


def write_bundle(model: Model, out: Path) -> Exported:
    """Write the folder ``OUT/NAME``.

    Raises:
        UsageError: when it is there already.
        ModelError: when MONAI loads something that computes something else.
    """
    name = model.card.name
    if (out / name).exists():
        raise UsageError(
            f"There is a {name} already", expected="a new name", got=name, action="choose another --out"
        )
    takes = Interface.of(model.network)
    draft = out / f".{uuid.uuid4().hex}"
    try:
        root = draft / name
        for part in ("configs", "docs", f"models/{name}"):
            (root / part).mkdir(parents=True)
        torch.save(model.network.state_dict(), root / "models" / "model.pt")
        for file in (registry.CARD, model.card.weights.file):
            shutil.copyfile(model.folder / file, root / "models" / name / file)
        _write(root / _META, _metadata(model, takes))
        _write(root / _INFERENCE, _inference(model))
        for file, text in bundle_text.files(model.card).items():
            (root / file).write_text(text, encoding="utf-8")
        agreements = _verify(model, takes, root)
        root.rename(out / name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Exported(out / name, agreements)


def _metadata(model: Model, takes: Interface) -> dict[str, Any]:
    """What the bundle's metadata say; keys as MONAI's bundle specification has them."""
    card = model.card
    with torch.no_grad():
        answer = model.network(takes.examples()[0])
    side = f"{takes.multiple}*n" if takes.multiple > 1 else "*"
    image = answer.dim() > 2
    sides = [*answer.shape[2:]] if takes.sides else [side] * (answer.dim() - 2)
    return {
        "schema": _SCHEMA,
        "version": card.version,
        "changelog": {card.version: "exported from MedGAN"},
        "monai_version": metadata.version("monai"),
        "pytorch_version": torch.__version__.partition("+")[0],
        "numpy_version": metadata.version("numpy"),
        "required_packages_version": {"medgan": __version__, "safetensors": metadata.version("safetensors")},
        "supported_apps": {},
        "name": card.title,
        "task": card.task,
        "description": card.description,
        "authors": "The MedGAN authors",
        "copyright": f"Licence of the weights: {card.licence}",
        "data_source": "; ".join(f"{d.name}: {d.citation}" for d in card.data),
        "data_type": "nibabel",
        "intended_use": "Research; not for diagnosis. " + " ".join(card.limits),
        "eval_metrics": {f.name: f.value for f in card.figures},
        "references": list(dict.fromkeys(d.citation for d in card.data)),
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image" if takes.name == "image" else "tuples",
                    "format": "magnitude" if takes.name == "image" else "latent",
                    "modality": card.domain.modality,
                    "num_channels": takes.channels,
                    "spatial_shape": list(takes.sides) or [side] * takes.axes,
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": takes.name == "image",
                    "channel_def": dict(enumerate(bundle_text.inputs(model, takes.channels))),
                }
            },
            "outputs": {
                "pred": {
                    "type": "image" if image else "probabilities",
                    "format": "magnitude" if image else "classes",
                    "modality": card.domain.modality,
                    "num_channels": answer.shape[1],
                    "spatial_shape": sides,
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": takes.name == "image",
                    "channel_def": dict(enumerate(bundle_text.outputs(model, answer.shape[1]))),
                }
            },
        },
    }


def _inference(model: Model) -> dict[str, Any]:
    """Network, weights, and (for what a person can run) whole volumes through MedGAN's engine.

    ``python -m monai.bundle run --config_file configs/inference.json --dataset_dir ...`` reads
    ``KEY.nii.gz`` for every input of the card that is there.
    """
    card = model.card
    builder = networks.BUILDERS[card.architecture.name]
    config: dict[str, Any] = {
        "imports": ["$import torch", "$from pathlib import Path"],
        "bundle_root": ".",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {
            "_target_": f"{builder.__module__}.{builder.__qualname__}",
            **card.architecture.options,
        },
        "weights": "$torch.load(Path(@bundle_root) / 'models' / 'model.pt', map_location=@device, "
        "weights_only=True)",
        "loaded": "$@network_def.load_state_dict(@weights)",
        "network": {"_requires_": "@loaded", "_target_": "$@network_def.to(@device).eval"},
        "inferer": {"_target_": "SimpleInferer"},
    }
    if not card.runnable:
        return config
    # As "import a.b as b": MONAI looks for "from a import b" in what happens to be imported already.
    config["imports"] += [f"$import medgan_core.{n} as {n}" for n in ("engine", "registry", "results")]
    return config | {
        "dataset_dir": ".",
        "output_dir": "$@bundle_root + '/eval'",
        "images": {port.key: f"$@dataset_dir + '/{port.key}.nii.gz'" for port in card.inputs},
        "target": card.targets[0],
        "seed": 0,
        "settings": {},
        "session": "$engine.Session(str(@device), registry=registry.Registry("
        "[registry.SHIPPED, Path(@bundle_root) / 'models']))",
        "dataset": "$results.read_inputs({k: Path(v) for k, v in @images.items() if Path(v).is_file()}, "
        "lambda: False)",
        "options": "$engine.RunOptions(target=@target, seed=@seed, settings=@settings)",
        "outcome": f"$engine.run(@session, '{card.name}', @dataset, @options)",
        "run": [
            "$results.make_folder(Path(@output_dir))",
            "$results.write(Path(@output_dir), @outcome, {})",
        ],
    }


def _verify(model: Model, takes: Interface, root: Path) -> tuple[Agreement, ...]:
    """Load the bundle in the two ways MONAI has, and compare what the networks compute."""
    from monai.bundle.config_parser import ConfigParser
    from monai.bundle.scripts import load, verify_net_in_out

    with _quiet():
        parser = ConfigParser()
        parser.read_config(root / _INFERENCE)
        parser.read_meta(root / _META)
        parser["bundle_root"], parser["device"] = str(root), torch.device("cpu")
        configured: nn.Module = parser.get_parsed_content("network")
        loaded: Any = load(root.name, bundle_dir=root.parent, workflow_type="inference", device="cpu")
        verify_net_in_out("network_def", str(root / _META), str(root / _INFERENCE), device="cpu", n=4, any=32)
    examples = takes.examples()
    return (
        *compare("monai.bundle.ConfigParser", model.network, configured, examples),
        *compare("monai.bundle.load", model.network, loaded.eval(), examples),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without MONAI's remarks, such as that a bundle brings no settings for logging."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
