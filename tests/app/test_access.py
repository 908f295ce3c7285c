from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from fastapi import FastAPI, Request
from fastapi.middleware import Middleware
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from medgan_core.errors import UsageError
from monailabel_app.access import Access, AccessGuard, Role, Tokens, client_of, is_loopback
from monailabel_app.access.roles import needed
from monailabel_app.access.tokens import Token, new_token
from monailabel_app.audit import AuditLog
from monailabel_app.cli import register
from monailabel_app.problems import HostRefusedError
from monailabel_app.studies import is_plain
from monailabel_app.tracing import RequestTrace

LOCAL = "http://127.0.0.1:8000"


def command() -> typer.Typer:
    app = typer.Typer()
    register(app)
    return app


def guarded(
    access: Access, *, peer: str = "127.0.0.1", base: str = LOCAL, audit: AuditLog | None = None
) -> TestClient:
    """A client of a small app behind the guard; every address answers who asked."""
    trace = Middleware(RequestTrace, listeners=[] if audit is None else [audit.exchange])
    app = FastAPI(middleware=[trace, Middleware(AccessGuard, access=access)])

    @app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "DELETE"])
    def who(request: Request) -> dict[str, Any]:
        client = client_of(request)
        return {"name": client.name, "role": client.role.word, "address": client.address}

    return TestClient(app, base_url=base, client=(peer, 50000))


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {}


@pytest.fixture(scope="module")
def tokens(texts: dict[str, str]) -> Tokens:
    entries = []
    for role in Role:
        texts[role.word], entry = new_token(f"a-{role.word}", role)
        entries.append(entry)
    return Tokens(entries)


# --- where it listens ---------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "localhost", "LOCALHOST", "::1", "[::1]"])
def test_this_machine_is_loopback(host: str) -> None:
    assert is_loopback(host)
    assert not Access(host=host).asks


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.4", "localhost.example.org", "example.org"])
def test_a_public_address_needs_tokens_and_tls(host: str, tokens: Tokens) -> None:
    assert not is_loopback(host)
    for missing, settings in (
        ("--token-file.* and .*--tls-cert", {}),
        ("--tls-cert", {"tokens": tokens}),
        ("--token-file", {"tls_proxy": "10.0.0.5"}),
    ):
        with pytest.raises(HostRefusedError, match=missing) as caught:
            Access(host=host, **settings)
        assert "docs/security.md" in caught.value.action
    assert Access(host=host, tokens=tokens, tls_proxy="10.0.0.5").asks


def test_the_command_says_what_is_missing() -> None:
    result = CliRunner().invoke(command(), ["serve", "--host", "0.0.0.0"])
    assert result.exit_code == 2
    assert "--token-file" in result.output
    assert "--tls-cert" in result.output


@pytest.mark.parametrize(
    "settings",
    [
        {"origins": ("*",)},
        {"origins": ("example.org",)},
        {"origins": ("https://example.org/page",)},
        {"tls_proxy": "proxy.example.org"},
        {"tls_cert": Path("nowhere.pem")},
        {"tls_cert": Path("nowhere.pem"), "tls_key": Path("nowhere.pem")},
    ],
)
def test_a_wrong_setting_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        Access(**settings)
    assert all(caught.value.to_dict().values())


def test_the_sign_in_that_cannot_work_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONAI_LABEL_AUTH_ENABLE", "true")
    with pytest.raises(UsageError, match="--oidc-issuer"):
        Access()


# --- tokens -------------------------------------------------------------------------------------------


