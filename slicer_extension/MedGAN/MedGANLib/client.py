"""Client of `medgan serve` (docs/rest.md): no torch, no Slicer, requests imported where it is used.

Also a script, so that the module can run it in a process of its own, outside of Slicer's interpreter lock::

    python client.py --server http://127.0.0.1:8000 --model NAME --input KEY=PATH --target KEY --out DIR

The token of a server that asks for one is the first line of standard input (``--token-stdin < FILE``).
"""

from __future__ import annotations

import json
import os
import time
import uuid

if __name__ == "__main__":
    import sys

    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    from MedGANLib.script import main

    sys.exit(main())

from MedGANLib import errors
from MedGANLib.access import DEFAULT_SERVER, Access
from MedGANLib.connection import Connection
from MedGANLib.multipart import MultipartBody

FINAL = ("done", "failed", "cancelled", "interrupted")
_BLOCK = 1 << 20


class Client:
    """Talks to one server.

    Args:
        server: its address, for example ``http://127.0.0.1:8000`` or ``127.0.0.1:8000``.
        token: for a server that asks for one.
        ca_file: PEM file with the authority of the server's certificate, when it is not a well-known one.
        connect_timeout: seconds to wait for a connection; short, so that a wrong address shows at once.
        read_timeout: seconds to wait for an answer; long, because a server may be busy with an upload.

    Raises:
        errors.ClientError: when the address, the token or the CA file cannot work; nothing was sent then.
    """

    def __init__(
        self, server=DEFAULT_SERVER, *, token="", ca_file="", connect_timeout=3.0, read_timeout=60.0
    ):
        self.connection = Connection(
            Access(server, token, ca_file), connect_timeout=connect_timeout, read_timeout=read_timeout
        )
        self.server = self.connection.server

    def close(self):
        """Close the connection."""
        self.connection.close()

    def who(self):
        """Whom the server takes this client for: {"username", "roles"}.

        Raises:
            errors.UnauthenticatedError: when it wants a token, or another one.
        """
        answer = self.connection.json("GET", "/auth/token/valid")
        if not isinstance(answer, dict) or not isinstance(answer.get("roles"), list):
            raise self.connection.not_medgan("an answer without roles")
        return answer

    def health(self):
        """The server's version, workers and queue.

        Raises:
            errors.NotMedganError: when something else answers.
        """
        answer = self.connection.json("GET", "/health")
        if not isinstance(answer, dict) or "version" not in answer:
            raise self.connection.not_medgan("an answer without a version")
        return answer

    def models(self):
        """The cards of the server's models, as plain dicts.

        Raises:
            errors.VersionError: when the answer has another shape than this client knows.
        """
        answer = self.connection.json("GET", "/models")
        if not isinstance(answer, dict) or not isinstance(answer.get("models"), list):
            raise errors.VersionError(
                "The server does not list its models in a way this module knows",
                expected='{"models": [...]}',
                got=str(answer)[:200],
                action="install the module and the server of the same MedGAN version",
            )
        return answer["models"]

    def submit(
        self, model, inputs, *, target=None, seed=0, count=1, settings=None, progress=None, cancel=None
    ):
        """Upload inputs and queue a job; returns the job document.

        When the server stops answering in the middle the same is sent once more under the same key, which
        makes no second job.

        Args:
            model: name of a model of the server.
            inputs: input key to path of a volume file; uncompressed is fastest. Empty for a model that
                makes volumes from nothing.
            target: key of the wanted output when the model has several.
            seed: the same seed gives the same voxels.
            count: how many samples, of a model that draws them.
            settings: choices of the card's settings.
            progress: called with the fraction uploaded.
            cancel: polled; True stops the upload.
        """
        request = {"model": model, "seed": int(seed), "count": int(count), "settings": dict(settings or {})}
        if target:
            request["target"] = target
        headers = {"Idempotency-Key": uuid.uuid4().hex}

        def send():
            texts = {"request": json.dumps(request)}
            body = MultipartBody(texts, inputs, progress=progress, cancel=cancel, stop=errors.CancelledError)
            try:
                typed = dict(headers, **{"Content-Type": body.content_type})
                return self.connection.json("POST", "/jobs", data=body, headers=typed)
            finally:
                body.close()

        try:
            return send()
        except errors.NoAnswerError:  # it may have arrived
            return send()

    def jobs(self):
        """The documents of all jobs that the server keeps, oldest first."""
        return self.connection.json("GET", "/jobs")["jobs"]

    def job(self, job_id):
        """The job document: state, position, fraction, stage, remaining_s, error, ..."""
        return self.connection.json("GET", "/jobs/" + job_id)

    def cancel(self, job_id):
        """Stop a job; it stays in the list as cancelled."""
        return self.connection.json("POST", f"/jobs/{job_id}/cancel")

    def delete(self, job_id):
        """Stop a job if need be and remove it with its files."""
        self.connection.open("DELETE", "/jobs/" + job_id).close()

    def report(self, job_id):
        """The report: {"verdict", "rows", "provenance"}."""
        return self.connection.json("GET", f"/jobs/{job_id}/report")

    def resubmit(self, job_id):
        """Queue an interrupted job again, with the volumes that the server kept."""
        return self.connection.json("POST", f"/jobs/{job_id}/resubmit")

    def result(self, job_id, key, path, *, file_format="nrrd", cancel=None):
        """Fetch one result into `path`; a part of a file never stays behind."""
        part = f"{path}.part"
        with self.connection.open(
            "GET", f"/jobs/{job_id}/results/{key}", params={"format": file_format}, stream=True
        ) as answer:
            try:
                with open(part, "wb") as out, self.connection.guarded():
                    for block in answer.iter_content(_BLOCK):
                        if cancel is not None and cancel():
                            raise errors.CancelledError()
                        out.write(block)
                os.replace(part, path)
            finally:
                if os.path.exists(part):
                    os.remove(part)
        return path

    def wait(self, job_id, *, progress=None, cancel=None, away=None, interval=0.15, patience=120.0):
        """Watch a job until it is final; returns its last document.

        Args:
            job_id: from `submit`.
            progress: called with the job document whenever it was asked for.
            cancel: polled; True cancels the job on the server.
            away: called whenever the server did not answer; it may be starting again.
            interval: seconds between two questions.
            patience: seconds without an answer after which the server is given up.

        Raises:
            errors.CancelledError: when it was cancelled, by `cancel` or by somebody else.
            errors.UnconfirmedError: when the server could not be told of `cancel`.
            errors.InterruptedJobError: when the server ended before the job did; it can be resubmitted.
            errors.RefusedError: when an input was refused.
            errors.ServerError: when the work failed.
        """
        answered = time.monotonic()
        while True:
            if cancel is not None and cancel():
                try:
                    self.cancel(job_id)
                except errors.AWAY as error:
                    raise errors.UnconfirmedError(got=error.what) from error
                raise errors.CancelledError()
            try:
                job = self.job(job_id)
            except errors.AWAY:
                if time.monotonic() - answered > patience:
                    raise
                if away is not None:
                    away()
            else:
                answered = time.monotonic()
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
