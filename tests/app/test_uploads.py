from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from medgan_core.errors import InputError, MedganError, UsageError
from monailabel_app.api import uploads
from monailabel_app.api.uploads import Form, receive_form
from monailabel_app.problems import TooLargeError

BOUNDARY = b"a-line-between"


def body(parts: dict[str, tuple[str | None, bytes]], *, end: bytes = b"--\r\n") -> bytes:
    text = b""
    for name, (file, content) in parts.items():
        extra = f'; filename="{file}"' if file else ""
        head = f'Content-Disposition: form-data; name="{name}"{extra}\r\n\r\n'.encode()
        text += b"--" + BOUNDARY + b"\r\n" + head + content + b"\r\n"
    return text + b"--" + BOUNDARY + end


def volume(voxels: bytes) -> bytes:
    """A MetaImage of one row of voxels."""
    lines = (
        "ObjectType = Image",
        "NDims = 3",
        f"DimSize = {len(voxels)} 1 1",
        "BinaryData = True",
        "ElementType = MET_UCHAR",
        "ElementDataFile = LOCAL",
    )
    return "".join(f"{line}\n" for line in lines).encode() + voxels


def receive(
    folder: Path,
    content: bytes,
    *,
    cuts: list[int] | None = None,
    limit: int = 1 << 20,
    series: str | None = None,
    stalls: bool = False,
    state: dict[str, Any] | None = None,
) -> Form:
    """What the server makes of a body that arrives in pieces, or whose end does not arrive."""
    edges = [0, *sorted(c % (len(content) + 1) for c in cuts or []), len(content)]
    pieces = [content[a:b] for a, b in pairwise(edges)]
    messages: list[Message] = [{"type": "http.request", "body": p, "more_body": True} for p in pieces]
    if not stalls:
        messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def next_message() -> Message:
        return messages.pop(0) if messages else await asyncio.Future()

    kind = b"multipart/form-data; boundary=" + BOUNDARY
    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind)], "state": state or {}}

    async def read() -> Form:
        request = Request(scope, next_message)
        return await asyncio.wait_for(receive_form(request, folder, limit=limit, series=series), 10)

    return asyncio.run(read())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    voxels=st.binary(min_size=1, max_size=300) | st.just(b"\r\n--" + BOUNDARY[:-1] + b"\r\n" * 9),
    cuts=st.lists(st.integers(0, 2000), max_size=8),
)
def test_the_file_is_what_was_sent_however_it_was_cut(
    tmp_path_factory: pytest.TempPathFactory, voxels: bytes, cuts: list[int]
) -> None:
    folder, content = tmp_path_factory.mktemp("upload"), volume(voxels)
    form = receive(folder, body({"request": (None, b"{}"), "T1": ("A.MHA", content)}), cuts=cuts)
    assert form.texts == {"request": "{}"}
    assert form.files == {"T1": folder / "T1.mha"}
    assert form.names == {"T1": "A.MHA"}
    assert form.files["T1"].read_bytes() == content


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (body({"T1": ("a.nii", b"0" * 2000)}), TooLargeError),
        (body({"T1": ("a.exe", b"0")}), InputError),
        (body({"T1": ("../../a", b"0")}), InputError),
        (body({"../T1": ("a.nii", b"0")}), UsageError),
        (body({"T1": ("a.nii", b"0")}).removesuffix(b"--" + BOUNDARY + b"--\r\n") * 2, UsageError),
        (body({"T1": ("a.nii", b"0")}, end=b""), UsageError),
        (body({"T1": ("a.nii", b"0")})[:60], UsageError),
        (b"", UsageError),
        (b"\0" * 50, UsageError),
    ],
)
def test_a_form_that_cannot_be_taken_is_refused_inside_its_folder(
    tmp_path: Path, content: bytes, error: type[MedganError]
) -> None:
    with pytest.raises(error):
        receive(tmp_path / "inputs", content, limit=1000)
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} <= {tmp_path / "inputs"}


def test_a_header_that_claims_too_much_is_refused_before_the_voxels_are_touched(tmp_path: Path) -> None:
    for claim in (b"DimSize = 4096 4096 4096", b"DimSize = 5 1 1"):
        content = volume(b"1234").replace(b"DimSize = 4 1 1", claim)
        with pytest.raises(InputError):
            receive(tmp_path / claim.decode()[10:13], body({"T1": ("a.mha", content)}))


def slices(count: int, content: bytes = b"DICM") -> bytes:
    parts = body({"files": ("../a.dcm", content)}, end=b"").removesuffix(b"--" + BOUNDARY)
    return parts * count + b"--" + BOUNDARY + b"--\r\n"


def test_slices_of_a_series_become_files_of_a_folder_under_names_of_the_servers(tmp_path: Path) -> None:
    form = receive(tmp_path, slices(3), series="files")
    assert form.files == {"files": tmp_path / "files"}
    assert sorted(path.name for path in form.files["files"].iterdir()) == [
        "00001.dcm",
        "00002.dcm",
        "00003.dcm",
    ]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (slices(11, b"0" * 100), TooLargeError),
        (slices(5001, b""), UsageError),
        (slices(2).replace(b"../a.dcm", b"a.mha", 1), UsageError),
        (body({f"p{n}": ("a.mha", volume(b"1")) for n in range(17)}), UsageError),
        (body({f"p{n}": (None, b"") for n in range(17)}), UsageError),
    ],
)
def test_floods_of_parts_are_refused(tmp_path: Path, content: bytes, error: type[MedganError]) -> None:
    with pytest.raises(error):
        receive(tmp_path, content, series="files", limit=1000)


def test_an_upload_that_stands_still_is_ended_with_408(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_IDLE_S", 0.05)
    with pytest.raises(HTTPException, match="stood still") as caught:
        receive(tmp_path, body({"T1": ("a.mha", volume(b"1"))})[:100], stalls=True)
    assert caught.value.status_code == 408


def test_a_client_that_pauses_is_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_DRAIN_S", 0.05)
    monkeypatch.setattr(uploads, "_BLOCK", 10)
    with pytest.raises(UsageError, match="cannot be read"):
        receive(tmp_path, b"no form at all", stalls=True)


def test_each_block_is_announced_before_it_is_written(tmp_path: Path) -> None:
    content, told = body({"T1": ("a.mha", volume(b"1"))}), []  # type: tuple[bytes, list[int]]

    def make_way(size: int) -> None:
        assert not (tmp_path / "inputs" / "T1.mha").exists()
        told.append(size)

    receive(tmp_path / "inputs", content, state={"make_way": make_way})
    assert told == [len(content)]
