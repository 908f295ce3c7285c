"""Sessions at MONAI Label's addresses: a volume that is kept for the requests of one client, for a while.

MONAI Label's own endpoints unpack any archive and tell clients the server's folders; these do neither.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from medgan_core.errors import UsageError
from monailabel_app.api.datastore import form_with
from monailabel_app.api.receiving import one_file, received
from monailabel_app.api.schemas import PROBLEMS
from monailabel_app.jobs.files import size_of
from monailabel_app.problems import StorageFullError, UnknownImageError
from monailabel_app.service import Service, service_of

router = APIRouter(prefix="/session", tags=["Session"], responses=PROBLEMS)
Served = Annotated[Service, Depends(service_of)]


@router.put("/", openapi_extra=form_with("files"), summary="Make a session")
async def create_session(
    request: Request, service: Served, uncompress: bool = False, expiry: int = 0
) -> dict[str, Any]:
    """Keep a volume, or the slices of a DICOM series (a part `files` for each), for one session."""
    if uncompress:
        raise UsageError(
            "Archives are not unpacked",
            expected="the volume, or every slice as a part of its own",
            got="uncompress=true",
            action="send the files themselves",
        )
    sessions = _sessions(service)
    place = Path(sessions.store_path)
    await run_in_threadpool(place.mkdir, parents=True, exist_ok=True)
    async with received(request, service, into=place, series="files") as form:
        path = one_file(form, "files")
        await run_in_threadpool(_require_quota, place, path, service.options.retention.quota)
        session_id, found = await run_in_threadpool(
            sessions.add_session,
            str(path),
            max(0, expiry),
            session_id=str(uuid.uuid4()),  # MONAI Label's own can be guessed: it is made of the time.
        )
    return {"session_id": session_id, "session_info": _told(found)}


@router.get("/{session_id}", response_model=None, summary="A session")
def session(
    session_id: str, service: Served, update_ts: bool = False, image: bool = False
) -> dict[str, Any] | FileResponse:
    """What is known of a session, or its volume."""
    found = _find(service, session_id, update_ts=update_ts)
    path = Path(found.image)
    if image and path.is_file():
        return FileResponse(path, media_type="application/octet-stream", filename=path.name)
    return _told(found)


@router.delete("/{session_id}", summary="End a session")
def remove_session(session_id: str, service: Served) -> dict[str, Any]:
    """Remove a session and its volume."""
    found = _find(service, session_id)
    _sessions(service).remove_session(session_id)
    return _told(found)


def session_image(service: Service, session_id: str) -> Path:
    """The volume (or folder of a series) of a session.

    Raises:
        UnknownImageError: when there is no such session.
    """
    return Path(_find(service, session_id).image)


def _require_quota(place: Path, path: Path, quota: int) -> None:
    """All sessions together may take as much as all jobs.

    Raises:
        StorageFullError: when they would take more.
    """
    new = path.stat().st_size if path.is_file() else size_of(path)
    if size_of(place) + new > quota:
        raise StorageFullError(
            "The server has no room for the session",
            expected=f"at most {quota / 1e6:,.0f} MB of all sessions together",
            got=f"{new / 1e6:,.1f} MB more",
            action="end sessions that are not needed, or upload the volume with each request",
        )


def _sessions(service: Service) -> Any:
    sessions = service.app.sessions()
    if sessions is None:
        raise UsageError(
            "The server keeps no sessions",
            expected="MONAI_LABEL_SESSIONS=true where the server is started",
            got="false",
            action="upload the volume with each request",
        )
    return sessions


def _find(service: Service, session_id: str, *, update_ts: bool = True) -> Any:
    sessions = _sessions(service)
    found = sessions.get_session(session_id, update_ts=update_ts)
    if found is None:
        raise UnknownImageError(
            "There is no such session",
            expected="the id of a session that has not expired",
            got=ascii(session_id)[:64],
            action="make a new session (PUT /session/), or upload the volume",
        )
    return found


def _told(found: Any) -> dict[str, Any]:
    """What a client is told of a session; of folders nothing."""
    return {**found.to_json(), "path": "", "image": Path(found.image).name}
