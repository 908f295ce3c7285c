"""Room for what comes, before it comes."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from monailabel_app.api import receiving
from monailabel_app.api.errors import handle_errors


@pytest.mark.parametrize(("free", "status"), [(10, 507), (1 << 20, 200)])
def test_what_does_not_fit_on_the_disk_of_the_studies_is_refused_before_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, status: int
) -> None:
    monkeypatch.setattr(receiving, "free_bytes", lambda folder: free)
    service = SimpleNamespace(
        private=tmp_path,
        options=SimpleNamespace(upload_limit=1 << 20),
        queue=SimpleNamespace(room=lambda size: contextlib.nullcontext()),
    )
    app = FastAPI()
    handle_errors(app)

    @app.put("/")
    async def put(request: Request) -> list[str]:
        async with receiving.received(request, service, into=tmp_path / "studies") as form:  # type: ignore[arg-type]
            return list(form.texts)

    answer = TestClient(app).put("/", files={"note": (None, b"0" * 100)})
    assert answer.status_code == status
    assert answer.json() == ["note"] if status == 200 else answer.json()["code"] == "storage-full"
