"""Sessions end when their time is over, whatever lies beside them."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from monailabel_app.api.sessions import _require_quota
from monailabel_app.kept_sessions import KeptSessions
from monailabel_app.main import MedganApp
from monailabel_app.problems import StorageFullError


@pytest.fixture
def add(tmp_path: Path) -> Callable[[KeptSessions, float], str]:
    """Makes a session that was last used so many seconds ago, and lasts for an hour."""

    def make(sessions: KeptSessions, ago: float) -> str:
        path = tmp_path / f"{uuid.uuid4().hex}.nii"
        path.write_bytes(b"patient")
        session_id, _ = sessions.add_session(str(path))
        meta = Path(sessions.store_path, session_id, "meta.info")
        meta.write_text(json.dumps({**json.loads(meta.read_text()), "last_access_ts": time.time() - ago}))
        sessions.clear()  # as after a restart
        return session_id

    return make


def test_a_session_whose_time_is_over_is_neither_found_nor_kept(
    tmp_path: Path, add: Callable[[KeptSessions, float], str]
) -> None:
    sessions = KeptSessions(str(tmp_path / "store"))
    over, lasting = add(sessions, 3700), add(sessions, 10)
    assert sessions.get_session(over) is None
    assert not (tmp_path / "store" / over).exists()
    assert sessions.get_session(lasting) is not None


def test_cleaning_goes_on_after_a_restart_and_past_bad_folders(
    tmp_path: Path, add: Callable[[KeptSessions, float], str]
) -> None:
    sessions = KeptSessions(str(tmp_path / "store"))
    over, lasting = add(sessions, 3700), add(sessions, 10)
    making, half, damaged = (tmp_path / "store" / str(uuid.uuid4()) for _ in range(3))
    for folder in (making, half, damaged):
        folder.mkdir()
    (damaged / "meta.info").write_text("[no session")
    for folder in (half, damaged):
        os.utime(folder, (1e9, 1e9))
    foreign = tmp_path / "store" / "somebody-elses"
    foreign.mkdir()
    os.utime(foreign, (1e9, 1e9))
    app = SimpleNamespace(_sessions=KeptSessions(str(tmp_path / "store")))
    MedganApp.cleanup_sessions(app)  # type: ignore[arg-type]
    left = {path.name for path in (tmp_path / "store").iterdir()}
    assert left == {lasting, making.name, foreign.name}
    assert over not in left


def test_a_session_that_cannot_be_made_whole_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    sessions = KeptSessions(str(tmp_path / "store"))
    (tmp_path / "a.nii").write_bytes(b"patient")
    monkeypatch.setattr(KeptSessions, "_write_meta_info", full)
    with pytest.raises(OSError, match="No space"):
        sessions.add_session(str(tmp_path / "a.nii"))
    assert list((tmp_path / "store").iterdir()) == []


def test_all_sessions_together_stay_within_the_quota(
    tmp_path: Path, add: Callable[[KeptSessions, float], str]
) -> None:
    sessions = KeptSessions(str(tmp_path / "store"))
    add(sessions, 10)
    new = tmp_path / "new.nii"
    new.write_bytes(b"0" * 1000)
    _require_quota(tmp_path / "store", new, 2000)
    with pytest.raises(StorageFullError, match="session"):
        _require_quota(tmp_path / "store", new, 1000)
