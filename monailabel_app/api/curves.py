"""How a training goes: the numbers of its losses and validations so far."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from medgan_core.training import folder
from monailabel_app.api.schemas import PROBLEMS
from monailabel_app.jobs.training import Training
from monailabel_app.jobs.tuning import Tuning
from monailabel_app.problems import NotFoundError
from monailabel_app.service import Service, service_of

router = APIRouter(prefix="/jobs", tags=["Jobs"], responses=PROBLEMS)
Served = Annotated[Service, Depends(service_of)]


class Curves(BaseModel):
    """Points in order; each has `step` (update), `seconds` (of training) and the numbers of that moment."""

    train: list[dict[str, float | str]] = Field(description="means over the updates since the point before")
    validation: list[dict[str, float | str]] = Field(description="on the patients held back")


@router.get("/{job_id}/curves", response_model=Curves, summary="The curves of a training")
def curves(job_id: str, service: Served) -> dict[str, Any]:
    """Losses and validations of a training so far; empty lists before its first points."""
    work = service.queue.get(job_id).work
    if not isinstance(work, Training | Tuning):
        raise NotFoundError(
            "The job has no curves",
            expected="a training",
            got=f"a job of the kind {work.kind}",
            action="fetch its report (GET /jobs/{id}/report)",
        )
    return {kind: _points(work, kind) for kind in Curves.model_fields}


def _points(work: Training | Tuning, kind: str) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k != "kind"} for line in folder.metrics(Path(work.out), kind)]
