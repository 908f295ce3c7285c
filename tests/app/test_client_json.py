"""What no answer could hold is refused where it comes in, whichever way it comes."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from fastapi import Body, FastAPI
from fastapi.middleware import Middleware
from fastapi.testclient import TestClient

from medgan_core.errors import UsageError
from monailabel_app.api.errors import handle_errors
from monailabel_app.api.receiving import params
from monailabel_app.api.schemas import JobRequest
from monailabel_app.api.uploads import Form
from monailabel_app.bodies import SmallBodies
from monailabel_app.client_json import read_json

WRONG = ('{"score": NaN}', '{"deep": [{"score": -Infinity}]}', '{"score": 1e999}', '{"word": "\\ud800"}')


@pytest.mark.parametrize("text", WRONG)
def test_a_form_with_what_no_answer_could_hold_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="JSON cannot be used"):
        params(Form(texts={"params": text}))


@pytest.mark.parametrize("text", WRONG)
def test_so_is_a_body(text: str) -> None:
    app = FastAPI(middleware=[Middleware(SmallBodies)])
    handle_errors(app)

    @app.post("/")
    def told(body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        return body

    with TestClient(app) as client:
        answer = client.post("/", content=text, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (422, "usage")
        assert client.post("/", json={"score": 0.5, "word": "Größe"}).json() == {
            "score": 0.5,
            "word": "Größe",
        }
        assert client.post("/", content="{", headers={"Content-Type": "application/json"}).status_code == 422


def test_and_a_jobs_request() -> None:
    with pytest.raises(UsageError, match="JSON cannot be used"):
        JobRequest.read('{"model": "m", "settings": {"strength": NaN}}')
    with pytest.raises(UsageError, match="not valid"):
        JobRequest.read("{")
    assert JobRequest.read('{"model": "m"}').model == "m"


def test_what_is_no_json_is_a_wrong_value() -> None:
    with pytest.raises(UsageError, match="not valid"):
        params(Form(texts={"params": "1" * 5000}))
    assert read_json('{"a": [1, null, "ä"]}') == {"a": [1, None, "ä"]}
