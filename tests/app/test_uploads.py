from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from medgan_core.errors import InputError, MedganError, UsageError
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


def receive(folder: Path, content: bytes, *, cuts: list[int] | None = None, limit: int = 1 << 20) -> Form:
    """What the server makes of a body that arrives in pieces."""
    edges = [0, *sorted(c % (len(content) + 1) for c in cuts or []), len(content)]
    pieces = [content[a:b] for a, b in pairwise(edges)]
    messages: list[Message] = [{"type": "http.request", "body": p, "more_body": True} for p in pieces]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def next_message() -> Message:
        return messages.pop(0)

    kind = b"multipart/form-data; boundary=" + BOUNDARY
    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind)]}
    return asyncio.run(receive_form(Request(scope, next_message), folder, limit=limit))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=300) | st.just(b"\r\n--" + BOUNDARY[:-1] + b"\r\n" * 9),
    cuts=st.lists(st.integers(0, 2000), max_size=8),
)
def test_the_file_is_what_was_sent_however_it_was_cut(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("upload")
    form = receive(folder, body({"request": (None, b"{}"), "T1": ("A.NII.GZ", content)}), cuts=cuts)
    assert form.texts == {"request": "{}"}
    assert form.files == {"T1": folder / "T1.nii.gz"}
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
