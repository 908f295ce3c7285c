from __future__ import annotations

import pytest
import requests
import typer
from typer.testing import CliRunner

from monailabel_app.access import is_loopback
from monailabel_app.cli import register
from monailabel_app.studies import is_plain
from tests.app.conftest import Server


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "localhost", "LOCALHOST", "::1", "[::1]"])
def test_this_machine_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.4", "localhost.example.org", "example.org"])
def test_everything_else_is_refused_with_what_to_do(host: str) -> None:
    assert not is_loopback(host)
    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, ["--host", host])
    assert result.exit_code == 2
    assert "access control (tokens and TLS)" in result.output


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../a", "a/../b", "/a", "a\0", "..\\a", "C:\\a", "C:a", "\\\\s\\a"]
)
def test_a_name_that_climbs_is_not_plain(name: str) -> None:
    assert not is_plain(name)


@pytest.mark.parametrize("name", ["head", "a.b", "sub/head", "..head", "1.2.840.10008"])
def test_a_name_of_an_image_is_plain(name: str) -> None:
    assert is_plain(name)


def test_foreign_names_and_pages_are_refused(server: Server) -> None:
    port = server.url.rpartition(":")[2]
    for headers in (
        {"Host": "evil.example.org"},
        {"Host": f"evil.example.org:{port}"},
        {"Origin": "https://evil.example.org"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ):
        answer = server.get("/health", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "host-refused")
    for headers in ({"Host": f"localhost:{port}"}, {"Origin": server.url}):
        assert server.get("/health", headers=headers).status_code == 200
    answer = requests.options(
        f"{server.url}/jobs", headers={"Origin": "https://evil.example.org"}, timeout=10
    )
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
