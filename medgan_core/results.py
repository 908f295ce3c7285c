"""What a run takes from files and leaves in its folder: a volume for every output, and report.json."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medgan_core.errors import CancelledError, MedganError, ResourceError, UsageError
from medgan_core.numbering import numbered
from medgan_core.whole_files import replacing

if TYPE_CHECKING:
    from medgan_core.card import ModelCard
    from medgan_core.engine import Outcome
    from medgan_core.volume import Volume

REPORT = "report.json"
_ENDING = ".nii.gz"


def make_folder(out: Path) -> None:
    """Make the folder for results, and see that files can be written there.

    Raises:
        UsageError: when there is something else of that name.
        ResourceError: when it cannot be made or written into.
    """
    try:
        if out.exists() and not out.is_dir():
            raise UsageError("The output is not a folder", expected="a folder, or a new name", got=str(out))
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out, prefix=".results-") as probe:
            probe.write(b"0")
    except OSError as error:
        raise _unwritable(out, error) from error


def names(card: ModelCard, target: str, count: int) -> list[str]:
    """Names of the files that a run may leave beside its report.

    Args:
        card: of the model.
        target: key of the wanted output.
        count: how many samples are drawn.
    """
    keys = [port.key for port in card.outputs if port.key == target or port.key not in card.targets]
    return [numbered(key, n, count) + _ENDING for key in keys for n in range(count)]


def check_folder(out: Path, planned: Iterable[str], inputs: Iterable[Path]) -> None:
    """See that writing results into a folder costs nothing but the results of an earlier run.

    Args:
        out: the folder.
        planned: names of the files that are to be written.
        inputs: files that the run reads.

    Raises:
        UsageError: when an input would be replaced or removed, or another file has one of the names.
    """
    planned = set(planned)
    _check_others(out, planned)
    ours = {out / name for name in planned | _files(_earlier(out))}
    taken = [path for path in inputs if any(_same(path, one) for one in ours)]
    if taken:
        raise UsageError(
            "An input lies where the results are to be written",
            expected="inputs that the results do not replace",
            got=", ".join(map(str, taken)),
            action="give another folder (--out), or move the input",
        )


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

    Results of an earlier run in the folder go when all new ones are written.

    Args:
        out: a folder.
        outcome: of a run.
        seconds: of stages before the run; they and that of writing go into the report.

    Returns:
        The report as written: verdict, rows, provenance, and outputs (file names by key).

    Raises:
        UsageError: when a file that is no earlier result has the name of one.
        ResourceError: when a file cannot be written.
    """
    from medgan_core import io, provenance

    start = time.monotonic()
    report = outcome.report.to_dict()
    made = dict(report["provenance"])
    files = {key: f"{key}{_ENDING}" for key in outcome.volumes}
    _check_others(out, files.values())
    stale = _files(_earlier(out)) - set(files.values())
    with _drafts(out) as place:
        drafts = Path(place)
        for key, volume in outcome.volumes.items():
            one = provenance.of_output(made, key)
            told = {**provenance.flat(one), "MedGAN.provenance": json.dumps(one)}
            io.write(volume, drafts / files[key], metadata=told)
        took = {**seconds, "write": time.monotonic() - start}
        made["seconds"] = made["seconds"] | {stage: round(s, 4) for stage, s in took.items()}
        report |= {"provenance": made, "outputs": files}
        for name in files.values():
            (drafts / name).replace(out / name)
    save(out / REPORT, report)
    for name in stale:
        (out / name).unlink(missing_ok=True)
    return report


def write_refusal(out: Path, error: MedganError) -> dict[str, Any]:
    """Leave the reason in report.json, with the rows there were already; returns what was written.

    Results of an earlier run stay in the folder; their report is kept under ``earlier``. A report.json that
    no run wrote is left alone, and nothing is left where nothing can be written.
    """
    rows = getattr(error, "report", None) or {}
    told = {"rows": [], "provenance": {}, **rows, "error": error.to_dict()}
    with suppress(UsageError, ResourceError, OSError):  # the error to tell is the one that came first
        if out.is_dir():
            if before := _earlier(out):
                told["earlier"] = before
            save(out / REPORT, told)
    return told


def _earlier(out: Path) -> dict[str, Any]:
    """The report of the run whose results lie in the folder; empty when there are none.

    Raises:
        UsageError: when report.json is something else.
    """
    if not (out / REPORT).exists():
        return {}
    try:
        report = json.loads((out / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        report = None
    if not isinstance(report, dict) or not {"rows", "provenance"} <= set(report):
        raise _occupied([REPORT])
    found = report.get("earlier", {}) if "error" in report else report
    return found if isinstance(found, dict) else {}


def _files(report: Mapping[str, Any]) -> set[str]:
    """Names of the files that a report lists as its outputs; nothing outside of its folder."""
    listed = report.get("outputs")
    named = listed.values() if isinstance(listed, dict) else ()
    return {n for n in named if isinstance(n, str) and n.endswith(_ENDING) and Path(n).name == n}


def _check_others(out: Path, planned: Iterable[str]) -> None:
    """Raise `UsageError` when files of these names are there that no report lists."""
    known = _files(_earlier(out))
    others = [name for name in planned if name not in known and (out / name).exists()]
    if others:
        raise _occupied(sorted(others))


def _occupied(found: list[str]) -> UsageError:
    return UsageError(
        "The folder holds files that no run of medgan left there, and results would replace them",
        expected="an empty folder, or one with results of medgan run",
        got=", ".join(found[:8]),
        action="give another folder (--out), or move these files",
    )


def _drafts(out: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder inside the folder, for files that are moved into place when all are written."""
    try:
        return tempfile.TemporaryDirectory(dir=out, prefix=".results-")
    except OSError as error:
        raise _unwritable(out, error) from error


def _same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:  # one of them is not there
        return path.resolve() == other.resolve()


def save(file: Path, told: Mapping[str, Any]) -> None:
    """Write what is told of results as JSON, as a whole or not at all.

    Raises:
        ResourceError: when it cannot be written.
    """
    try:
        with replacing(file) as draft:
            draft.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise _unwritable(file.parent, error) from error


def _unwritable(out: Path, error: OSError) -> ResourceError:
    return ResourceError(
        f"Nothing can be written into {out.name or out}",
        expected="a folder with room and permission to write",
        got=error.strerror or str(error),
        action="check the folder and the disk",
    )
