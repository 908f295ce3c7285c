"""Listing, fetching and storing against a real Orthanc, and what a PACS may do wrong."""

from __future__ import annotations

import contextlib
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from medgan_core import io
from monailabel_app.dicom.errors import PacsAnswerError, PacsRefusedError, PacsUnreachableError
from monailabel_app.dicom.pacs import Pacs
from monailabel_app.dicom.series import derived_series
from monailabel_app.dicom.settings import PacsSettings
from monailabel_app.dicom.source import Source, read_series
from tests.app.dicom.conftest import Orthanc
from tests.app.dicom.phantoms import Phantom
from tests.app.dicom.results import DENOISED, fractional

Answer = Callable[[BaseHTTPRequestHandler], None]


def test_every_modality_is_listed_and_what_is_no_image_is_not(
    orthanc: Orthanc, pacs: Pacs, archive: dict[str, Phantom], tmp_path: Path
) -> None:
    pet = Phantom(tags={"Modality": "PT"}, shape=(8, 8, 3))
    plan = Phantom(tags={"Modality": "RTPLAN"}, shape=(8, 8, 1))
    for name, phantom in {"pet": pet, "plan": plan}.items():
        orthanc.put(phantom.write(tmp_path / name))
    listed = {entry.uid: entry for entry in pacs.images()}
    assert {p.series for p in (*archive.values(), pet)} <= set(listed)
    assert plan.series not in listed
    ct = listed[archive["ct"].series]
    assert (ct.modality, ct.description, ct.instances, ct.patient_id) == ("CT", "CT phantom", 9, "PH-17")
    assert listed[pet.series].modality == "PT"


def test_a_search_limits_what_is_there(pacs: Pacs, archive: dict[str, Phantom]) -> None:
    only_ct = Pacs(replace(pacs.settings, search={"Modality": "CT"}))
    assert archive["ct"].series in {entry.uid for entry in only_ct.images()}
    assert {entry.modality for entry in only_ct.images()} == {"CT"}
    assert only_ct.find(archive["axial"].series) is None
    assert pacs.find("1.2.3.4") is None


