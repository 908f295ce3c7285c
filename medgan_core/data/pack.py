"""A compact, self-contained training set in a folder, readable with NumPy and safetensors alone.

`pack` writes it, `Pack` reads it, `pack_index` says what is in it. A folder without pack.json is no pack;
that file is written last.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from medgan_core.data.cases import Case, Storage, Stored
from medgan_core.data.codec import decode, encode
from medgan_core.data.files import FileSet, describe, sha256
from medgan_core.data.manifest import relative
from medgan_core.data.pack_index import CODECS, Entry, PackedStudy, read_index, write_index
from medgan_core.data.study import Study, check_splits, select
from medgan_core.data.witness import saw
from medgan_core.errors import InputError, ResourceError, UsageError
from medgan_core.monitor import Monitor, Progress
from medgan_core.volume import Geometry


@dataclass(frozen=True, eq=False)
class Pack:
    """A pack opened for reading; arrays are read and decoded when a study is asked for.

    Args:
        folder: where pack.json is.
        storage: how the arrays were made.
        packed: its studies.
        studies: the same, as a manifest gives them.
    """

    folder: Path
    storage: Storage
    packed: tuple[PackedStudy, ...]
    studies: tuple[Study, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "studies", tuple(p.study() for p in self.packed))

    @staticmethod
    def load(folder: Path, *, verify: bool = False) -> Pack:
        """Open a pack.

        Args:
            folder: that holds pack.json.
            verify: decode every array and compare its hash, too.

        Raises:
            InputError: when it is no pack, of a later version, damaged, or has a patient in two splits.
        """
        index = read_index(folder)
        pack = Pack(folder, index.storage, index.studies)
        check_splits(pack.studies)
        if verify:
            pack.verify()
        return pack

    def select(
        self, *, images: Sequence[str] = (), labels: Sequence[str] = (), coverage: Sequence[str] = ()
    ) -> list[Study]:
        """Studies that have all the images and labels named, and one of the coverages if any is named."""
        return select(self.studies, images=images, labels=labels, coverage=coverage)

    def case(self, study: Study, keys: Collection[str] | None = None) -> Case:
        """A study's arrays; with `keys` only those are read.

        Raises:
            InputError: when the study is not in the pack, or an array is damaged.
        """
        saw(study)
        for packed in self.packed:
            if (packed.set, packed.patient, packed.visit) == (study.source, study.patient, study.visit):
                case = Case(study)
                for entry in packed.arrays:
                    if keys is None or entry.key in keys:
                        kind = case.images if entry.kind == "image" else case.labels
                        kind[entry.key] = self._stored(entry)
                return case
        raise InputError(
            f"The pack has no study {study.patient} {study.visit}",
            expected="a study of this pack",
            got=f"{len(self.packed)} others",
            action="take the study from the pack's own list",
        )

    def record(self) -> list[dict[str, str]]:
        """Every source file with its patient, split and sha256, as when it was packed."""
        return [
            describe(study, entry.kind, entry.key, entry.source, entry.source_sha256)
            for study, packed in zip(self.studies, self.packed, strict=True)
            for entry in packed.arrays
        ]

    def verify(self) -> None:
        """Decode every array and compare its hash; `InputError` names the first that differs."""
        for packed in self.packed:
            for entry in packed.arrays:
                if _digest(self._stored(entry).values) != entry.sha256:
                    raise InputError(
                        f"The array {entry.key} of {packed.patient} is not what was packed",
                        expected=f"sha256 {entry.sha256}",
                        got="another",
                        action="copy the pack again, or pack the data again",
                    )

    def _stored(self, entry: Entry) -> Stored:
        try:
            with safe_open(self.folder / Path(entry.file).name, framework="numpy") as file:
                stream = file.get_tensor(entry.array).tobytes()
        except (OSError, SafetensorError) as error:
            raise InputError(
                f"An array of the pack cannot be read: {entry.array}",
                expected=f"it in {entry.file}",
                got=str(error),
                action="copy the pack again, or pack the data again",
            ) from error
        values = decode(stream, entry.codec, entry.shape)
        return Stored(values, entry.step, entry.scale, Geometry(entry.shape, np.array(entry.affine)))


def pack(
    data: FileSet,
    out: Path,
    *,
    sources: Sequence[str] = (),
    keys: Sequence[str] = (),
    splits: Sequence[str] = (),
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Pack:
    """Write a pack.

    Args:
        data: what to pack; its storage is the pack's.
        out: folder, new or empty.
        sources: sets to take; none named takes all.
        keys: images and labels to take, likewise.
        splits: likewise.
        progress: called at every study.
        cancel: polled at every study; a cancelled pack has no pack.json.

    Returns:
        The pack, opened.

    Raises:
        UsageError: when a set, key or split is not in the data, nothing is left, or the folder is not empty.
        InputError: when a file cannot be read, or two patients have the same image.
        ResourceError: when the folder cannot be written.
        CancelledError: when cancelled.
    """
    chosen = _chosen(data, sources, keys, splits)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(
            "The pack needs a folder of its own",
            expected="a new or an empty folder",
            got=f"{out.name}, which is neither",
            action="choose another --out",
        )
    monitor = Monitor(progress, cancel)
    names = {
        source: _file_name(n, source) for n, source in enumerate(dict.fromkeys(s.source for s in chosen))
    }
    arrays: dict[str, dict[str, NDArray[np.uint8]]] = {name: {} for name in names.values()}
    packed: list[PackedStudy] = []
    seen: dict[str, str] = {}
    try:
        out.mkdir(parents=True, exist_ok=True)
        with monitor.stage("packing", 1.0):
            for number, study in enumerate(chosen):
                monitor.step(number / len(chosen))
                name = names[study.source]
                entries = tuple(_encoded(data, study, keys, name, arrays[name]))
                _refuse_copies(seen, study, entries)
                packed.append(_packed(study, entries))
        for name, streams in arrays.items():
            save_file(streams, out / name)
        write_index(out, data.storage, tuple(packed))
    except OSError as error:
        raise ResourceError(
            "The pack could not be written",
            expected="a folder with room and permission",
            got=error.strerror or str(error),
            action="check the folder and the disk",
        ) from error
    return Pack.load(out)


def _chosen(data: FileSet, sources: Sequence[str], keys: Sequence[str], splits: Sequence[str]) -> list[Study]:
    """Studies to pack, in order; a name that none has is refused."""
    there = {
        "set": {s.source for s in data.studies},
        "key": {k for s in data.studies for k in (*s.images, *s.labels)},
        "split": {s.split for s in data.studies},
    }
    for word, asked in (("set", sources), ("key", keys), ("split", splits)):
        wrong = [name for name in asked if name not in there[word]]
        if wrong:
            raise UsageError(
                f"The data have no {word} {', '.join(wrong)}",
                expected="some of " + ", ".join(sorted(there[word])),
                got=", ".join(asked),
                action=f"choose another {word}",
            )
    chosen = [
        s
        for s in data.studies
        if (not sources or s.source in sources)
        and (not splits or s.split in splits)
        and (not keys or set(keys) & {*s.images, *s.labels})
    ]
    if not chosen:
        raise UsageError("Nothing is left to pack", expected="at least one study", got="none")
    return chosen


def _file_name(number: int, source: str) -> str:
    return f"{number:02d}-{re.sub(r'[^A-Za-z0-9]+', '-', source).strip('-').lower()}.safetensors"


def _encoded(
    data: FileSet, study: Study, keys: Sequence[str], file: str, arrays: dict[str, NDArray[np.uint8]]
) -> Iterator[Entry]:
    """Encode a study's arrays into `arrays`, and say of each what it is."""
    case = data.case(study, keys or None)
    for kind, stored, paths in (("image", case.images, study.images), ("label", case.labels, study.labels)):
        for key, one in stored.items():
            name = f"{study.patient}/{study.visit}/{kind}/{key}"
            stream = encode(one.values, CODECS[kind])
            arrays[name] = np.frombuffer(stream, dtype=np.uint8)
            yield Entry(
                key=key,
                kind="image" if kind == "image" else "label",
                file=file,
                array=name,
                codec=CODECS[kind],
                shape=one.geometry.shape,
                affine=tuple(tuple(row) for row in one.geometry.affine.tolist()),
                step=one.step,
                scale=one.scale,
                sha256=_digest(one.values),
                source=relative(paths[key], data.manifest.root),
                source_sha256=sha256(paths[key]),
            )


def _packed(study: Study, entries: tuple[Entry, ...]) -> PackedStudy:
    return PackedStudy(
        study.source, study.patient, study.visit, study.split, study.coverage, study.licence, entries
    )


def _refuse_copies(seen: dict[str, str], study: Study, entries: Sequence[Entry]) -> None:
    """One image under two patients' names would be in training and validation alike."""
    for entry in entries:
        if entry.kind == "image" and seen.setdefault(entry.source_sha256, study.patient) != study.patient:
            raise InputError(
                "Two patients have the same image",
                expected="every image once",
                got=f"{entry.source} of {study.patient}, a copy of one of {seen[entry.source_sha256]}",
                action="correct the data: one patient under two names would be in two splits",
            )


def _digest(values: NDArray[np.int16]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values, dtype="<i2").tobytes()).hexdigest()
