"""The index of a pack, ``pack.json``: which studies and arrays there are, and how they are read.

It lists the studies (set, patient, visit, split, coverage, licence) and their arrays: key, shape, affine
(voxel centres to RAS mm), step and scale (see `cases.Stored`), codec (see `codec`), the source file's
relative path and sha256, and the sha256 of the decoded int16 array (little-endian, C order). Beside it is
one safetensors file for each set, with the compressed arrays as bytes.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medgan_core.data.cases import Storage
from medgan_core.data.codec import Codec
from medgan_core.data.study import Study
from medgan_core.errors import InputError, MedganError
from medgan_core.parsing import parse

INDEX = "pack.json"
FORMAT = "medgan-pack"
VERSION = 1
CODECS: dict[str, Codec] = {"image": "differences-zlib", "label": "lzma"}


@dataclass(frozen=True)
class Entry:
    """One array of a pack: where it is, how it is read, what it was made from."""

    key: str
    kind: Literal["image", "label"]
    file: str
    array: str
    codec: Literal["differences-zlib", "lzma"]
    shape: tuple[int, int, int]
    affine: tuple[tuple[float, ...], ...]
    step: float
    scale: float
    sha256: str
    source: str
    source_sha256: str


@dataclass(frozen=True)
class PackedStudy:
    """A study as pack.json lists it."""

    set: str
    patient: str
    visit: str
    split: str
    coverage: str
    licence: str
    arrays: tuple[Entry, ...]

    def study(self) -> Study:
        """With the source files' relative paths, which are for information only."""
        paths = {kind: {e.key: Path(e.source) for e in self.arrays if e.kind == kind} for kind in CODECS}
        return Study(
            self.set,
            self.patient,
            self.visit,
            self.split,
            self.coverage,
            self.licence,
            paths["image"],
            paths["label"],
        )


@dataclass(frozen=True)
class Index:
    """What pack.json holds."""

    format: str
    version: int
    storage: Storage
    studies: tuple[PackedStudy, ...]


def read_index(folder: Path) -> Index:
    """Read pack.json strictly.

    Raises:
        InputError: when it is not there, of another version, or not what it should be.
    """
    file = folder / INDEX
    if not file.is_file():
        raise InputError(
            "The folder is no pack",
            expected=f"a folder with {INDEX}",
            got=f"no {INDEX} in {folder.name}",
            action="give a folder that `medgan data pack` finished writing",
        )
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
        found = (plain.get("format"), plain.get("version")) if isinstance(plain, dict) else None
        if found != (FORMAT, VERSION):
            raise ValueError(f"format and version {found}")
        return parse(Index, plain, where=INDEX)
    except (MedganError, ValueError) as error:
        raise InputError(
            f"{INDEX} cannot be read",
            expected=f"{FORMAT}, version {VERSION}",
            got=str(error),
            action="pack the data again with this version",
        ) from error


def write_index(folder: Path, storage: Storage, studies: tuple[PackedStudy, ...]) -> None:
    """Write pack.json, which makes the folder a pack."""
    index = dataclasses.asdict(Index(FORMAT, VERSION, storage, studies))
    (folder / INDEX).write_text(json.dumps(index, separators=(",", ":")) + "\n", encoding="utf-8")
