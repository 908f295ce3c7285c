"""Receiving multipart forms: files go straight to disk in large blocks, and their headers are checked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request

from medgan_core import io
from medgan_core.errors import MedganError
from monailabel_app.api.form_reader import SUFFIXES, Form, FormReader, malformed

__all__ = ["SUFFIXES", "Form", "drain", "receive_form"]
_BLOCK = 4 << 20
_DRAIN_S = 5.0
_IDLE_S = 60.0


async def receive_form(
    request: Request,
    folder: Path,
    *,
    limit: int,
    on_text: Callable[[str, str], None] | None = None,
    series: str | None = None,
) -> Form:
    """Read the request's form; each file becomes ``folder/NAME.SUFFIX``.

    When all has come, each volume's header is checked, so that one that is damaged, lies about its size or
    has too many voxels is refused before anything is decompressed. The slices of a series are left to the
    worker: DICOM is opened in a process that may die.

    Args:
        request: its body is read to the end. Where its state has a `make_way`, that is called with the size
            of each block before it is written.
        folder: is made; the caller removes it, also when this raises.
        limit: largest size of one file, or of a whole series, in bytes.
        on_text: called with name and text as soon as a text part is complete; may raise to refuse the form.
        series: name of the part that may come several times, with a slice of a DICOM series each; they become
            files of ``folder/series``.

    Raises:
        UsageError: when the body is not a form that is understood.
        TooLargeError: when a file is larger than the limit.
        InputError: when a file's name ends in no known suffix, or its header is refused.
        ResourceError: when the disk is full.
        HTTPException: 408, when nothing comes for a minute.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise malformed(f"content type {request.headers.get('content-type', '(none)')[:100]}")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        reader = FormReader(options[b"boundary"], folder, limit, on_text, series)
    except FormParserError as error:
        raise malformed("a boundary that cannot be used") from error
    make_way: Callable[[int], None] = getattr(request.state, "make_way", lambda size: None)

    def take(block: bytes, *, last: bool = False) -> None:
        make_way(len(block))
        reader.feed(block, last=last)

    stream, block = request.stream(), bytearray()
    try:
        async for chunk in _steadily(stream):
            block += chunk
            if len(block) >= _BLOCK:
                await run_in_threadpool(take, bytes(block))
                block.clear()
        await run_in_threadpool(take, bytes(block), last=True)
    except MedganError:
        await drain(stream)
        raise
    finally:
        reader.close()
    for path in reader.form.files.values():
        if path.is_file():
            await run_in_threadpool(io.read_header, path)
    return reader.form


async def drain(stream: AsyncIterator[bytes]) -> None:
    """Take in what a client still sends, for a moment.

    One that is still sending does not read an answer; one that has sent all, or waits, does.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_S):
            async for _ in stream:
                pass


async def _steadily(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces of a body, for as long as the next one comes in time."""
    while True:
        try:
            async with asyncio.timeout(_IDLE_S):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            detail = f"The upload has stood still for {_IDLE_S:g} s; send it again"
            raise HTTPException(408, detail, {"Connection": "close"}) from error
        yield chunk
