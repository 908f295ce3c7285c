"""How a PACS is reached, from the environment; docs/pacs.md lists the variables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from medgan_core.errors import UsageError
from monailabel_app.access import is_loopback

_STOCK, _OWN = "MONAI_LABEL_", "MEDGAN_DICOMWEB_"


@dataclass(frozen=True, kw_only=True)
class PacsSettings:
    """Address, access, and limits of one DICOMweb server.

    Args:
        url: of the service, such as ``https://pacs.example/dicom-web``.
        user: name for basic authentication, or "".
        password: for basic authentication.
        authorities: PEM file of the certificate authorities to trust; None for the usual ones.
        certificate: PEM file with this server's own certificate, for a PACS that asks for one.
        key: PEM file with its key; None when it is in the same file.
        timeout_s: longest silence of the PACS in the middle of an answer.
        search: which series are listed, as keywords of QIDO-RS.
        prefixes: of QIDO-RS, WADO-RS and STOW-RS after the address; None for none.

    Raises:
        UsageError: when a password would travel unencrypted, or a file is missing.
    """

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    timeout_s: float = 60.0
    search: Mapping[str, str] = field(default_factory=dict)
    prefixes: tuple[str | None, str | None, str | None] = (None, None, None)

    def __post_init__(self) -> None:
        address = urlsplit(self.url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise UsageError(
                "The address of the PACS is not one of DICOMweb",
                expected="http://HOST:PORT/PATH or https://HOST/PATH",
                got=self.url,
                action="give the address of its DICOMweb service",
            )
        if address.username or address.password:
            raise UsageError(
                "The address of the PACS holds a password",
                expected="an address without name and password",
                got=f"one with them, for {address.hostname}",
                action=f"set {_STOCK}DICOMWEB_USERNAME and {_STOCK}DICOMWEB_PASSWORD instead",
            )
        if self.user and address.scheme == "http" and not is_loopback(address.hostname):
            raise UsageError(
                "The password of the PACS would travel unencrypted",
                expected="an https address, or a PACS on this machine",
                got=self.url,
                action="use the https address of the PACS",
            )
        for file in (self.authorities, self.certificate, self.key):
            if file is not None and not file.is_file():
                raise UsageError(
                    "A certificate file for the PACS is missing",
                    expected="a PEM file",
                    got=str(file),
                    action=f"correct the variables {_OWN}CA, {_OWN}CERT, {_OWN}KEY",
                )

    @staticmethod
    def from_environment(url: str, environment: Mapping[str, str]) -> PacsSettings:
        """Settings for an address; MONAI Label's variables count where it has one for the purpose.

        Not its search filter: its server exports the default, CT alone, as if somebody had asked for it.

        Raises:
            UsageError: when a variable cannot be read, or as `PacsSettings` does.
        """

        def get(name: str) -> str | None:
            return environment.get(name) or None

        def path(name: str) -> Path | None:
            value = get(_OWN + name)
            return Path(value) if value else None

        return PacsSettings(
            url=url.strip().rstrip("/"),
            user=get(f"{_STOCK}DICOMWEB_USERNAME") or "",
            password=get(f"{_STOCK}DICOMWEB_PASSWORD") or "",
            authorities=path("CA"),
            certificate=path("CERT"),
            key=path("KEY"),
            timeout_s=_seconds(get(f"{_OWN}TIMEOUT_S")),
            search=_search(get(f"{_OWN}SEARCH")),
            prefixes=(
                get(f"{_STOCK}QIDO_PREFIX"),
                get(f"{_STOCK}WADO_PREFIX"),
                get(f"{_STOCK}STOW_PREFIX"),
            ),
        )


def _seconds(text: str | None) -> float:
    if text is None:
        return PacsSettings.timeout_s
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise _unreadable(f"{_OWN}TIMEOUT_S", "seconds, more than 0 and at most 3600", text)
    return seconds


def _search(text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict) or not all(isinstance(v, str | int) for v in value.values()):
        raise _unreadable(f"{_OWN}SEARCH", 'JSON such as {"Modality": "MR"}', text)
    return {key: str(found) for key, found in value.items()}


def _unreadable(name: str, expected: str, got: str) -> UsageError:
    return UsageError(
        f"The variable {name} cannot be read", expected=expected, got=got[:200], action="correct it"
    )
