"""Models by name: a folder with a card and its weights, hashed and never a pickle."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from medgan_core import networks
from medgan_core.card import ModelCard, Weights
from medgan_core.errors import ModelError, UsageError

CARD, WEIGHTS, POINTER = "card.json", "weights.safetensors", "default.txt"
SHIPPED = Path(__file__).parent / "models"
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Model:
    """A card with its network: fp32, on the CPU, in evaluation mode."""

    card: ModelCard
    network: nn.Module
    folder: Path


def user_folder() -> Path:
    """Where published models live: ``$MEDGAN_MODELS`` or a folder in the user's data directory."""
    if chosen := os.environ.get("MEDGAN_MODELS"):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share"))
    return base / "medgan" / "models"


class Registry:
    """Finds models in folders; a later folder hides an earlier one's model of the same name.

    Args:
        folders: ``NAME/card.json`` or ``NAME/VERSION/card.json`` below each; by default the shipped models
            and the user's.
    """

    def __init__(self, folders: Sequence[Path] | None = None) -> None:
        self.folders = tuple(folders) if folders is not None else (SHIPPED, user_folder())

    def names(self) -> list[str]:
        """Every model there is, sorted."""
        found = {
            path.name
            for folder in self.folders
            if folder.is_dir()
            for path in folder.iterdir()
            if _NAME.fullmatch(path.name) and _versioned(path) is not None
        }
        return sorted(found)

    def folder(self, name: str) -> Path:
        """The folder with the model's card.

        Raises:
            UsageError: when there is no such model.
        """
        if _NAME.fullmatch(name):
            for base in reversed(self.folders):
                if (path := _versioned(base / name)) is not None:
                    return path
        raise UsageError(
            f"There is no model called {name!r}",
            expected="one of " + (", ".join(self.names()) or "(no model is installed)"),
            got=name,
            action="choose a model from the list (medgan models)",
        )

    def card(self, name: str) -> ModelCard:
        """The model's card.

        Raises:
            UsageError: when there is no such model.
            ModelError: when its card is damaged.
        """
        return ModelCard.load(self.folder(name) / CARD)

    def load(self, name: str) -> Model:
        """Card and network, after the weights' hash was checked.

        Raises:
            UsageError: when there is no such model.
            ModelError: when card and weights are damaged or do not belong together.
        """
        folder = self.folder(name)
        card = ModelCard.load(folder / CARD)
        path = folder / card.weights.file
        if path.parent != folder or not path.is_file() or sha256(path) != card.weights.sha256:
            raise ModelError(
                f"The weights of {name!r} are not those its card names",
                expected=f"{card.weights.file} with sha256 {card.weights.sha256[:12]}...",
                got=f"sha256 {sha256(path)[:12]}..." if path.is_file() else "no such file in its folder",
                action="install or publish the model again",
            )
        network = networks.build(card.architecture.name, card.architecture.options)
        state = {key: value.float() for key, value in load_file(path).items()}
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise ModelError(
                f"The weights of {name!r} do not fit its architecture",
                expected=f"the tensors of {card.architecture.name} {card.architecture.options}",
                got=str(error).splitlines()[-1].strip(),
                action="install or publish the model again",
            ) from error
        return Model(card, network.eval().requires_grad_(False), folder)


def save(folder: Path, card: ModelCard, network: nn.Module) -> ModelCard:
    """Write 16-bit weights and the card that carries their hash side by side.

    Args:
        folder: is made; files of an earlier save are replaced.
        card: its `weights` are filled in here.
        network: floating-point tensors are stored as float16.

    Returns:
        The card as written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        key: (value.detach().cpu().to(torch.float16) if value.is_floating_point() else value.detach().cpu())
        for key, value in network.state_dict().items()
    }
    save_file({key: value.contiguous() for key, value in state.items()}, folder / WEIGHTS)
    # The library writes for the owner alone; a model is for everyone who may read its card.
    (folder / WEIGHTS).chmod(0o644)
    card = replace(card, weights=Weights(file=WEIGHTS, sha256=sha256(folder / WEIGHTS)))
    card.save(folder / CARD)
    return card


def sha256(path: Path) -> str:
    """Hash of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _versioned(folder: Path) -> Path | None:
    """The folder that holds the card: itself, or the version its pointer names."""
    if (folder / CARD).is_file():
        return folder
    if (folder / POINTER).is_file():
        version = (folder / POINTER).read_text(encoding="utf-8").strip()
        if re.fullmatch(r"[0-9]+(\.[0-9]+)*", version) and (folder / version / CARD).is_file():
            return folder / version
    return None
