"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(place: Path, *, ending: str = ".part") -> Iterator[Path]:
    """A hidden file beside a place; it takes the place when the block ends, and is gone when that fails.

    Until then what was there stays, also when the disk is full or the process ends.

    Args:
        place: of the file, in a folder that is there.
        ending: of the hidden file's name, for writers that go by it; whoever watches the folder does not take
            one that ends in ``.part`` for a volume.

    Raises:
        OSError: when the file cannot take the place.
    """
    draft = place.with_name(f".{uuid.uuid4().hex}{ending}")
    try:
        yield draft
        os.replace(draft, place)
    finally:
        draft.unlink(missing_ok=True)
