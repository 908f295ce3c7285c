"""Which files a training saw, by their hashes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from medgan_core.data.manifest import Manifest


def fingerprint(data: Path) -> dict[str, Any]:
    """Every file of a data set with its patient, split and sha256, paths relative to its folder.

    Args:
        data: what `Manifest.load` reads.
    """
    manifest = Manifest.load(data)
    rows = []
    for study in manifest.studies:
        for kind, files in (("image", study.images), ("label", study.labels)):
            for key, path in files.items():
                rows.append(
                    {
                        "path": path.relative_to(manifest.root).as_posix(),
                        "set": study.source,
                        "patient": study.patient,
                        "visit": study.visit,
                        "split": study.split,
                        "kind": kind,
                        "key": key,
                        "sha256": _sha256(path),
                    }
                )
    return {"files": rows}


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
