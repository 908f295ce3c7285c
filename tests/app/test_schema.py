"""The server against its own OpenAPI description: requests made up from it break nothing."""

from __future__ import annotations

import time
from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

from tests.app.conftest import Server
from tests.app.test_corpus import leaks

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance]
EXAMPLES = 8


def test_every_operation_answers_as_described(server: Server) -> None:
    deadline = time.monotonic() + 120
    while server.get("/ready").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 30
    failures = [text for operation in operations for text in _tried(server, operation)]
    assert not failures, "\n".join(failures)
    assert server.get("/health").json()["status"] == "ok"


def _tried(server: Server, operation: Any) -> list[str]:
    """What went wrong with requests made up for one operation."""
    wrong: dict[str, None] = {}

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def try_one(case: Any) -> None:
        answer = case.call(timeout=30)
        if found := leaks(server, answer.text):
            wrong[f"{operation.label}: told {found}"] = None
        try:
            case.validate_response(answer, checks=CHECKS)
        except (Failure, FailureGroup) as failure:
            reasons = failure.exceptions if isinstance(failure, FailureGroup) else [failure]
            wrong.update({f"{operation.label}: {answer.status_code} {reason}": None for reason in reasons})

    try_one()
    return list(wrong)
