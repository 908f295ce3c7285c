"""Putting images and labels into the store, at MONAI Label's addresses.

MONAI Label's own endpoints write whatever comes into the temporary folder and leave it there when something
fails. These answer the same requests with bounds.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse
from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.utils.others.generic import file_checksum
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from monailabel_app.access import Client, client_of
from monailabel_app.api.receiving import checked, one_file, params, received
from monailabel_app.api.schemas import PROBLEMS
from monailabel_app.api.uploads import Form
from monailabel_app.label_grid import put_on_grid
from monailabel_app.problems import NotFoundError, UnknownImageError
from monailabel_app.service import Service, service_of
from monailabel_app.strategies import RESERVED

router = APIRouter(prefix="/datastore", tags=["Datastore"], responses=PROBLEMS)
Served = Annotated[Service, Depends(service_of)]
Asker = Annotated[Client, Depends(client_of)]
_ID = re.compile(r"[^\W_][^/\\:*?\"<>|\x00-\x1f\x7f-\x9f\ud800-\udfff]{0,127}")
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
"""What a label may be stored under."""

_SUMS = ("SHA256", "SHA512", "MD5")
_INFO: dict[str, Any] = {
    "requestBody": {
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {"type": "object", "properties": {"info": {"type": "string"}}}
            }
        }
    }
}


def form_with(part: str) -> dict[str, Any]:
    """OpenAPI's description of a form with one file, and parameters as JSON text."""
    properties = {part: {"type": "string", "format": "binary"}, "params": {"type": "string"}}
    schema = {"type": "object", "required": [part], "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


@router.put("/", include_in_schema=False)
@router.put("/image", openapi_extra=form_with("file"), summary="Store an image")
async def add_image(request: Request, service: Served, client: Asker, image: str = "") -> dict[str, str]:
    """Store a volume under an id (default: its file name without ending)."""
    async with received(request, service, into=service.studies) as form:
        path = one_file(form, "file")
        name = PurePosixPath(form.names["file"].replace("\\", "/")).name
        image_id = checked(image or name[: -len("".join(path.suffixes))], _ID, "image id")
        about = {**_without_reserved(params(form)), "user": client.name}
        stored = await run_in_threadpool(service.app.datastore().add_image, image_id, str(path), about)
    return {"image": stored}


@router.put("/image/info", openapi_extra=_INFO, status_code=200, summary="Describe an image")
async def describe_image(request: Request, service: Served, image: str) -> None:
    """Add to what is noted about a stored image; what the server itself notes is left as it is."""
    about = _without_reserved(params(await _fields(request), "info"))
    await run_in_threadpool(service.app.datastore().update_image_info, image, about)


@router.put("/label/info", openapi_extra=_INFO, status_code=200, summary="Describe a label")
async def describe_label(request: Request, service: Served, label: str, tag: str) -> None:
    """Add to what is noted about a stored label; what the server itself notes is left as it is."""
    about = _without_reserved(params(await _fields(request), "info"))
    await run_in_threadpool(service.app.datastore().update_label_info, label, tag, about)


@router.head("/image", summary="Is the image there?", responses=PROBLEMS)
def check_image(image: str, service: Served, check_sum: str | None = None) -> None:
    """The image is there, and has this sum (``SHA256:...``, ``SHA512:...``, ``MD5:...``) if one is given."""
    path = service.stored(image)
    if check_sum is not None:
        kind, _, digits = check_sum.rpartition(":")
        kind = kind or "SHA256"
        if kind not in _SUMS or file_checksum(str(path), algo=kind) != f"{kind}:{digits.lower()}":
            raise UnknownImageError(
                "The stored image has another sum",
                expected="a sum that begins with " + ", ".join(f"{sum_}:" for sum_ in _SUMS),
                got=ascii(check_sum)[:200],
                action="store the image again",
            )


@router.get("/dataset", response_class=FileResponse, summary="Download images with their final labels")
def download_dataset(service: Served, limit_cases: Annotated[int | None, Query(ge=1)] = None) -> FileResponse:
    """A ZIP archive of the images that have a final label, with those."""
    store = service.app.datastore()
    if not store.datalist():
        raise NotFoundError(
            "There is nothing to download",
            expected="images with a final label",
            got="none",
            action="label an image first",
        )
    path = store.get_dataset_archive(limit_cases)
    clean = BackgroundTask(Path(path).unlink, missing_ok=True)
    return FileResponse(path, media_type="application/zip", filename="dataset.zip", background=clean)


@router.get("/image", response_class=FileResponse, summary="Download an image")
def download_image(image: str, service: Served) -> FileResponse:
    """The file as it is stored."""
    path = service.stored(image)
    return FileResponse(path, media_type="application/octet-stream", filename=path.name)


@router.put("/label", openapi_extra=form_with("label"), summary="Store a label")
async def save_label(request: Request, service: Served, image: str, tag: str = "final") -> dict[str, Any]:
    """Store a label map, or any volume, of a stored image under a tag.

    A final one in another voxel order than its image's is stored in the image's. One that lies elsewhere is
    stored as it is, and a `note` says that tuning will leave it out.
    """
    tag = checked(tag or "final", TAG, "tag")
    async with received(request, service, into=service.studies) as form:
        path, about = one_file(form, "label"), _without_reserved(params(form))
        note = await run_in_threadpool(_placed, service, image, path) if tag == DefaultLabelTag.FINAL else ""
        label = await run_in_threadpool(service.app.datastore().save_label, image, str(path), tag, about)
        told = await run_in_threadpool(service.app.on_save_label, image, label)
    return {**(told or {}), "image": image, "label": label, **({"note": note} if note else {})}


def _placed(service: Service, image: str, label: Path) -> str:
    """Bring a label onto its image's grid; what to tell the client. The store refuses unknown images."""
    try:
        return put_on_grid(label, service.stored(image))
    except UnknownImageError:
        return ""


def _without_reserved(about: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in about.items() if key not in RESERVED}


async def _fields(request: Request) -> Form:
    """The texts of a form of either kind; its body is small (`monailabel_app.bodies`)."""
    async with request.form(max_files=0, max_fields=8) as found:
        return Form(texts={key: value for key, value in found.items() if isinstance(value, str)})
