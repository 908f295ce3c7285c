"""What was judged once is kept: JSON files, each taken only when what it depends on is the same."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from medgan_core.whole_files import replacing


def kept(file: Path, key: Mapping[str, Any], make: Callable[[], Any]) -> Any:
    """What the file holds for this key; made and written when it holds none, or one for another key.

    Args:
        file: JSON; its folder is made.
        key: what the judging depends on, as plain JSON types.
        make: judges; gives plain JSON types.
    """
    found = read(file, key)
    if found is not None:
        return found
    begin = time.monotonic()
    records = json.loads(json.dumps(make()))
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as draft:
        draft.write_text(json.dumps({"key": key, "records": records}, indent=1), encoding="utf-8")
    print(f"{file.stem}: judged in {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    return records


def read(file: Path, key: Mapping[str, Any]) -> Any:
    """What the file holds for this key, or None."""
    if not file.is_file():
        return None
    found = json.loads(file.read_text(encoding="utf-8"))
    return found["records"] if found["key"] == json.loads(json.dumps(key)) else None
