"""The report on all studies of a batch: a table and a page, current while it runs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import HTMLResponse, StreamingResponse

from monailabel_app.api.schemas import PROBLEMS
from monailabel_app.jobs.cohort import table
from monailabel_app.jobs.cohort_page import page
from monailabel_app.jobs.job import Job
from monailabel_app.problems import NotFoundError
from monailabel_app.service import Service, service_of

router = APIRouter(prefix="/jobs", tags=["Jobs"], responses=PROBLEMS)
Served = Annotated[Service, Depends(service_of)]
_SAFE = {
    # The page runs nothing and loads nothing, whatever is in it.
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@router.get(
    "/{job_id}/cohort.csv",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}, "description": "a line for each study"}},
    summary="A batch as a table",
)
def cohort_table(job_id: str, service: Served) -> Response:
    """State, verdict, seconds and the rows of the report of every study."""
    headers = {**_SAFE, "Content-Disposition": 'attachment; filename="cohort.csv"'}
    return Response(table(_batch(service, job_id)), media_type="text/csv", headers=headers)


@router.get("/{job_id}/cohort.html", response_class=HTMLResponse, summary="A batch as a page")
def cohort_page(job_id: str, service: Served) -> StreamingResponse:
    """One page with pictures and tables of every study; it needs no other file."""
    return StreamingResponse(page(_batch(service, job_id)), media_type="text/html", headers=_SAFE)


def _batch(service: Service, job_id: str) -> Job:
    job = service.queue.get(job_id)
    if job.work.kind != "batch":
        raise NotFoundError(
            "The job has no cohort",
            expected="a batch",
            got=f"a job of the kind {job.work.kind}",
            action="fetch its report (GET /jobs/{id}/report)",
        )
    return job
