"""Client of `medgan serve` (docs/rest.md): no torch, no Slicer, requests imported where it is used.

Also a script, so that the module can run it in a process of its own, outside of Slicer's interpreter lock::

    python client.py --server http://127.0.0.1:8000 --model NAME --input KEY=PATH --target KEY --out DIR
"""

from __future__ import annotations

import json
import os
import time

if __name__ == "__main__":
    import sys

    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    from MedGANLib.script import main

    sys.exit(main())

from MedGANLib import errors
from MedGANLib.multipart import MultipartBody

FINAL = ("done", "failed", "cancelled", "interrupted")
DEFAULT_SERVER = "http://127.0.0.1:8000"
_BLOCK = 1 << 20


def normalise(address):
    """An address as people type it, as a base URL: scheme added, spaces and trailing slash removed."""
    address = (address or "").strip().rstrip("/")
    return address if "://" in address or not address else "http://" + address


class Client:
    """Talks to one server.

    Args:
        server: its address, for example ``http://127.0.0.1:8000`` or ``127.0.0.1:8000``.
        connect_timeout: seconds to wait for a connection; short, so that a wrong address shows at once.
        read_timeout: seconds to wait for an answer; long, because a server may be busy with an upload.
    """

    def __init__(self, server=DEFAULT_SERVER, *, connect_timeout=3.0, read_timeout=60.0):
        import requests

        self.server = normalise(server)
        self._timeout = (connect_timeout, read_timeout)
        self._session = requests.Session()
        if is_loopback(self.server):
            self._session.trust_env = False  # a proxy cannot reach this machine's own loopback

    def close(self):
        """Close the connection."""
        self._session.close()

    def health(self):
        """The server's version, workers and queue.

        Raises:
            errors.NotMedganError: when something else answers.
        """
        answer = self._json("GET", "/health")
        if not isinstance(answer, dict) or "version" not in answer:
            raise self._not_medgan("an answer without a version")
        return answer

    def models(self):
        """The cards of the server's models, as plain dicts.

        Raises:
            errors.VersionError: when the answer has another shape than this client knows.
        """
        answer = self._json("GET", "/models")
        if not isinstance(answer, dict) or not isinstance(answer.get("models"), list):
            raise errors.VersionError(
                "The server does not list its models in a way this module knows",
                expected='{"models": [...]}',
                got=str(answer)[:200],
                action="install the module and the server of the same MedGAN version",
            )
        return answer["models"]

    def submit(self, model, inputs, *, target=None, seed=0, settings=None, progress=None, cancel=None):
        """Upload inputs and queue a job; returns the job document.

        Args:
            model: name of a model of the server.
            inputs: input key to path of a volume file; uncompressed is fastest.
            target: key of the wanted output when the model has several.
            seed: the same seed gives the same voxels.
            settings: choices of the card's settings.
            progress: called with the fraction uploaded.
            cancel: polled; True stops the upload.
        """
        request = {"model": model, "seed": int(seed), "settings": dict(settings or {})}
        if target:
            request["target"] = target
        body = MultipartBody(
            json.dumps(request), inputs, progress=progress, cancel=cancel, stop=errors.CancelledError
        )
        try:
            return self._json("POST", "/jobs", data=body, headers={"Content-Type": body.content_type})
        finally:
            body.close()

    def job(self, job_id):
        """The job document: state, position, fraction, stage, remaining_s, error, ..."""
        return self._json("GET", "/jobs/" + job_id)

    def cancel(self, job_id):
        """Stop a job; it stays in the list as cancelled."""
        return self._json("POST", f"/jobs/{job_id}/cancel")

    def delete(self, job_id):
        """Stop a job if need be and remove it with its files."""
        self._request("DELETE", "/jobs/" + job_id).close()

    def report(self, job_id):
        """The report: {"verdict", "rows", "provenance"}."""
        return self._json("GET", f"/jobs/{job_id}/report")

    def result(self, job_id, key, path, *, file_format="nrrd", cancel=None):
        """Fetch one result into `path`; a part of a file never stays behind."""
        part = f"{path}.part"
        with self._request(
            "GET", f"/jobs/{job_id}/results/{key}", params={"format": file_format}, stream=True
        ) as answer:
            try:
                with open(part, "wb") as out:
                    for block in self._guard(lambda: answer.iter_content(_BLOCK)):
                        if cancel is not None and cancel():
                            raise errors.CancelledError()
                        out.write(block)
                os.replace(part, path)
            finally:
                if os.path.exists(part):
                    os.remove(part)
        return path

    def wait(self, job_id, *, progress=None, cancel=None, interval=0.15):
        """Watch a job until it is final; returns its last document.

        Args:
            job_id: from `submit`.
            progress: called with the job document whenever it was asked for.
            cancel: polled; True cancels the job on the server.
            interval: seconds between two questions.

        Raises:
            errors.CancelledError: when it was cancelled, by `cancel` or by somebody else.
            errors.RefusedError: when an input was refused.
            errors.ServerError: when the work failed.
        """
        while True:
            if cancel is not None and cancel():
                self.cancel(job_id)
                raise errors.CancelledError()
            job = self.job(job_id)
            if progress is not None:
                progress(job)
            if job["state"] in FINAL:
                break
            time.sleep(interval)
        if job["state"] == "cancelled":
            raise errors.CancelledError()
        if job["state"] != "done":
            raise errors.from_problem(job.get("error") or {})
        return job

    def _json(self, method, path, **options):
        with self._request(method, path, **options) as answer:
            try:
                return answer.json()
            except ValueError:
                raise self._not_medgan("an answer that is not JSON") from None

    def _request(self, method, path, **options):
        if not self.server.startswith(("http://", "https://")):
            raise errors.NotReachableError(
                "The server's address is not valid",
                expected="an address such as " + DEFAULT_SERVER,
                got=self.server or "nothing",
                action="correct the address",
            )
        options.setdefault("timeout", self._timeout)
        answer = self._guard(lambda: self._session.request(method, self.server + path, **options))
        if answer.status_code < 400:
            return answer
        with answer:
            raise self._problem(answer)

    def _problem(self, answer):
        try:
            problem = answer.json()
        except ValueError:
            problem = None
        if isinstance(problem, dict) and "code" in problem:
            return errors.from_problem(problem)
        return self._not_medgan(f"HTTP status {answer.status_code}")

    def _not_medgan(self, got):
        return errors.NotMedganError(
            f"Something answers under {self.server}, but it is not a MedGAN server",
            expected="a server started with 'medgan serve'",
            got=got,
            action="check the port, or start 'medgan serve' on another one (--port)",
        )

    def _guard(self, call):
        import requests

        try:
            return call()
        except requests.exceptions.ConnectTimeout as error:
            raise self._unreachable(error) from error
        except requests.exceptions.Timeout as error:
            raise errors.NoAnswerError(
                "The server stopped answering",
                expected=f"an answer within {self._timeout[1]:g} s",
                got="none",
                action="look at the server's window, then connect again",
            ) from error
        except (requests.exceptions.InvalidURL, requests.exceptions.ConnectionError) as error:
            raise self._unreachable(error) from error
        except requests.exceptions.RequestException as error:
            raise self._not_medgan(type(error).__name__) from error

    def _unreachable(self, error):
        return errors.NotReachableError(
            f"No server answers under {self.server}",
            expected="a running MedGAN server",
            got=type(error).__name__,
            action="start it with 'medgan serve' on that computer and check address and port",
        )


def is_loopback(server):
    """True when the address is this computer's own."""
    from urllib.parse import urlsplit

    host = urlsplit(normalise(server)).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")
