"""Images of MONAI Label's datastore by id, and nothing beside them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from monailabel_app.problems import UnknownImageError


def is_plain(name: str) -> bool:
    """True when a name from outside cannot climb out of the folder it is looked up in."""
    return (
        name not in ("", ".")
        and "\0" not in name
        and not PurePosixPath(name).is_absolute()
        and not PureWindowsPath(name).anchor
        and ".." not in PurePosixPath(name.replace("\\", "/")).parts
    )


def image_path(datastore: Any, studies: str, image_id: str) -> Path:
    """Where an image of the datastore lies.

    Args:
        datastore: MONAI Label's.
        studies: its folder, or the address of a DICOMweb server (its images lie in a cache).
        image_id: from a client.

    Raises:
        UnknownImageError: when there is no such image, or it lies outside of the studies folder.
    """
    path = datastore.get_image_uri(image_id) if is_plain(image_id) else ""
    if path and Path(path).exists():
        found = Path(path).resolve()
        if studies.startswith(("http://", "https://")) or found.is_relative_to(Path(studies).resolve()):
            return found
    raise UnknownImageError(
        "There is no such image in the server's datastore",
        expected="the id of an image that GET /datastore/?output=all lists",
        got=image_id[:200],
        action="choose a listed image, or upload the volume",
    )


def stamp(path: Path) -> str:
    """Size and time of a file, to tell it from another one in its place; "" when there is none."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_size}-{found.st_mtime_ns}"
