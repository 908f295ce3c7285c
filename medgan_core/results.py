"""What a run takes from files and leaves in its folder: a volume for every output, and report.json."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medgan_core.errors import CancelledError, MedganError, UsageError

if TYPE_CHECKING:
    from medgan_core.engine import Outcome
    from medgan_core.volume import Volume

REPORT = "report.json"


def make_folder(out: Path) -> None:
    """Make the folder for results.

    Raises:
        UsageError: when there is something else of that name.
    """
    if out.exists() and not out.is_dir():
        raise UsageError("The output is not a folder", expected="a folder, or a new name", got=str(out))
    out.mkdir(parents=True, exist_ok=True)


def read_inputs(paths: Mapping[str, Path], cancel: Callable[[], bool]) -> dict[str, Volume]:
    """Volumes by key; `cancel` is polled before each.

    Raises:
        InputError: when a file cannot be worked with.
        CancelledError: when asked to stop.
    """
    from medgan_core import io

    volumes = {}
    for key, path in paths.items():
        volumes[key] = io.read(path)
        if cancel():
            raise CancelledError()
    return volumes


def write(out: Path, outcome: Outcome, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Write ``KEY.nii.gz`` for every output, with its provenance inside, and report.json.

    Args:
        out: a folder.
        outcome: of a run.
        seconds: of stages before the run; they and that of writing go into the report.

    Returns:
        The report as written: verdict, rows, provenance, and outputs (file names by key).
    """
    from medgan_core import io, provenance

    start = time.monotonic()
    report = outcome.report.to_dict()
    made = dict(report["provenance"])
    told = {**provenance.flat(made), "MedGAN.provenance": json.dumps(made)}
    files = {
        key: io.write(volume, out / f"{key}.nii.gz", metadata=told).name
        for key, volume in outcome.volumes.items()
    }
    took = {**seconds, "write": time.monotonic() - start}
    made["seconds"] = made["seconds"] | {stage: round(s, 4) for stage, s in took.items()}
    report |= {"provenance": made, "outputs": files}
    _save(out, report)
    return report


def write_refusal(out: Path, error: MedganError) -> dict[str, Any]:
    """Leave the reason in report.json, with the rows there were already; returns what was written."""
    rows = getattr(error, "report", None) or {}
    told = {"rows": [], "provenance": {}, **rows, "error": error.to_dict()}
    if out.is_dir():
        _save(out, told)
    return told


def _save(out: Path, report: Mapping[str, Any]) -> None:
    draft = out / f".{REPORT}.draft"
    draft.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(out / REPORT)
