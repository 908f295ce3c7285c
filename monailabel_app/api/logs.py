"""The server's log at MONAI Label's address, as plain text: its own page runs scripts of other sites."""

from __future__ import annotations

import shutil
import subprocess
from collections import deque
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import PlainTextResponse

from monailabel_app.api.schemas import PROBLEMS
from monailabel_app.problems import NotFoundError
from monailabel_app.service import Service, service_of

_MOST = 10_000
router = APIRouter(prefix="/logs", tags=["Others"], responses=PROBLEMS)


@router.get("/", response_class=PlainTextResponse, summary="The server's log")
def log(
    service: Annotated[Service, Depends(service_of)],
    lines: Annotated[int, Query(ge=0, le=_MOST, description="0 for as many as there may be")] = 300,
) -> PlainTextResponse:
    """The last lines of the log."""
    with service.log.open(encoding="utf-8", errors="replace") as stream:
        return PlainTextResponse("".join(deque(stream, lines or _MOST)))


@router.get("/gpu", response_class=PlainTextResponse, summary="The GPUs")
def gpu() -> PlainTextResponse:
    """What ``nvidia-smi`` says."""
    program = shutil.which("nvidia-smi")
    if program is None:
        raise NotFoundError(
            "There is no GPU of NVIDIA's",
            expected="the program nvidia-smi",
            got="none",
            action="see GET /health for the devices that are used",
        )
    done = subprocess.run([program], capture_output=True, timeout=10, check=False)
    return PlainTextResponse(done.stdout.decode("utf-8", "replace"))
