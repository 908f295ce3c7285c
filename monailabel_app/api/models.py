"""Which models there are, in which versions, and which version is in use."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from medgan_core.card import ModelCard
from medgan_core.training import publishing
from monailabel_app.api.schemas import PROBLEMS, Cards
from monailabel_app.problems import problem
from monailabel_app.service import Service, service_of

router = APIRouter(tags=["Models"], responses=PROBLEMS)
Served = Annotated[Service, Depends(service_of)]


class Version(BaseModel):
    """A version of a model with what was measured; `baseline` of a figure is that of the version before."""

    version: str
    default: bool = Field(description="it is the one in use")
    sha256: str = Field(description="of its weights")
    training: dict[str, Any]
    figures: list[dict[str, Any]]


class Versions(BaseModel):
    """The versions of a model, lowest first."""

    model: str
    versions: list[Version]


class DefaultRequest(BaseModel):
    """Which version is to be used from now on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str = Field(max_length=64, description="one that GET /models/{name}/versions lists")


@router.get("/models", response_model=Cards, summary="All models")
def models(service: Served) -> dict[str, Any]:
    """The card of every model."""
    cards, errors = service.cards()
    return {"models": [card.to_dict() for card in cards], "problems": [problem(error) for error in errors]}


@router.get("/models/{name}", summary="One model")
def model(name: str, service: Served) -> dict[str, Any]:
    """The model's card."""
    return service.card(name).to_dict()


@router.get("/models/{name}/versions", response_model=Versions, summary="The versions of a model")
def versions(name: str, service: Served) -> Versions:
    """Every published version with its figures; those of a tuned one stand beside the version's before."""
    service.card(name)
    found = publishing.published(name, shelf=service.registry, models=service.options.models[-1])
    return Versions(model=name, versions=[_version(card, used) for card, used in found])


@router.post("/models/{name}/default", response_model=Versions, summary="Choose the version in use")
def choose(name: str, asked: DefaultRequest, service: Served) -> Versions:
    """Use a version from now on, to go back to an earlier one, too; jobs that run end with theirs."""
    service.card(name)
    publishing.use(name, asked.version, models=service.options.models[-1])
    return versions(name, service)


def _version(card: ModelCard, used: bool) -> Version:
    return Version(
        version=card.version,
        default=used,
        sha256=card.weights.sha256,
        training=dataclasses.asdict(card.training),
        figures=[dataclasses.asdict(figure) for figure in card.figures],
    )
