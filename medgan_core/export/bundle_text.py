"""What a bundle says in words, from the model's card."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from medgan_core.card import ModelCard, Port
from medgan_core.errors import ModelError
from medgan_core.inference.slabs import Signature
from medgan_core.registry import Model

_LICENCE = "Apache-2.0"


def files(card: ModelCard) -> dict[str, str]:
    """LICENSE, docs/README.md and docs/data_license.txt, by their place in the bundle."""
    return {
        "LICENSE": licence(card.licence),
        "docs/README.md": readme(card),
        "docs/data_license.txt": "".join(
            f"{d.name}\n  Licence: {d.licence}\n  Cite: {d.citation}\n"
            + (f"  Note: {d.note}\n" if d.note else "")
            + "\n"
            for d in card.data
        ),
    }


def licence(name: str) -> str:
    """The text of the weights' licence where this package has it, else its name."""
    if name != _LICENCE:
        return f"The weights are licensed under {name}.\n"
    found = metadata.distribution("medgan").read_text("licenses/LICENSE")
    beside = Path(__file__).parents[2] / "LICENSE"
    if found is None and beside.is_file():
        found = beside.read_text(encoding="utf-8")
    return found or f"The weights are licensed under {name}.\n"


def readme(card: ModelCard) -> str:
    """The card as a page."""
    low, high = card.domain.spacing_mm
    sections = {
        "What it takes": [_port(p) for p in card.inputs] + [f"At least {card.min_inputs} of these."],
        "What it gives": [_port(p) for p in card.outputs],
        "Made for": [
            f"{card.domain.anatomy}; {card.domain.modality}; voxel sides of {low:g} to {high:g} mm."
        ],
        "Not for": list(card.limits),
        "Figures": [
            f"{f.name}: {f.value:g}{'' if f.spread is None else f' ± {f.spread:g}'} {f.unit}".rstrip()
            + f" (n = {f.n}, {f.split}{f'; {f.baseline}' if f.baseline else ''}; `{f.command}`)"
            for f in card.figures
        ]
        or ["None is on the card."],
        "Training": [
            f"`{card.training.command}`",
            f"{card.training.updates} updates, {card.training.minutes:g} minutes on {card.training.device}, "
            f"seed {card.training.seed}.",
        ],
        "Data": [f"{d.name}: {d.patients} patients, {d.licence}. {d.citation}" for d in card.data],
        "Use": [
            "The network's class is in the package `medgan`, which must be installed.",
            "`models/model.pt` is a plain state dict; it loads with `torch.load(..., weights_only=True)`. "
            f"`models/{card.name}` holds the same weights as safetensors, with the full card.",
            f'`monai.bundle.load("{card.name}", bundle_dir=FOLDER, workflow_type="inference")` gives the '
            "network with its weights.",
        ],
    }
    if card.runnable:
        sections["Use"].append(
            "`python -m monai.bundle run --config_file configs/inference.json --dataset_dir IN "
            "--output_dir OUT` in this folder (it needs the package `fire`) applies it to whole volumes "
            "(`IN/KEY.nii.gz` for each input above), with scaling, the way back onto the source's grid, "
            "and a report."
        )
    text = f"# {card.title}\n\n{card.description}\n\nVersion {card.version}. Weights: {card.licence}.\n"
    for title, lines in sections.items():
        text += f"\n## {title}\n\n" + "".join(f"- {line}\n" for line in lines)
    return text


def inputs(model: Model, channels: int) -> list[str]:
    """What each input channel holds."""
    keys = [port.key for port in model.card.inputs]
    signature = _slabs(model)
    if signature is not None and signature.contrasts == len(keys):
        middle = signature.slices // 2
        named = [f"{key}, slice {n - middle:+d}" for key in keys for n in range(signature.slices)]
        return named + ([f"{key} is there (1) or not (0)" for key in keys] if signature.presence else [])
    return keys if len(keys) == channels else [f"input {n}" for n in range(channels)]


def outputs(model: Model, channels: int) -> list[str]:
    """What each output channel holds."""
    targets = list(model.card.targets)
    if channels == 2 * len(targets) and _slabs(model) is not None:
        return targets + [f"log scale of the error of {key}" for key in targets]
    if channels == len(targets):
        return targets
    units = [part.strip() for part in model.card.outputs[0].unit.split(",")]
    return units if len(units) == channels else [f"output {n}" for n in range(channels)]


def _slabs(model: Model) -> Signature | None:
    try:
        return Signature.of(model.network)
    except ModelError:
        return None


def _port(port: Port) -> str:
    kind = "" if port.kind == "image" else f" ({port.kind})"
    return f"`{port.key}`{kind}: {port.title}" + (f"; {port.unit}" if port.unit else "")