def test_a_long_list_is_read_page_by_page(
    pacs: Pacs, archive: dict[str, Phantom], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pacs.series()
    monkeypatch.setattr("monailabel_app.dicom.pacs._PAGE", 2)
    assert sorted(e.uid for e in pacs.series()) == sorted(e.uid for e in whole)
    assert len(whole) >= len(archive)


def test_what_is_stored_comes_back_and_storing_again_makes_no_copy(
    orthanc: Orthanc, pacs: Pacs, archive: dict[str, Phantom], tmp_path: Path
) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    entry = pacs.find(archive["oblique"].series)
    assert entry is not None
    assert pacs.fetch(entry, folder) == entry.instances == 9
    result, source = fractional(read_series(folder)), Source.load(folder)
    for _ in range(2):
        made = derived_series(result, [source], DENOISED, series_uid="2.25.4711", number=90004)
        assert pacs.store(made) == 9
    stored = orthanc.series("2.25.4711")
    assert len(stored["Instances"]) == 9
    assert stored["MainDicomTags"]["SeriesDescription"] == "SYNTHETIC image (toy-denoise 0.1.0)"
    files = orthanc.files("2.25.4711", tmp_path / "back")
    assert io.read(tmp_path / "back").geometry.close_to(result.geometry, tolerance_mm=1e-9)
    assert pydicom.dcmread(files[0])[0x0008, 0x001C].value == "YES"


def test_a_wrong_password_is_refused(orthanc: Orthanc, pacs: Pacs) -> None:
    stranger = Pacs(replace(pacs.settings, password="wrong"))
    with pytest.raises(PacsRefusedError, match="MONAI_LABEL_DICOMWEB_PASSWORD"):
        stranger.images()


def test_an_instance_that_is_not_taken_is_an_error(pacs: Pacs, tmp_path: Path) -> None:
    folder = Phantom(shape=(8, 8, 2)).write(tmp_path / "s")
    result = read_series(folder)
    made = list(derived_series(result, [Source.load(folder)], DENOISED, series_uid="2.25.5", number=1))
    del made[0].StudyInstanceUID, made[0].PatientID, made[0].SeriesInstanceUID
    with pytest.raises(PacsRefusedError):
        pacs.store(made)


def test_a_pacs_that_does_not_say_what_it_took_is_asked(
    pacs: Pacs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Phantom(shape=(8, 8, 3)).write(tmp_path / "s")
    result, source = read_series(folder), Source.load(folder)
    store, batches = pacs.client.store_instances, []

    def silent(batch: list[Dataset]) -> Dataset:
        batches.append(len(batch))
        store(batch[:2])
        return Dataset()

    monkeypatch.setattr(pacs.client, "store_instances", silent)
    made = list(derived_series(result, [source], DENOISED, series_uid="2.25.6", number=1))
    assert pacs.store(made[:2]) == 2
    with pytest.raises(PacsRefusedError, match="1 not taken"):
        pacs.store(made)
    assert batches == [2, 3]


def test_nobody_there() -> None:
    absent = Pacs(PacsSettings(url="http://127.0.0.1:9/dicom-web"))
    with pytest.raises(PacsUnreachableError, match="no connection"):
        absent.images()


@contextlib.contextmanager
def speaking(answer: Answer, *, certificate: Path | None = None) -> Iterator[str]:
    """A server on loopback that answers every request in one way."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    scheme = "http"
    if certificate is not None:
        context, scheme = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), "https"
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"{scheme}://localhost:{server.server_address[1]}/dicom-web"
    finally:
        server.shutdown()
        server.server_close()


def saying(status: int, kind: str, body: bytes) -> Answer:
    """An answer of that status, type and body."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


@pytest.mark.parametrize(
    ("status", "kind", "body", "error"),
    [
        (200, "text/html", b"<html>It works!</html>", PacsAnswerError),
        (200, "application/dicom+json", b'[{"0020000D": 5}]', PacsAnswerError),
        (200, "application/dicom+json", b'[{"00080060": {"vr": "CS"}}]', PacsAnswerError),
        (200, "application/dicom+json", b'"series"', PacsAnswerError),
        (403, "text/plain", b"no", PacsRefusedError),
        (404, "text/plain", b"no", PacsRefusedError),
        (500, "text/plain", b"oops", PacsAnswerError),
        (503, "text/plain", b"busy", PacsAnswerError),
    ],
)
def test_nonsense_and_refusals_have_types(
    status: int, kind: str, body: bytes, error: type[Exception]
) -> None:
    with speaking(saying(status, kind, body)) as url:
        start = time.monotonic()
        with pytest.raises(error):
            Pacs(PacsSettings(url=url)).images()
        assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", b"<html></html>"),
        ('multipart/related; type="application/dicom"; boundary=x', b"--x\r\n\r\nnot DICOM\r\n--x--"),
        ("application/dicom", b"DICM" * 50),
    ],
)
def test_a_series_that_is_not_dicom_is_nonsense(
    kind: str, body: bytes, pacs: Pacs, archive: dict[str, Phantom], tmp_path: Path
) -> None:
    entry = pacs.find(archive["axial"].series)
    assert entry is not None
    with speaking(saying(200, kind, body)) as url, pytest.raises(PacsAnswerError):
        Pacs(PacsSettings(url=url)).fetch(entry, tmp_path)


def test_silence_ends(tmp_path: Path) -> None:
    with speaking(lambda _: time.sleep(3)) as url:
        start = time.monotonic()
        with pytest.raises(PacsUnreachableError, match="silence"):
            Pacs(PacsSettings(url=url, timeout_s=0.5)).images()
        assert time.monotonic() - start < 2.5


def test_tls_needs_an_authority_that_is_known(tmp_path: Path) -> None:
    certificate = tmp_path / "own.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", certificate, "-out", tmp_path / "ca.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    certificate.write_text(certificate.read_text() + (tmp_path / "ca.pem").read_text())
    with speaking(saying(200, "application/dicom+json", b"[]"), certificate=certificate) as url:
        with pytest.raises(PacsUnreachableError, match="MEDGAN_DICOMWEB_CA"):
            Pacs(PacsSettings(url=url)).images()
        assert Pacs(PacsSettings(url=url, authorities=tmp_path / "ca.pem")).images() == []
