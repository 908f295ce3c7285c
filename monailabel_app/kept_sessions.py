"""MONAI Label's sessions, which end when their time is over and never end the thread that cleans up."""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from pathlib import Path
from typing import Any

from monailabel.utils.sessions import Sessions

from medgan_core.whole_files import replacing

logger = logging.getLogger(__name__)
SESSION_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HALF_MADE_S = 600.0


class KeptSessions(Sessions):  # type: ignore[misc]
    """The stock sessions with four differences.

    - One whose time is over is not found any more, whenever the last cleaning was.
    - Cleaning goes over all folders, also after a restart, and past those that cannot be read; what has no
      description ten minutes after it was begun is removed.
    - One that cannot be made whole leaves nothing behind.
    - Only folders that are named like a session are touched.
    """

    def get_session(self, session_id: str, update_ts: bool = True, fetch_cache: bool = True) -> Any:
        """The session, or None when there is none, it cannot be read, or its time is over."""
        if not SESSION_ID.fullmatch(session_id):
            return None
        try:
            found = super().get_session(session_id, update_ts=False, fetch_cache=fetch_cache)
        except (ValueError, TypeError, AttributeError):
            found = None  # Its description is damaged.
        if found is not None and 0 < found.expiry < time.time() - found.last_access_ts:
            self.remove_session(session_id)
            found = None
        if found is not None and update_ts:
            found.last_access_ts = int(time.time())
            self._write_meta_info(session_id, found)
        return found

    def add_session(
        self, data_file: str, expiry: int = 0, uncompress: bool = False, session_id: str | None = None
    ) -> tuple[str, Any]:
        """Move a volume into a new session.

        Raises:
            OSError: when it cannot be written; nothing of it is left.
        """
        session_id = session_id or str(uuid.uuid4())
        try:
            made: tuple[str, Any] = super().add_session(data_file, expiry, uncompress, session_id)
        except BaseException:
            self.remove_session(session_id)
            raise
        return made

    def remove_expired(self) -> int:
        """Remove what is over, damaged or was never made whole; tells how many."""
        count = 0
        for folder in Path(self.store_path).glob("*-*"):
            try:
                count += self._remove_useless(folder)
            except Exception:
                logger.exception("a session is cleaned up later")
        return count

    def _remove_useless(self, folder: Path) -> bool:
        if not SESSION_ID.fullmatch(folder.name) or self.get_session(
            folder.name, update_ts=False, fetch_cache=False
        ):
            return False
        if folder.is_dir() and time.time() - folder.stat().st_mtime < _HALF_MADE_S:
            return False  # It may be in the making.
        self.remove_session(folder.name)
        return True

    def _write_meta_info(self, session_id: str, session_info: Any) -> None:
        with replacing(Path(self.store_path, session_id, "meta.info")) as draft:
            draft.write_text(json.dumps(session_info.to_json()), encoding="utf-8")
