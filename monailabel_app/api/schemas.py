"""The JSON that goes in and out, for checks and for the OpenAPI description."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medgan_core.errors import UsageError
from monailabel_app.client_json import read_json
from monailabel_app.jobs.job import State


class JobRequest(BaseModel):
    """The part ``request`` of a submitted form."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    model: str = Field(max_length=128, description="name of a model")
    target: str | None = Field(None, description="key of the wanted output, needed when there are several")
    seed: int = Field(0, ge=0, lt=2**63, description="the same seed gives the same voxels")
    count: int = Field(1, ge=1, le=64, description="how many variants")
    settings: dict[str, bool | int | float | str] = Field(
        default_factory=dict, description="choices of the card's settings, and of the engine"
    )
    inputs: dict[str, str] = Field(
        default_factory=dict, description="inputs from the server's datastore: image id by input key"
    )

    @staticmethod
    def read(text: str) -> JobRequest:
        """Parse JSON text.

        Raises:
            UsageError: naming the field that is wrong.
        """
        with suppress(ValueError, RecursionError):  # no JSON at all, which is told below
            read_json(text)
        try:
            return JobRequest.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "request"
            raise UsageError(
                f"The request is not valid at {where!r}",
                expected=first["msg"],
                got=repr(first.get("input"))[:200],
                action="correct the JSON of the part 'request'; docs/rest.md lists its fields",
            ) from error


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    expected: str
    got: str
    action: str
    request_id: str = Field("", description="as in the answer's header X-Request-ID and in the log")


class StudyDocument(BaseModel):
    """One study of a batch."""

    image: str = Field(description="its id in the datastore")
    state: Literal["queued", "running", "done", "failed"]
    results: list[str] = Field(description="keys for /jobs/{id}/results/{key}")
    verdict: str | None
    error: Problem | None
    seconds: float | None = Field(description="that its work took; null before")


class JobDocument(BaseModel):
    """A job as a client sees it."""

    id: str
    kind: Literal["run", "batch", "train", "tune", "scoring", "ranking"]
    model: str
    target: str | None
    seed: int
    count: int
    settings: dict[str, bool | int | float | str]
    inputs: list[str]
    state: State
    position: int | None = Field(description="1 is next to run; null unless queued")
    fraction: float = Field(ge=0, le=1)
    stage: str
    elapsed_s: float
    remaining_s: float | None
    created: str
    started: str | None
    finished: str | None
    device: str | None
    studies: list[StudyDocument] = Field(description="of a batch; empty for other kinds")
    results: list[str] = Field(description="keys for /jobs/{id}/results/{key}")
    verdict: str | None
    error: Problem | None


class JobList(BaseModel):
    """Every job, oldest first."""

    jobs: list[JobDocument]


class Cards(BaseModel):
    """The cards of models that can be run; `problems` names models whose card cannot be read."""

    models: list[dict[str, Any]]
    problems: list[Problem] = []


PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "a problem document (RFC 9457)",
        "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
    }
}