def test_the_command_makes_a_token_and_keeps_its_hash_alone(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    result = CliRunner().invoke(command(), ["token", "ward-3", "--role", "run", "--file", str(file)])
    assert result.exit_code == 0, result.output
    text = re.search(r"medgan_[\w-]{43}", result.output)
    assert text is not None
    assert text[0] not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    found = Tokens.load(file).find(text[0])
    assert found is not None
    assert (found.name, found.role) == ("ward-3", Role.RUN)
    again = CliRunner().invoke(command(), ["token", "ward-3", "--file", str(file)])
    assert again.exit_code == 2
    assert len(file.read_text().splitlines()) == 1


def test_tokens_of_the_environment_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    text, entry = new_token("someone", Role.TRAIN)
    monkeypatch.setenv("MEDGAN_TOKENS", f"{entry.line}; # a comment")
    loaded = Tokens.load(None)
    assert len(loaded) == 1
    assert loaded.find(text) == entry
    assert loaded.find(text[:-1]) is None
    assert loaded.find("") is None


@pytest.mark.parametrize(
    "line",
    [
        "name run secret-in-clear",
        "name boss sha256:" + 64 * "0",
        "name run sha256:" + 63 * "0",
        "local run sha256:" + 64 * "0",
        "na/me run sha256:" + 64 * "0",
        "name run sha256:" + 64 * "0" + " more",
        "a run sha256:" + 64 * "0" + "\na read sha256:" + 64 * "1",
    ],
)
def test_a_wrong_token_file_is_refused_without_showing_it(tmp_path: Path, line: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(line)
    file.chmod(0o600)
    with pytest.raises(UsageError) as caught:
        Tokens.load(file)
    assert "secret" not in str(caught.value)


def test_a_token_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(Token("a", Role.READ, bytes(32)).line)
    file.chmod(0o622)
    with pytest.raises(UsageError, match="Others may write"):
        Tokens.load(file)


# --- requests -----------------------------------------------------------------------------------------

ASKED = [
    ("GET", "/models", "read"),
    ("GET", "/jobs/x/results/T2", "read"),
    ("GET", "/metrics", "read"),
    ("GET", "/openapi.json", "read"),
    ("POST", "/jobs", "run"),
    ("DELETE", "/jobs/x", "run"),
    ("POST", "/infer/some-model", "run"),
    ("POST", "/batch/infer/some-model", "run"),
    ("PUT", "/session/", "run"),
    ("PUT", "/datastore/label", "run"),
    ("POST", "/train/some-model", "train"),
    ("DELETE", "/train/", "train"),
    ("POST", "/models/some-model/default", "train"),
    ("GET", "/models/some-model/versions", "read"),
    ("GET", "/jobs/x/curves", "read"),
    ("POST", "/scoring/dice", "train"),
    ("DELETE", "/datastore/image", "admin"),
    ("GET", "/logs/", "admin"),
    ("GET", "/logs", "admin"),
    ("PUT", "/model/some-model", "admin"),
    ("PATCH", "/whatever", "admin"),
    ("POST", "/what-comes-later", "admin"),
]


@pytest.mark.parametrize(("method", "path", "role"), ASKED)
def test_each_request_needs_its_role(
    tokens: Tokens, texts: dict[str, str], method: str, path: str, role: str
) -> None:
    client = guarded(Access(tokens=tokens))
    assert needed(method, path) is Role[role.upper()]
    for given in Role:
        answer = client.request(method, path, headers={"Authorization": f"Bearer {texts[given.word]}"})
        if given < Role[role.upper()]:
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        else:
            assert answer.status_code in (200, 405)
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {texts['admin']}"}):
        answer = client.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize("path", ["/health", "/ready", "/auth/"])
def test_probes_need_no_token(tokens: Tokens, texts: dict[str, str], path: str) -> None:
    client = guarded(Access(tokens=tokens))
    assert client.get(path).json()["name"] == "anyone"
    known = client.get(path, headers={"Authorization": f"Bearer {texts['read']}"})
    assert known.json()["name"] == "a-read"
    assert client.post("/health").status_code == 401


def test_without_tokens_everyone_on_this_machine_may_do_everything() -> None:
    answer = guarded(Access()).delete("/datastore/image")
    assert answer.json() == {"name": "local", "role": "admin", "address": "127.0.0.1"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example.org"},
        {"Host": "evil.example.org:8000"},
        {"Host": "[::1"},
        {"Host": ""},
        {"Origin": "https://evil.example.org"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_foreign_names_and_pages_are_refused(headers: dict[str, str]) -> None:
    answer = guarded(Access()).get("/health", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "host-refused")


@pytest.mark.parametrize("headers", [{"Host": "localhost:8000"}, {"Origin": LOCAL}, {}])
def test_own_names_and_pages_are_welcome(headers: dict[str, str]) -> None:
    assert guarded(Access()).get("/health", headers=headers).status_code == 200


def test_a_listed_page_is_welcome_and_no_other() -> None:
    client = guarded(Access(origins=("https://viewer.example.org",)))
    assert client.get("/models", headers={"Origin": "https://viewer.example.org"}).status_code == 200
    assert client.get("/models", headers={"Origin": "https://viewer.example.org.evil"}).status_code == 403


def test_behind_a_proxy_nobody_goes_around_it(tokens: Tokens, texts: dict[str, str]) -> None:
    access = Access(host="0.0.0.0", tokens=tokens, tls_proxy="10.0.0.5")
    headers = {
        "Authorization": f"Bearer {texts['run']}",
        "X-Forwarded-For": "6.6.6.6, 192.168.1.7",
    }
    around = guarded(access, peer="192.168.1.7", base="http://10.0.0.9:8000")
    assert around.get("/models", headers=headers).json()["code"] == "host-refused"
    through = guarded(access, peer="10.0.0.5", base="https://medgan.example.org")
    assert through.get("/models", headers=headers).json()["address"] == "192.168.1.7"


@pytest.mark.parametrize(
    ("peer", "token", "origin", "status", "who"),
    [
        ("10.0.0.5", "read", "", 403, ("a-read", "read", "192.168.1.7")),
        ("10.0.0.5", "", "", 401, ("anyone", None, "192.168.1.7")),
        ("10.0.0.5", "wrong", "", 401, ("anyone", None, "192.168.1.7")),
        ("10.0.0.5", "read", "https://evil.example.org", 403, ("anyone", None, "192.168.1.7")),
        ("192.168.1.9", "admin", "", 403, ("anyone", None, "192.168.1.9")),
    ],
)
def test_the_audit_log_says_who_was_refused_and_no_token(
    tmp_path: Path,
    tokens: Tokens,
    texts: dict[str, str],
    peer: str,
    token: str,
    origin: str,
    status: int,
    who: tuple[str, str | None, str],
) -> None:
    audit, given = AuditLog(tmp_path), texts.get(token, token)
    access = Access(host="0.0.0.0", tokens=tokens, tls_proxy="10.0.0.5")
    client = guarded(access, peer=peer, base="https://medgan.example.org", audit=audit)
    headers = {"X-Forwarded-For": "192.168.1.7"}
    headers |= {"Authorization": f"Bearer {given}"} if given else {}
    headers |= {"Origin": origin} if origin else {}
    assert client.delete("/jobs/x", headers=headers).status_code == status
    audit.close()
    text = (tmp_path / "audit.jsonl").read_text()
    line = json.loads(text)
    assert (line["client"], line["role"], line["address"]) == who
    assert (line["route"], line["status"]) == ("/jobs/...", status)
    assert not given or given not in text


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../a", "a/../b", "/a", "a\0", "..\\a", "C:\\a", "C:a", "\\\\s\\a"]
)
def test_a_name_that_climbs_is_not_plain(name: str) -> None:
    assert not is_plain(name)


@pytest.mark.parametrize("name", ["head", "a.b", "sub/head", "..head", "1.2.840.10008"])
def test_a_name_of_an_image_is_plain(name: str) -> None:
    assert is_plain(name)
