"""Requests that are not as they should be: names that climb, broken JSON and forms, wrong methods, floods."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

from tests.app.corpus import BOUNDARY, FORM, JSON, Case, form

_DEEP = 100_000


def request_cases() -> Iterator[Case]:
    """All of them."""
    yield from _climbing()
    yield from _job_json()
    yield from _forms()
    yield from _stock_json()
    yield from _addresses()
    yield from _headers()


def _climbing() -> Iterator[Case]:
    names = (
        "../head",
        "../../etc/passwd",
        "/etc/passwd",
        "..\\head",
        "C:\\head",
        "\\\\host\\share",
        "a/../../b",
        "a\0b",
        "a\nb",
        "\u202ehead",
        "x" * 5000,
        "....//....//etc/passwd",
    )
    places = (
        ("GET", "/datastore/image?image={}"),
        ("HEAD", "/datastore/image?image={}"),
        ("GET", "/datastore/image/info?image={}"),
        ("PUT", "/datastore/image?image={}"),
        ("PUT", "/datastore/?image={}"),
        ("PUT", "/datastore/label?image=head&tag={}"),
        ("GET", "/datastore/label?label=head&tag={}"),
        ("DELETE", "/datastore/image?id={}"),
        ("DELETE", "/datastore/label?id=head&tag={}"),
        ("POST", "/infer/toy-denoise?image={}"),
        ("POST", "/infer/toy-denoise?session_id={}"),
        ("GET", "/session/{}"),
        ("DELETE", "/session/{}"),
        ("GET", "/jobs/{}"),
        ("GET", "/models/{}"),
        ("GET", "/model/{}"),
    )
    for number, (method, place) in enumerate(places):
        for name in (names[number % len(names)], names[(number * 5 + 3) % len(names)]):
            target = place.format(quote(name, safe=""))
            part = "label" if "label" in place else "file"
            body = form((part, "a.nii", b"0" * 400)) if method == "PUT" else b""
            odd_but_absent = "image/info" in place
            yield Case(
                f"{method} {place} with {ascii(name)[:20]}",
                method,
                target,
                FORM if body else {},
                body,
                refused=not odd_but_absent,
            )
    climbing = {"model": "toy-denoise", "inputs": {"image": "../../etc/passwd"}}
    yield Case("an input that climbs", "POST", "/jobs", FORM, _job(climbing))
    yield Case("a model that climbs", "POST", "/jobs", FORM, _job({"model": "../toy-denoise"}))


def _job(request: object) -> bytes:
    text = request if isinstance(request, str) else json.dumps(request)
    return form(("request", None, text.encode("utf-8", "surrogatepass")))


def _job_json() -> Iterator[Case]:
    base = {"model": "toy-denoise", "inputs": {"image": "head"}}
    wrong = {
        "nothing": "",
        "null": "null",
        "a number": "1",
        "a list": "[]",
        "half an object": '{"model": "toy',
        "two objects": '{"model": "toy-denoise"}{}',
        "a comment": '{"model": "toy-denoise"} // x',
        "deep lists": "[" * _DEEP,
        "deep objects": '{"a":' * _DEEP,
        "not a number": '{"model": NaN}',
        "a byte order mark": "\ufeff{}",
        "half a surrogate": '{"model": "\\ud800"}',
        "a surrogate in bytes": '{"model": "\ud800"}',
        "a null byte": '{"model": "toy\\u0000denoise"}',
        "a huge number": '{"model": "toy-denoise", "seed": 1' + "0" * 10_000 + "}",
        "no model": "{}",
        "a model that is a number": '{"model": 5}',
        "an unknown model": '{"model": "x"}',
        "a model of many letters": json.dumps({"model": "x" * 100_000}),
    }
    for name, text in wrong.items():
        yield Case(f"job of {name}", "POST", "/jobs", FORM, _job(text))
    for name, changes in {
        "an unknown field": {"surprise": 1},
        "a negative seed": {"seed": -1},
        "a seed with a point": {"seed": 1.5},
        "a seed beyond 64 bits": {"seed": 2**70},
        "a seed that is true": {"seed": True},
        "no variants": {"count": 0},
        "a million variants": {"count": 1_000_000},
        "an unknown target": {"target": "CT"},
        "a target that is a list": {"target": ["image"]},
        "an unknown setting": {"settings": {"surprise": 1}},
        "a setting that is a list": {"settings": {"strength": [1]}},
        "a setting out of range": {"settings": {"strength": 1e308}},
        "a setting of the wrong type": {"settings": {"strength": "much"}},
        "settings that are a list": {"settings": [1, 2]},
        "an unknown input": {"inputs": {"surprise": "head"}},
        "no inputs": {"inputs": {}},
        "an unknown image": {"inputs": {"image": "nobody"}},
        "an image that is a number": {"inputs": {"image": 3}},
        "an image id of many letters": {"inputs": {"image": "x" * 100_000}},
        "an image id with a null byte": {"inputs": {"image": "he\0ad"}},
        "a gate as model": {"model": "brain-mr-gate"},
    }.items():
        yield Case(f"job with {name}", "POST", "/jobs", FORM, _job({**base, **changes}))


def _forms() -> Iterator[Case]:
    good = _job({"model": "toy-denoise"})
    line = f"--{BOUNDARY}\r\n".encode()
    bodies = {
        "nothing": b"",
        "no end": good[:-6],
        "half a head": good[:40],
        "another boundary": good.replace(BOUNDARY.encode(), b"another"),
        "an end only": f"--{BOUNDARY}--\r\n".encode(),
        "a part without name": line + b"Content-Disposition: form-data\r\n\r\nx\r\n" + good,
        "a part without head": line + b"\r\nx\r\n" + good,
        "a head without colon": line + b"nonsense\r\n\r\nx\r\n" + good,
        "a head without end": line + b"X: " + b"x" * 200_000,
        "many heads": line + b"X: y\r\n" * 10_000 + b"\r\nx\r\n" + good,
        "two requests": form(("request", None, b"{}"), ("request", None, b"{}")),
        "no request": form(("image", "a.nii", b"0" * 400)),
        "a request as a file": form(("request", "a.nii", b"{}")),
        "an unknown text": form(("request", None, b'{"model": "toy-denoise"}'), ("x", None, b"y")),
        "a text over a megabyte": form(("request", None, b" " * (1 << 20) + b"{}")),
        "a thousand parts": form(*((f"p{n}", None, b"x") for n in range(1000))),
        "a thousand files": form(*((f"p{n}", "a.nii", b"x") for n in range(1000))),
        "a climbing part": form(("../../x", "a.nii", b"x")),
        "a part named by a path": form(("/etc/passwd", "a.nii", b"x")),
        "a part named by nothing": form(("", "a.nii", b"x")),
        "a part named in another script": form(("頭", "a.nii", b"x")),
        "a part of many letters": form(("x" * 3000, "a.nii", b"x")),
        "more than may be uploaded": form(("image", "a.nii", bytes(65 << 20))),
        "bare line feeds": good.replace(b"\r\n", b"\n"),
        "noise": bytes(range(256)) * 100,
    }
    for name, body in bodies.items():
        yield Case(f"form with {name}", "POST", "/jobs", FORM, body)
    for name, kind in {
        "no type": "",
        "json": "application/json",
        "text": "text/plain",
        "xml": "application/xml",
        "no boundary": "multipart/form-data",
        "an empty boundary": "multipart/form-data; boundary=",
        "a long boundary": "multipart/form-data; boundary=" + "x" * 20_000,
        "a strange boundary": 'multipart/form-data; boundary="\\"',
        "mixed": f"multipart/mixed; boundary={BOUNDARY}",
    }.items():
        yield Case(f"job sent as {name}", "POST", "/jobs", {"Content-Type": kind} if kind else {}, good)
        yield Case(f"image sent as {name}", "PUT", "/datastore/image", {"Content-Type": kind}, good)


def _stock_json() -> Iterator[Case]:
    deep, image = b"[" * _DEEP, ("file", "a.nii", b"0" * 400)
    for name, params in {
        "half an object": b'{"a"',
        "a list": b"[]",
        "a number": b"1",
        "deep lists": deep,
        "a null byte": b"\0",
        "an unknown target": b'{"target": "CT"}',
        "a seed of words": b'{"seed": "x"}',
        "inputs that are a list": b'{"inputs": [1]}',
        "an input that climbs": b'{"inputs": {"image": "/etc/passwd"}}',
        "a suffix that climbs": b'{"result_extension": "/../../x"}',
        "a result that climbs": b'{"result": "../x"}',
        "settings that are text": b'{"settings": "x"}',
        "an input that is an object": b'{"input": {}}',
    }.items():
        body = form(("params", None, params))
        yield Case(f"infer with {name}", "POST", "/infer/toy-denoise?image=head&output=json", FORM, body)
    for name, value in {"half an object": b'{"a"', "a list": b"[]", "deep lists": deep}.items():
        yield Case(
            f"image params of {name}",
            "PUT",
            "/datastore/image?image=x",
            FORM,
            form(image, ("params", None, value)),
        )
        for what in ("image/info?image=head", "label/info?label=head&tag=final", "image/info?image=nobody"):
            yield Case(
                f"{what} of {name}",
                "PUT",
                f"/datastore/{what}",
                {"Content-Type": "application/x-www-form-urlencoded"},
                b"info=" + quote(value).encode(),
            )
    for place in (
        "/activelearning/random",
        "/activelearning/nobody",
        "/train/nobody",
        "/scoring/nobody",
        "/batch/infer/nobody",
    ):
        for name, body in {
            "deep lists": deep,
            "a list": b"[]",
            "half an object": b'{"a"',
            "two megabytes": b'"' + b"x" * (2 << 20) + b'"',
        }.items():
            yield Case(f"{place} with {name}", "POST", place, JSON, body)
    for target in (
        "/activelearning/nobody",
        "/train/nobody",
        "/train/?run_sync=maybe",
        "/scoring/nobody",
        "/batch/infer/nobody",
        "/batch/infer/toy-denoise?images=nobody",
    ):
        yield Case(f"POST {target}", "POST", target, JSON, b"{}")
    for target in (
        "/datastore/?output=nobody",
        "/datastore/image",
        "/datastore/label?label=head",
        "/datastore/label/info?label=nobody",
        "/logs/?lines=x",
        "/datastore/dataset?limit_cases=x",
        "/session/nobody",
        "/model/nobody",
        "/model/info/nobody",
        "/datastore/image?image=nobody",
        "/datastore/label?label=nobody&tag=final",
        "/train/",
        "/batch/infer",
    ):
        yield Case(f"GET {target}", "GET", target)
    yield Case(
        "an archive to be unpacked", "PUT", "/session/?uncompress=true", FORM, form(("files", "a.zip", b"PK"))
    )
    yield Case("a session without file", "PUT", "/session/", FORM, form(("x", None, b"y")))
    yield Case("a sign-in without password", "POST", "/auth/token", {}, b"\xff" * 100_000, refused=False)
    yield Case("a checksum of nothing", "HEAD", "/datastore/image?image=head&check_sum=x:y:z", refused=True)
    yield Case("a sum by an unknown rule", "HEAD", "/datastore/image?image=head&check_sum=CRC:1")
    yield Case("a data set of no cases", "GET", "/datastore/dataset?limit_cases=-5")


def _addresses() -> Iterator[Case]:
    for target in (
        "/nobody",
        "//",
        "//jobs",
        "/jobs/../health",
        "/jobs/%2e%2e/health",
        "/jobs/%00",
        "/jobs/%ff%fe",
        "/jobs/x/results/../../x",
        "/jobs/x/results/%2e%2e%2fx",
        "/jobs/x/report",
        "/jobs/x/events",
        "/docs/../x",
        "/static/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/" + "x" * 20_000,
        "/jobs/" + "x" * 20_000,
        "/models/%F0%9F%A7%A0",
        "/models/x?" + "a=b&" * 5000,
        "/infer/toy-denoise",
        "/auth/token",
        "/proxy/x",
        "/ohif/x",
        "/.git/config",
        "/.env",
        "/server-status",
        "/wsi_v2/infer/x",
    ):
        yield Case(f"GET {target[:40]}", "GET", target)
    for method, target in (
        ("DELETE", "/health"),
        ("POST", "/metrics"),
        ("PUT", "/jobs"),
        ("PATCH", "/jobs/x"),
        ("TRACE", "/jobs"),
        ("DELETE", "/jobs"),
        ("DELETE", "/jobs/x"),
        ("POST", "/jobs/x/cancel"),
        ("POST", "/jobs/x/resubmit"),
        ("BREW", "/coffee"),
        ("OPTIONS", "/jobs"),
        ("PUT", "/model/toy-denoise"),
        ("DELETE", "/model/toy-denoise"),
        ("DELETE", "/datastore/image?id=nobody"),
    ):
        yield Case(f"{method} {target}", method, target)
    yield Case("a raw address", "GET", "/jobs/\udcff\udcfe", statuses=(400, 404))
    yield Case(
        "a query that is no text",
        "GET",
        "/datastore/image?image=%ff%fe&\udcff=\udcfe",
        statuses=(400, 404, 422),
    )


def _headers() -> Iterator[Case]:
    for name, headers in {
        "a foreign host": {"Host": "evil.example.org"},
        "no host": {"Host": ""},
        "half a host": {"Host": "[::1"},
        "a foreign page": {"Origin": "https://evil.example.org"},
        "a page that is no page": {"Origin": "http://[::1"},
    }.items():
        yield Case(f"request with {name}", "GET", "/health", headers)
    for name, headers in {
        "an id that would forge the log": {"X-Request-ID": "x\ty id=forged"},
        "a long head": {"X-Long": "x" * 50_000},
        "an id of many letters": {"X-Request-ID": "x" * 5000},
        "a range that is none": {"Range": "bytes=9-1,-5,x"},
        "a thousand ranges": {"Range": "bytes=" + ",".join(f"{n}-{n}" for n in range(1000))},
        "an unknown encoding": {"Accept-Encoding": "rot13;q=x"},
        "a token nobody asked for": {"Authorization": "Bearer " + "x" * 5000},
    }.items():
        yield Case(f"download with {name}", "GET", "/datastore/image?image=head", headers, refused=False)
    good = _job({"model": "toy-denoise", "inputs": {"image": "head"}})
    for key in ("", "x" * 300, "two words", "\u00e9"):
        yield Case(
            f"job under the key {ascii(key)[:20]}", "POST", "/jobs", {**FORM, "Idempotency-Key": key}, good
        )
    for name, length in {
        "a negative length": "-5",
        "a length of words": "many",
        "a huge length": "9" * 30,
    }.items():
        yield Case(f"job of {name}", "POST", "/jobs", {**FORM, "Content-Length": length}, good, framing=False)
    chunked = {**JSON, "Transfer-Encoding": "chunked"}
    yield Case("chunks that are none", "POST", "/train/x", chunked, b"zz\r\nnonsense", framing=False)
    flood = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    yield Case("chunks without end", "POST", "/train/x", chunked, flood * 40 + b"0\r\n\r\n", framing=False)
