"""Command line of the client: progress as JSON lines, cancelled by a signal or by closing standard input."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading

from MedGANLib import actions, errors
from MedGANLib.access import DEFAULT_SERVER
from MedGANLib.client import Client
from MedGANLib.site import Site

SUFFIX = {"nrrd": ".nrrd", "nii": ".nii", "nii.gz": ".nii.gz"}
UNDER_WAY = ("queued", "running", "interrupted")
EXIT = {"cancelled": 130, "refused": 3, "failed": 4}


def parser():
    """The command line's options."""
    options = argparse.ArgumentParser(description="Run a model of a MedGAN server on volume files.")
    options.add_argument("--server", default=DEFAULT_SERVER)
    options.add_argument("--ca-file", default="", metavar="PEM", help="authority of the server's certificate")
    options.add_argument(
        "--token-stdin", action="store_true", help="the token is standard input's first line"
    )
    options.add_argument("--describe", action="store_true", help="say what the server is and has, and end")
    options.add_argument("--job", metavar="ID", help="take up this job again, in place of a new one")
    options.add_argument("--model")
    options.add_argument("--input", action="append", default=[], metavar="KEY=PATH")
    options.add_argument("--target")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--count", type=int, default=1, help="how many samples")
    options.add_argument("--settings", default="{}", metavar="JSON")
    options.add_argument("--format", choices=sorted(SUFFIX), default="nrrd", help="of the results")
    options.add_argument("--out", metavar="DIR")
    options.add_argument(
        "--stdin-cancels", action="store_true", help="cancel when standard input is closed (by a parent)"
    )
    actions.add_options(options)
    return options


def say(event, **fields):
    """One JSON line on standard output, at once."""
    sys.stdout.write(json.dumps(dict(fields, event=event)) + "\n")
    sys.stdout.flush()


def describe(client):
    """Say what the server is, which models and strategies it has, and whom it takes this client for."""
    who, health = client.who(), client.health()  # without a token that it knows, health alone says little
    say(
        "server",
        version=str(health["version"]),
        workers=health.get("workers", []),
        models=client.models(),
        strategies=Site(client.connection).strategies(),
        tunings=[job for job in client.jobs() if job.get("kind") == "tune" and job["state"] in UNDER_WAY],
        user=str(who.get("username") or ""),
        role=str(next(iter(who["roles"]), "")),
    )


def submit(client, options, cancelled):
    """Upload the inputs and queue a job; returns its id."""
    job = client.submit(
        options.model,
        dict(pair.split("=", 1) for pair in options.input),
        target=options.target,
        seed=options.seed,
        count=options.count,
        settings=json.loads(options.settings),
        progress=_every_percent(lambda fraction: say("upload", fraction=fraction)),
        cancel=cancelled,
    )
    return job["id"]


def run(client, options, cancelled):
    """Submit (or take up an earlier job), watch, fetch; then remove the job from the server.

    It is removed also when it failed or was cancelled. When the server went away, or does not let this client
    in any more, it stays, and `--job` takes it up again.

    Args:
        client: of the server.
        options: parsed command line.
        cancelled: function; True when the work must stop.

    Raises:
        errors.ClientError: whatever went wrong.
    """
    job_id = options.job or submit(client, options, cancelled)
    say("submitted", id=job_id)
    try:
        if options.job and client.job(job_id)["state"] == "interrupted":
            client.resubmit(job_id)
        collect(client, job_id, options, cancelled)
    except errors.KEPT as error:
        error.job = job_id
        raise
    except BaseException:
        _remove(client, job_id)
        raise
    _remove(client, job_id)


def collect(client, job_id, options, cancelled):
    """Watch a job and fetch its results and report."""
    job = client.wait(
        job_id,
        progress=lambda state: say("progress", job=state),
        cancel=cancelled,
        away=lambda: say("away"),
    )
    files = {}
    for key in job["results"]:
        path = os.path.join(options.out, key + SUFFIX[options.format])
        files[key] = client.result(job_id, key, path, file_format=options.format, cancel=cancelled)
    report = client.report(job_id)
    with open(os.path.join(options.out, "report.json"), "w", encoding="utf-8") as out:
        json.dump(report, out, indent=2)
    say("done", files=files, report=report)


def main(arguments=None):
    """Entry point; returns the exit status: 0 done, 2 usage, 3 refused, 4 failed, 130 cancelled."""
    options = parser().parse_args(arguments)
    action = actions.chosen(options)
    if wrong := _wrong(options, action):
        parser().error(wrong)
    token = sys.stdin.readline().strip() if options.token_stdin else ""
    stop = threading.Event()
    _stop_on_signals(stop)
    if options.stdin_cancels:
        threading.Thread(target=_stop_on_stdin, args=(stop,), daemon=True).start()
    try:
        if options.out:
            os.makedirs(options.out, exist_ok=True)
        client = Client(options.server, token=token, ca_file=options.ca_file)
        if options.describe:
            describe(client)
        elif action:
            action(client, options, say, stop.is_set)
        else:
            run(client, options, stop.is_set)
    except errors.ClientError as error:
        say("error", error=error.to_dict())
        kind = "refused" if isinstance(error, errors.RefusedError) else error.code
        return EXIT.get(kind, EXIT["failed"])
    except (OSError, ValueError, ImportError) as error:
        failure = errors.ClientError("The client failed", got=f"{type(error).__name__}: {error}")
        say("error", error=failure.to_dict())
        return EXIT["failed"]
    return 0


def _wrong(options, action):
    """What is missing or no JSON object among the options; empty when nothing is."""
    for name in ("settings", "about"):
        if not _is_object(getattr(options, name)):
            return f"--{name} is not a JSON object"
    if options.next and not options.out:
        return "--next needs --out"
    if options.label and not options.image:
        return "--label needs --image"
    if not (options.describe or action) and not ((options.job or options.model) and options.out):
        return "--model and --out are needed (or --job and --out, --describe, or another action)"
    return ""


def _is_object(text):
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _remove(client, job_id):
    with contextlib.suppress(errors.ClientError):  # the server removes it by itself after a while
        client.delete(job_id)


def _every_percent(call):
    last = [-1]

    def tell(fraction):
        percent = int(fraction * 100)
        if percent != last[0]:
            last[0] = percent
            call(fraction)

    return tell


def _stop_on_signals(stop):
    for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: stop.set())


def _stop_on_stdin(stop):
    try:
        while sys.stdin.readline():
            pass
    finally:
        stop.set()
