"""How a PACS is reached comes from the environment, and what is not safe is refused before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from medgan_core.errors import UsageError
from monailabel_app.dicom.settings import PacsSettings

URL = "https://pacs.example/dicom-web"


def test_every_setting_has_a_variable(tmp_path: Path) -> None:
    for name in ("ca.pem", "own.pem", "own.key"):
        (tmp_path / name).write_text("-----BEGIN CERTIFICATE-----")
    found = PacsSettings.from_environment(
        f"{URL}/",
        {
            "MONAI_LABEL_DICOMWEB_USERNAME": "reader",
            "MONAI_LABEL_DICOMWEB_PASSWORD": "secret",
            "MEDGAN_DICOMWEB_SEARCH": '{"Modality": "MR", "StudyDate": 20200203}',
            "MONAI_LABEL_WADO_PREFIX": "wado",
            "MEDGAN_DICOMWEB_CA": str(tmp_path / "ca.pem"),
            "MEDGAN_DICOMWEB_CERT": str(tmp_path / "own.pem"),
            "MEDGAN_DICOMWEB_KEY": str(tmp_path / "own.key"),
            "MEDGAN_DICOMWEB_TIMEOUT_S": "7.5",
        },
    )
    assert found == PacsSettings(
        url=URL,
        user="reader",
        password="secret",
        authorities=tmp_path / "ca.pem",
        certificate=tmp_path / "own.pem",
        key=tmp_path / "own.key",
        timeout_s=7.5,
        search={"Modality": "MR", "StudyDate": "20200203"},
        prefixes=(None, "wado", None),
    )
    assert "secret" not in repr(found)


def test_nothing_is_needed() -> None:
    assert PacsSettings.from_environment(URL, {}) == PacsSettings(url=URL)


@pytest.mark.parametrize(
    ("url", "variables", "match"),
    [
        ("ftp://pacs/dicom-web", {}, "address"),
        ("https://reader:secret@pacs/dicom-web", {}, "holds a password"),
        ("http://pacs.example/dicom-web", {"MONAI_LABEL_DICOMWEB_USERNAME": "reader"}, "unencrypted"),
        (URL, {"MEDGAN_DICOMWEB_CA": "/nowhere/ca.pem"}, "missing"),
        (URL, {"MEDGAN_DICOMWEB_TIMEOUT_S": "soon"}, "MEDGAN_DICOMWEB_TIMEOUT_S"),
        (URL, {"MEDGAN_DICOMWEB_SEARCH": "MR"}, "MEDGAN_DICOMWEB_SEARCH"),
        (URL, {"MEDGAN_DICOMWEB_SEARCH": "[1]"}, "MEDGAN_DICOMWEB_SEARCH"),
    ],
)
def test_what_is_wrong_is_named(url: str, variables: dict[str, str], match: str) -> None:
    with pytest.raises(UsageError, match=match) as caught:
        PacsSettings.from_environment(url, variables)
    assert all(caught.value.to_dict().values())
    assert "secret" not in str(caught.value)


def test_a_password_may_go_to_this_machine_unencrypted() -> None:
    variables = {"MONAI_LABEL_DICOMWEB_USERNAME": "reader"}
    assert PacsSettings.from_environment("http://127.0.0.1:8042/dicom-web", variables).user == "reader"
