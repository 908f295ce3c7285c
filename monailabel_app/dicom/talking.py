"""What can go wrong in a request to a PACS, as typed errors; and the limits every request has."""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from pydicom.errors import InvalidDicomError
from requests.adapters import HTTPAdapter

from monailabel_app.dicom.errors import PacsAnswerError, PacsError, PacsRefusedError, PacsUnreachableError

logger = logging.getLogger(__name__)
_CONNECT_S = 5.0
# What dicomweb-client and pydicom raise over an answer that they do not understand. JSON that is none is a
# ValueError too.
_NONSENSE = (
    ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, NotImplementedError,
    InvalidDicomError,
)  # fmt: skip


@contextlib.contextmanager
def talking(url: str, what: str) -> Iterator[None]:
    """Turn whatever goes wrong while talking to a PACS into an error that says what to do.

    Args:
        url: of its DICOMweb service.
        what: the PACS was asked to do, as in "the PACS did not ...".

    Raises:
        PacsError: when it cannot be reached, refuses, or answers nonsense.
    """
    try:
        yield
    except (requests.RequestException, ssl.SSLError, *_NONSENSE) as error:
        logger.warning("PACS: %s: %s", type(error).__name__, error)
        raise _typed(error, url, what) from error


def _typed(error: Exception, url: str, what: str) -> PacsError:
    host = urlsplit(url).netloc
    if isinstance(error, requests.HTTPError):
        return _status(error, host, what)
    if isinstance(error, requests.exceptions.SSLError | ssl.SSLError):
        return PacsUnreachableError(
            "The PACS cannot be trusted",
            expected=f"a certificate for {host} by a known authority",
            got="none, another one, or an expired one",
            action="set MEDGAN_DICOMWEB_CA to the PEM file of the authority that signed it",
        )
    if isinstance(error, _NONSENSE):
        return PacsAnswerError(
            f"The PACS did not {what} in a way that can be understood",
            expected=f"answers of DICOMweb from {url}",
            got=f"something else ({type(error).__name__})",
            action="check that the address is that of its DICOMweb service; the log says more",
        )
    return PacsUnreachableError(
        f"The PACS did not {what}",
        expected=f"an answer of {host}",
        got="silence" if isinstance(error, requests.Timeout) else "no connection, or one that broke",
        action="check that it runs, its address, and the network; then try again",
    )


class Transport(HTTPAdapter):
    """Gives every request its limits, and the authorities to trust.

    The latter not by the session: an environment variable (``REQUESTS_CA_BUNDLE``) would win over it.

    Args:
        timeout_s: longest silence in the middle of an answer.
        authorities: PEM file of the certificate authorities to trust; None for the usual ones.
    """

    def __init__(self, timeout_s: float, authorities: Path | None) -> None:
        super().__init__()
        self._timeout, self._authorities = (_CONNECT_S, timeout_s), authorities

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send with the limits."""
        options["timeout"] = self._timeout
        if self._authorities is not None:
            options["verify"] = str(self._authorities)
        return super().send(request, **options)


def _status(error: requests.HTTPError, host: str, what: str) -> PacsError:
    code = error.response.status_code if error.response is not None else 0
    if code in (401, 403):
        return PacsRefusedError(
            f"The PACS does not let this server {what}",
            expected="a user who may",
            got=f"status {code} of {host}",
            action="set MONAI_LABEL_DICOMWEB_USERNAME and MONAI_LABEL_DICOMWEB_PASSWORD, or ask its "
            "administrator for the right",
        )
    kind = PacsRefusedError if 400 <= code < 500 else PacsAnswerError
    return kind(
        f"The PACS did not {what}",
        expected="success",
        got=f"status {code} of {host}",
        action="check the address of its DICOMweb service, and the log of the PACS",
    )
