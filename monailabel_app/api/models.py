"""Which models there are, and whether the server is well."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from medgan_core import __version__
from monailabel_app.api.schemas import PROBLEMS, Cards, Health
from monailabel_app.jobs.job import STATES
from monailabel_app.problems import problem
from monailabel_app.service import Service, service_of

router = APIRouter(tags=["Models"], responses=PROBLEMS)
Served = Annotated[Service, Depends(service_of)]


@router.get("/health", response_model=Health, summary="Is the server well?")
async def health(service: Served) -> dict[str, Any]:
    """The server's version, what each worker does, and how many jobs are in which state."""
    counts = Counter(job.state for job in service.queue.jobs())
    return {
        "status": "ok",
        "version": __version__,
        "workers": service.queue.status(),
        "jobs": {state: counts[state] for state in STATES},
    }


@router.get("/models", response_model=Cards, summary="All models")
def models(service: Served) -> dict[str, Any]:
    """The card of every model."""
    cards, errors = service.cards()
    return {"models": [card.to_dict() for card in cards], "problems": [problem(error) for error in errors]}


@router.get("/models/{name}", summary="One model")
def model(name: str, service: Served) -> dict[str, Any]:
    """The model's card."""
    return service.card(name).to_dict()
