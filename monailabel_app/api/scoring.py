"""MONAI Label's scoring, for methods that there are: for others it would start a process that fails."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from monailabel.endpoints import scoring

from monailabel_app.api.schemas import PROBLEMS
from monailabel_app.problems import NotFoundError
from monailabel_app.service import Service, service_of

router = APIRouter(prefix="/scoring", tags=["Scoring"], responses=PROBLEMS)


@router.post("/{method}", summary="Run a scoring method")
def run(
    method: str,
    service: Annotated[Service, Depends(service_of)],
    params: Annotated[dict[str, Any] | None, Body()] = None,
    run_sync: bool = False,
) -> dict[str, Any]:
    """Score the images of the store."""
    known = service.app.info().get("scoring", {})
    if method not in known:
        raise NotFoundError(
            "There is no such scoring method",
            expected="one of " + (", ".join(known) or "(none is installed)"),
            got=method[:64],
            action="choose one that GET /info/ lists",
        )
    found: dict[str, Any] = scoring.run_method(method, params, run_sync)
    return found
