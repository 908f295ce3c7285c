"""What the client script can do beside a run: the next case, a label, tuning, versions."""

from __future__ import annotations

import json

from MedGANLib.site import Site


def next_case(client, options, say, _cancelled):
    """Fetch the image that a strategy chooses; an empty id says that all have a label."""
    site = Site(client.connection)
    image = site.next_image(options.next, model=options.model or "")
    path = site.fetch_image(image, options.out) if image else ""
    say("done", image=image, file=path)


def submit_label(client, options, say, _cancelled):
    """Store a label map; its image first, where a file of it is given."""
    site = Site(client.connection)
    if options.image_file:
        site.store_image(options.image_file, options.image)
    site.store_label(options.label, options.image, about=json.loads(options.about))
    say("done", image=options.image)


def tune(client, options, say, cancelled):
    """Tune a model, tell how it goes, and give the report and the versions there are then."""
    site = Site(client.connection)
    job_id = site.tune(options.tune, json.loads(options.settings))
    say("submitted", id=job_id)
    client.wait(
        job_id,
        progress=lambda state: say("progress", job=state),
        cancel=cancelled,
        away=lambda: say("away"),
        interval=0.5,
    )
    say("done", report=client.report(job_id), versions=site.versions(options.tune))


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
    parser.add_argument("--about", default="{}", metavar="JSON", help="noted beside the label")
    parser.add_argument("--tune", metavar="MODEL", help="tune a model on the server's studies")
    parser.add_argument("--versions", metavar="MODEL", help="list a model's versions")
    parser.add_argument("--use", metavar="VERSION", help="with --versions: use this one from now on")


def chosen(options):
    """The action that the options ask for, or None for a run."""
    return next((ACTIONS[name] for name in ACTIONS if getattr(options, name)), None)
