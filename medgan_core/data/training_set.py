"""Opening what `--data` names: a pack, or a manifest with its files."""

from __future__ import annotations

from pathlib import Path

from medgan_core.data.cases import Storage, TrainingSet
from medgan_core.data.files import FileSet
from medgan_core.data.manifest import Manifest
from medgan_core.data.pack import Pack
from medgan_core.data.pack_index import INDEX
from medgan_core.errors import UsageError


def open_training_set(path: Path, *, storage: Storage | None = None) -> TrainingSet:
    """A pack's folder, a manifest's file or folder, or a BIDS folder.

    The samples of a training are the same from a manifest and from its pack: files are brought into the
    pack's 16-bit form when they are read.

    Args:
        path: the folder or file.
        storage: the 16-bit form; a pack must have been made with it. None takes the pack's own, and for
            files the default.

    Raises:
        InputError: when it is none of these, or not in order.
        UsageError: when the pack was made in another form.
    """
    if not (path / INDEX).is_file():
        return FileSet(Manifest.load(path), storage or Storage())
    pack = Pack.load(path)
    if storage is not None and storage != pack.storage:
        raise UsageError(
            "The pack was made in another form than this training wants",
            expected=str(storage),
            got=str(pack.storage),
            action="pack the data again with these settings, or train from the manifest",
        )
    return pack
