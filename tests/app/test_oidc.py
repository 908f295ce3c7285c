"""A real key pair, and an identity provider's two addresses on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from medgan_core.errors import ResourceError, UsageError
from monailabel_app.access import Access, Oidc, Role
from monailabel_app.access.oidc import OidcVerifier
from monailabel_app.problems import ForbiddenError, UnauthenticatedError
from tests.app.test_access import guarded

AUDIENCE = "medgan-server"


@dataclass
class Provider:
    """What an identity provider does: publish keys, sign tokens."""

    url: str = ""
    keys: dict[str, RSAPrivateKey] = field(default_factory=dict)
    asked: int = 0

    def add(self, kid: str) -> None:
        self.keys[kid] = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def jwks(self) -> dict[str, Any]:
        listed = [{"kty": "oct", "k": "c2VjcmV0", "kid": "symmetric"}]
        for kid, key in self.keys.items():
            plain = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
            listed.append({**plain, "kid": kid, "use": "sig", "alg": "RS256"})
        return {"keys": listed}

    def token(self, kid: str = "first", **changes: Any) -> str:
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "dr-smith",
            "exp": time.time() + 300,
            "roles": ["other", "medgan-read", "medgan-run"],
        } | changes
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, self.keys[kid], algorithm="RS256", headers={"kid": kid})

    def oidc(self, **changes: Any) -> Oidc:
        return Oidc(**{"issuer": self.url, "audience": AUDIENCE, **changes})


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked += 1
            pages = {
                "/.well-known/openid-configuration": {"issuer": made.url, "jwks_uri": f"{made.url}/keys"},
                "/keys": made.jwks(),
            }
            self.send_response(200 if self.path in pages else 404)
            self.end_headers()
            self.wfile.write(json.dumps(pages.get(self.path, {})).encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    made.add("first")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


def test_a_good_token_names_subject_and_highest_role(provider: Provider) -> None:
    verifier = OidcVerifier(provider.oidc())
    assert verifier.verify(provider.token()) == ("dr-smith", Role.RUN)
    assert verifier.verify(provider.token(aud=["other", AUDIENCE])) == ("dr-smith", Role.RUN)
    assert provider.asked == 2, "the keys are kept"


def test_roles_may_lie_deeper_or_in_words(provider: Provider) -> None:
    verifier = OidcVerifier(provider.oidc(role_claim="realm_access.roles", jwks=f"{provider.url}/keys"))
    token = provider.token(realm_access={"roles": ["medgan-admin"]})
    assert verifier.verify(token) == ("dr-smith", Role.ADMIN)
    assert verifier.verify(provider.token(realm_access={"roles": "x medgan-train"}))[1] is Role.TRAIN


WRONG: list[dict[str, Any]] = [
    {"aud": "another-server"},
    {"aud": None},
    {"iss": "https://evil.example.org"},
    {"exp": time.time() - 120},
    {"exp": None},
    {"sub": None},
    {"nbf": time.time() + 600},
]


@pytest.mark.parametrize("changes", WRONG, ids=str)
def test_a_token_that_is_not_for_this_server_is_refused(provider: Provider, changes: dict[str, Any]) -> None:
    with pytest.raises(UnauthenticatedError):
        OidcVerifier(provider.oidc()).verify(provider.token(**changes))


def test_the_signature_must_be_the_providers(provider: Provider) -> None:
    verifier = OidcVerifier(provider.oidc())
    claims = jwt.decode(provider.token(), options={"verify_signature": False})
    public = provider.keys["first"].public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    head, body, signature = provider.token().split(".")
    forged = [
        jwt.encode(claims, stranger, algorithm="RS256", headers={"kid": "first"}),
        jwt.encode(claims, "", algorithm="none", headers={"kid": "first"}),
        # Signed with the symmetric key in the list, and with the public key taken for one.
        jwt.encode(claims, b"secret" * 8, algorithm="HS256", headers={"kid": "symmetric"}),
        hs256_with(pem, claims),
        f"{head}.{body}.{signature[::-1]}",
        f"{head}.{body}.",
        "a.b.c",
        "..",
        f"{'e30' * 50_000}.{body}.{signature}",
    ]
    for token in forged:
        with pytest.raises(UnauthenticatedError):
            verifier.verify(token)


def hs256_with(key: bytes, claims: dict[str, Any]) -> str:
    """A token signed by HMAC with a public key, which the library itself refuses to make."""
    import hashlib
    import hmac

    from jwt.utils import base64url_encode

    head = base64url_encode(json.dumps({"alg": "HS256", "kid": "first"}).encode())
    text = head + b"." + base64url_encode(json.dumps(claims).encode())
    return (text + b"." + base64url_encode(hmac.new(key, text, hashlib.sha256).digest())).decode()


def test_a_new_key_is_fetched_but_not_at_every_request(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier = OidcVerifier(provider.oidc(jwks=f"{provider.url}/keys"))
    verifier.verify(provider.token())
    provider.add("second")
    for _ in range(5):
        with pytest.raises(UnauthenticatedError):
            verifier.verify(provider.token("second"))
    assert provider.asked == 1
    now = time.monotonic()
    monkeypatch.setattr("monailabel_app.access.oidc.time.monotonic", lambda: now + 31)
    assert verifier.verify(provider.token("second"))[0] == "dr-smith"
    assert provider.asked == 2


def test_without_a_role_the_client_is_known_but_may_nothing(provider: Provider) -> None:
    with pytest.raises(ForbiddenError):
        OidcVerifier(provider.oidc()).verify(provider.token(roles=["something-else"]))


def test_requests_are_let_in_by_their_token(provider: Provider) -> None:
    client = guarded(Access(oidc=provider.oidc()))
    headers = {"Authorization": f"Bearer {provider.token()}"}
    assert client.post("/jobs", headers=headers).json()["name"] == "dr-smith"
    assert client.post("/train/x", headers=headers).json()["code"] == "forbidden"
    assert client.post("/jobs").json()["code"] == "unauthenticated"
    assert client.get("/health", headers={"Authorization": "Bearer a.b.c"}).status_code == 200


def test_a_provider_that_is_away_is_said_so() -> None:
    with pytest.raises(ResourceError, match="identity provider"):
        OidcVerifier(Oidc(issuer="http://127.0.0.1:9", audience=AUDIENCE)).verify(
            jwt.encode({"sub": "x"}, b"k" * 32, algorithm="HS256", headers={"kid": "x"})
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"audience": ""},
        {"issuer": "http://login.example.org"},
        {"issuer": "login.example.org"},
        {"jwks": "http://login.example.org/keys"},
        {"jwks": "file:///etc/keys"},
    ],
)
def test_settings_that_strangers_could_use_are_refused(changes: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        Oidc(**{"issuer": "https://login.example.org", "audience": AUDIENCE, **changes})
