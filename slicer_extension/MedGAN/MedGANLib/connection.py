"""HTTP to one server: token, TLS, time limits, and what goes wrong as typed errors."""

from __future__ import annotations

import contextlib
import ssl

from MedGANLib import errors
from MedGANLib.access import is_encrypted, is_loopback, normalise

_PROXY_ALONE = (502, 503, 504)  # the server behind it ends, or starts again
_EXPIRED, _WRONG_NAMES = 10, (62, 64)  # X509_V_ERR_* of OpenSSL: time; host name, IP address


class Connection:
    """Sends requests to one server.

    Args:
        access: address, token and CA file.
        connect_timeout: seconds to wait for a connection.
        read_timeout: seconds to wait for an answer.

    Raises:
        errors.ClientError: as `Access.check`; nothing was sent then.
    """

    def __init__(self, access, *, connect_timeout, read_timeout):
        import requests

        access.check()
        self.server = normalise(access.server)
        self._access = access
        self._timeout = (connect_timeout, read_timeout)
        self._session = requests.Session()
        self._session.auth = self._sign  # else a .netrc file would decide
        if is_loopback(self.server):
            self._session.trust_env = False  # a proxy cannot reach this machine's own loopback

    def close(self):
        """Close the connection."""
        self._session.close()

    def json(self, method, path, **options):
        """The answer's JSON.

        Raises:
            errors.ClientError: as `open`.
        """
        with self.open(method, path, **options) as answer:
            try:
                return answer.json()
            except ValueError:
                raise self.not_medgan("an answer that is not JSON") from None

    def open(self, method, path, **options):
        """The answer to a request, when its status is below 300; to be closed.

        Raises:
            errors.ClientError: the kind says what went wrong.
        """
        answer = self._answer(method, path, **options)
        if answer.status_code < 300:
            return answer
        with answer:
            raise self._problem(answer)

    def there(self, path, **options):
        """Whether the server has what a path names, asked with HEAD, whose answers have no text.

        Raises:
            errors.ClientError: as `open`.
        """
        with self._answer("HEAD", path, **options) as answer:
            if answer.status_code not in (200, 404):
                raise self._problem(answer)
            return answer.status_code == 200

    def _answer(self, method, path, **options):
        options.setdefault("timeout", self._timeout)
        # Per request: requests prefers REQUESTS_CA_BUNDLE to what a session says.
        options["verify"] = self._access.ca_file or True
        options["allow_redirects"] = False  # volumes and token go to this server and to no other
        with self.guarded():
            return self._session.request(method, self.server + path, **options)

    @contextlib.contextmanager
    def guarded(self):
        """Around whatever reads from the network: its failures become typed errors."""
        import requests

        try:
            yield
        except requests.exceptions.ConnectTimeout as error:
            raise self._unreachable(error) from error
        except requests.exceptions.Timeout as error:
            raise self._unanswered("none") from error
        except requests.exceptions.SSLError as error:
            raise self._untrusted(error) from error
        except (
            requests.exceptions.InvalidURL,
            requests.exceptions.ConnectionError,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            raise self._unreachable(error) from error
        except requests.exceptions.RequestException as error:
            raise self.not_medgan(type(error).__name__) from error

    def not_medgan(self, got):
        """The error for an answer that no MedGAN server gives."""
        return errors.NotMedganError(
            f"Something answers under {self.server}, but it is not a MedGAN server",
            expected="a server started with 'medgan serve'",
            got=got,
            action="check the port, or start 'medgan serve' on another one (--port)",
        )

    def _sign(self, request):
        if self._access.token:
            request.headers["Authorization"] = "Bearer " + self._access.token
        return request

    def _problem(self, answer):
        try:
            problem = answer.json()
        except ValueError:
            problem = None
        if not isinstance(problem, dict) or "code" not in problem:
            if answer.status_code in _PROXY_ALONE:
                return self._unanswered(f"HTTP status {answer.status_code} of a proxy")
            target = answer.headers.get("Location")
            return self.not_medgan(
                f"HTTP status {answer.status_code}" + (f", which leads to {target}" if target else "")
            )
        if problem["code"] == errors.UnauthenticatedError.code:
            return self._unknown(str(problem.get("title") or ""))
        return errors.from_problem(problem)

    def _unknown(self, title):
        if not self._access.token:
            return errors.UnauthenticatedError(
                "The server asks for a token",
                action="type the token that its administrator gave you, and connect again",
            )
        return errors.UnauthenticatedError(
            "The server does not take this token",
            expected="a token that it knows and that has not ended",
            got=title,
            action="copy the token again, or ask the administrator for another one",
        )

    def _unanswered(self, got):
        return errors.NoAnswerError(
            "The server stopped answering",
            expected=f"an answer within {self._timeout[1]:g} s",
            got=got,
            action="look at the server's window, then connect again",
        )

    def _unreachable(self, error):
        action = "start it with 'medgan serve' on that computer and check address and port"
        if not is_encrypted(self.server) and _cause(error, ConnectionError) and not _refused(error):
            action += "; if it has TLS, write https://"
        return errors.NotReachableError(
            f"No server answers under {self.server}",
            expected="a running MedGAN server",
            got=type(error).__name__,
            action=action,
        )

    def _untrusted(self, error):
        found = _cause(error, ssl.SSLCertVerificationError)
        if found is None:
            return errors.UntrustedError(
                f"No secure connection with {self.server}",
                expected="a server with TLS",
                got=getattr(_cause(error, ssl.SSLError), "reason", None) or type(error).__name__,
                action="write http:// if the server runs on this computer without TLS; "
                "else ask its administrator",
            )
        action = "ask the administrator for the certificate of its authority and choose it as CA file"
        if found.verify_code == _EXPIRED:
            action = "ask the administrator for a new certificate, and check this computer's clock"
        elif found.verify_code in _WRONG_NAMES:
            action = "write the address with the name that the certificate is for"
        return errors.UntrustedError(
            f"The certificate of {self.server} is not trusted; nothing was sent",
            expected="a certificate for this address from an authority that is known",
            got=str(found.verify_message).rstrip("."),
            action=action,
        )


def _refused(error):
    return _cause(error, ConnectionRefusedError) is not None


def _cause(error, kind):
    """The first of an error's causes of a kind, or None."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
