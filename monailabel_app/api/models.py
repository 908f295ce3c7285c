"""Which models there are."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from monailabel_app.api.schemas import PROBLEMS, Cards
from monailabel_app.problems import problem
from monailabel_app.service import Service, service_of

router = APIRouter(tags=["Models"], responses=PROBLEMS)
Served = Annotated[Service, Depends(service_of)]


@router.get("/models", response_model=Cards, summary="All models")
def models(service: Served) -> dict[str, Any]:
    """The card of every model."""
    cards, errors = service.cards()
    return {"models": [card.to_dict() for card in cards], "problems": [problem(error) for error in errors]}


@router.get("/models/{name}", summary="One model")
def model(name: str, service: Served) -> dict[str, Any]:
    """The model's card."""
    return service.card(name).to_dict()
