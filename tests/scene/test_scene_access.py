"""The client where a token and TLS are asked for: what gets in, what does not, and that no token gets out."""

from __future__ import annotations

import http.server
import json
import ssl
import subprocess
import sys
import threading

import psutil
import pytest
from MedGANLib import errors
from MedGANLib.access import Access, is_loopback
from MedGANLib.client import Client

from tests.certificates import certificate
from tests.scene.conftest import SCRIPT

TOKEN = "medgan_not-the-right-one"


@pytest.fixture
def somebody(tmp_path):
    """Starts web servers that are not MedGAN; gives their addresses and the requests that came."""
    running = []

    def start(*, status=200, headers=(), tls=None):
        came = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                came.append(dict(self.headers))
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_):
                pass

        found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            found.socket = context.wrap_socket(found.socket, server_side=True)
        threading.Thread(target=found.serve_forever, daemon=True).start()
        running.append(found)
        return f"{'https' if tls else 'http'}://127.0.0.1:{found.server_port}", came

    yield start
    for found in running:
        found.shutdown()
        found.server_close()


def test_a_server_that_asks_for_a_token_is_told_from_one_that_knows_another(secured):
    with pytest.raises(errors.UnauthenticatedError, match="asks for a token"):
        Client(secured.address, ca_file=secured.ca_file).who()
    with pytest.raises(errors.UnauthenticatedError, match="does not take this token") as caught:
        Client(secured.address, token=TOKEN, ca_file=secured.ca_file).who()
    assert "administrator" in caught.value.action
    assert TOKEN not in json.dumps(caught.value.to_dict())


def test_the_right_token_says_who_one_is(secured, server):
    assert secured.client("run").who() == {"username": "a-run", "roles": ["run"]}
    assert secured.client("read").models()
    assert Client(server).who()["roles"] == ["admin"]


def test_a_role_that_may_not_run_is_told_which_one_may(secured, volume):
    with pytest.raises(errors.ForbiddenError) as caught:
        secured.client("read").submit("brain-mr-translate", {"T1": str(volume)}, target="T2")
    assert caught.value.expected == "the role run"
    assert caught.value.got == "the role read"


def test_an_authority_that_is_not_known_is_not_trusted(secured):
    with pytest.raises(errors.UntrustedError) as caught:
        Client(secured.address, token=secured.tokens["run"]).who()
    assert "CA file" in caught.value.action


@pytest.mark.parametrize(
    ("fault", "action"), [({"address": "127.0.0.2"}, "the name"), ({"expired": True}, "new certificate")]
)
def test_a_bad_certificate_is_refused_before_the_token_is_sent(somebody, tmp_path, fault, action):
    made = certificate(tmp_path, **fault)
    address, came = somebody(tls=made)
    with pytest.raises(errors.UntrustedError) as caught:
        Client(address, token=TOKEN, ca_file=str(made[0])).who()
    assert action in caught.value.action
    assert came == []


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_a_ca_file_that_is_none(tmp_path, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(errors.UntrustedError, match=r"ca\.pem"):
        Client("https://127.0.0.1:1", ca_file=str(path))


def test_http_and_https_are_not_the_same(secured, server):
    with pytest.raises(errors.NotReachableError) as caught:
        Client(secured.address.replace("https", "http"), token=secured.tokens["run"]).who()
    assert "write https://" in caught.value.action
    with pytest.raises(errors.UntrustedError) as caught:
        Client(server.replace("http", "https")).who()
    assert "write http://" in caught.value.action


def test_a_token_goes_to_its_server_and_nowhere_else(somebody):
    other, came_there = somebody()
    address, came = somebody(status=307, headers=[("Location", other + "/auth/token/valid")])
    with pytest.raises(errors.NotMedganError, match=other):
        Client(address, token=TOKEN).who()
    assert [request["Authorization"] for request in came] == [f"Bearer {TOKEN}"]
    assert came_there == []


def test_a_token_does_not_travel_unencrypted():
    with pytest.raises(errors.InsecureError, match="https://"):
        Client("gpu.example.org:8000", token=TOKEN)
    Client("localhost:8000", token=TOKEN).close()
    assert not is_loopback("http://127.example.org")
    assert not is_loopback("http://[::1")


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "pässwörd"])
def test_what_cannot_be_a_token_is_refused_and_not_shown(token):
    with pytest.raises(errors.UnauthenticatedError) as caught:
        Client("http://127.0.0.1:1", token=token)
    assert token not in str(caught.value)
    assert token not in repr(Access(token=token))


def test_a_password_in_the_address_is_refused_and_not_shown():
    with pytest.raises(errors.NotReachableError) as caught:
        Client("https://me:secret@gpu.example.org")
    assert "secret" not in str(caught.value)


def test_a_proxy_whose_server_is_away_is_not_somebody_else(somebody):
    address, _ = somebody(status=502)
    with pytest.raises(errors.NoAnswerError, match="502"):
        Client(address).health()


def test_the_script_takes_the_token_from_standard_input(secured, volume, tmp_path):
    command = [sys.executable, str(SCRIPT), *secured.access("run").arguments(), "--token-stdin"]
    command += ["--stdin-cancels", "--model", "brain-mr-translate", "--target", "T2"]
    command += ["--input", f"T1={volume}", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdin.write(secured.tokens["run"] + "\n")
    process.stdin.flush()
    first = process.stdout.readline()
    seen = psutil.Process(process.pid)
    visible = " ".join([*seen.cmdline(), *seen.environ().values()])
    rest, problems = process.stdout.read(), process.stderr.read()
    assert process.wait(60) == 0, problems
    assert json.loads(rest.splitlines()[-1])["event"] == "done"
    for text in (visible, first, rest, problems, secured.server.log()):
        assert secured.tokens["run"] not in text


def test_a_job_is_not_given_up_when_its_server_does_not_let_one_in(secured, tmp_path):
    command = [sys.executable, str(SCRIPT), *secured.access("run").arguments(), "--token-stdin"]
    command += ["--job", "an-earlier-one", "--out", str(tmp_path)]
    ended = subprocess.run(command, input=TOKEN + "\n", capture_output=True, text=True, check=False)
    error = json.loads(ended.stdout.splitlines()[-1])["error"]
    assert (ended.returncode, error["code"], error["job"]) == (4, "unauthenticated", "an-earlier-one")
