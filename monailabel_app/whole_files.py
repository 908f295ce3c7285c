"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(place: Path) -> Iterator[Path]:
    """A hidden file beside a place; it takes the place when the block ends, and is gone when that fails.

    Until then what was there stays, also when the disk is full or the process ends.

    Args:
        place: of the file, in a folder that is there.

    Raises:
        OSError: when the file cannot take the place.
    """
    # An ending of its own: whoever watches the folder does not take it for a volume.
    draft = place.with_name(f".{uuid.uuid4().hex}.part")
    try:
        yield draft
        os.replace(draft, place)
    finally:
        draft.unlink(missing_ok=True)
