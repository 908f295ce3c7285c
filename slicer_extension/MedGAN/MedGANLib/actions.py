"""What the client script can do beside a run: the next case, a label, tuning, versions."""

from __future__ import annotations

import contextlib
import json
import threading

from MedGANLib import errors
from MedGANLib.site import Site, sum_of


def next_case(client, options, say, cancelled):
    """Fetch the image that a strategy chooses; an empty id says that all have a label."""
    site = Site(client.connection)
    image = _choose(client, site, options, say, cancelled)
    path = site.fetch_image(image, options.out, cancel=cancelled) if image else ""
    say("done", image=image, file=path, sha256=sum_of(path) if image else "")


def _choose(client, site, options, say, cancelled):
    """The strategy's choice; tells how far the model is that looks at the images for it.

    A job does not say who asked for it: the one that is new since the question and of the named model counts.

    Raises:
        errors.CancelledError: when cancelled; the model's look at the images is then cancelled, too.
    """
    before, answer = {job["id"] for job in _rankings(client, options.model)}, {}

    def ask():
        try:
            answer["image"] = site.next_image(options.next, model=options.model or "")
        except Exception as error:  # raised below, in the main thread
            answer["error"] = error

    asking = threading.Thread(target=ask, daemon=True)  # the server answers when the choice is made
    asking.start()
    asking.join(0.5)
    while asking.is_alive():
        ours = [job for job in _rankings(client, options.model) if job["id"] not in before][:1]
        for job in ours:
            say("progress", job=job)
        if cancelled():
            for job in ours:
                client.cancel(job["id"])
            raise errors.CancelledError()
        asking.join(0.5)
    if "error" in answer:
        raise answer["error"]
    return answer["image"]


def _rankings(client, model):
    """The jobs in which this model looks at the store's images, while the server answers."""
    with contextlib.suppress(*errors.AWAY):
        return [job for job in client.jobs() if job.get("kind") == "ranking" and job.get("model") == model]
    return []


def submit_label(client, options, say, cancelled):
    """Store a label map; its image first, where a file of it is given. Passes on what the server notes.

    Raises:
        errors.RefusedError: when another image has the name already, which is not replaced; when the server
            has not the image any more that the label was drawn on.
    """
    site = Site(client.connection)
    if options.image_file:
        _store_image(site, options, say, cancelled)
    elif options.image_sum and not site.holds(options.image, options.image_sum):
        raise errors.RefusedError(
            "The label was not sent: the server's store has not the image any more that it was drawn on",
            expected=f"{options.image} as it was when it was fetched",
            got="another image under this name, or none",
            action="fetch the case again with Next case and correct its segmentation there",
        )
    about = json.loads(options.about)
    answer = site.store_label(options.label, options.image, about=about, cancel=cancelled)
    say("done", image=options.image, note=str(answer.get("note") or ""))


def _store_image(site, options, say, cancelled):
    if site.has_image(options.image):
        raise errors.RefusedError(
            f"The server's store has a case {options.image} already",
            expected="a name that no stored case has",
            got=options.image,
            action="give the case another name and submit again",
        )
    site.store_image(options.image_file, options.image, cancel=cancelled)
    say("stored", image=options.image, sha256=sum_of(options.image_file))


def tune(client, options, say, cancelled):
    """Tune a model, or take up a tuning; tell how it goes, then its report and the versions there are.

    Raises:
        errors.ClientError: one of `errors.KEPT` names the job, which the server keeps.
    """
    site = Site(client.connection)
    job_id = options.job or site.tune(options.tune, json.loads(options.settings))
    say("submitted", id=job_id)
    try:
        if options.job and client.job(job_id)["state"] == "interrupted":
            client.resubmit(job_id)
        client.wait(
            job_id,
            progress=lambda state: say("progress", job=state),
            cancel=cancelled,
            away=lambda: say("away"),
            interval=0.5,
        )
        say("done", report=client.report(job_id), versions=site.versions(options.tune))
    except errors.KEPT as error:
        error.job = job_id
        raise


def versions(client, options, say, _cancelled):
    """The versions of a model; another one comes into use first, where one is named."""
    site = Site(client.connection)
    found = site.use(options.versions, options.use) if options.use else site.versions(options.versions)
    say("done", versions=found)


ACTIONS = {"next": next_case, "label": submit_label, "tune": tune, "versions": versions}
"""By the option that asks for them."""


def add_options(parser):
    """Their options."""
    parser.add_argument("--next", metavar="STRATEGY", help="fetch the next image to label into --out")
    parser.add_argument("--label", metavar="PATH", help="store a label map as the label of --image")
    parser.add_argument("--image", metavar="ID", help="id of an image of the server's store")
    parser.add_argument("--image-file", metavar="PATH", help="the image, stored first under this id")
    parser.add_argument(
        "--image-sum", metavar="SHA256", help="of the stored image: refuse the label of another"
    )
    parser.add_argument("--about", default="{}", metavar="JSON", help="noted beside the label")
    parser.add_argument("--tune", metavar="MODEL", help="tune a model on the server's studies")
    parser.add_argument("--versions", metavar="MODEL", help="list a model's versions")
    parser.add_argument("--use", metavar="VERSION", help="with --versions: use this one from now on")


def chosen(options):
    """The action that the options ask for, or None for a run."""
    return next((ACTIONS[name] for name in ACTIONS if getattr(options, name)), None)
