"""What a server has beside runs: its store of images and labels, and the versions of its models."""

from __future__ import annotations

import hashlib
import json
import os
import re
from urllib.parse import quote

from MedGANLib import errors
from MedGANLib.multipart import MultipartBody

FINAL = "final"
"""Tag of the labels that a person submitted, as MONAI Label calls it."""

_CHOOSING_S = 1800.0  # a strategy may have a model look at every image first
_SUFFIX = re.compile(r"(\.nii\.gz|\.nii|\.nrrd|\.mha)\"?$", re.IGNORECASE)
_BLOCK = 1 << 20


def sum_of(path):
    """SHA-256 of a file, as hexadecimal digits."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(_BLOCK), b""):
            found.update(block)
    return found.hexdigest()


class Site:
    """The store and the models of one server.

    Args:
        connection: to it, of a `Client`.
    """

    def __init__(self, connection):
        self._connection = connection

    # -- the store -------------------------------------------------------------------------------------------
    def strategies(self):
        """What can choose the image to label next: {name: description}."""
        found = self._connection.json("GET", "/info/")
        listed = found.get("strategies", {}) if isinstance(found, dict) else {}
        return {name: str(about.get("description", "")) for name, about in listed.items()}

    def next_image(self, strategy, *, model=""):
        """Id of the image to label next; empty when every image has a label.

        Args:
            strategy: one of `strategies`.
            model: that suggests segmentations, for strategies that ask one.
        """
        chosen = self._connection.json(
            "POST",
            "/activelearning/" + quote(strategy, safe=""),
            json={"model": model} if model else {},
            timeout=(10.0, _CHOOSING_S),
        )
        return str(chosen.get("id", ""))

    def has_image(self, image):
        """True when the store has an image of this id."""
        return bool(self._connection.json("GET", "/datastore/image/info", params={"image": image}))

    def holds(self, image, sha256):
        """True when the store has an image of this id whose file has this sum."""
        params = {"image": image, "check_sum": f"SHA256:{sha256}"}
        return self.has_image(image) and self._connection.there("/datastore/image", params=params)

    def fetch_image(self, image, folder, *, cancel=None):
        """Download a stored image into `folder`; returns the path, whose ending says the format.

        Raises:
            errors.CancelledError: when `cancel`, which is polled, says so.
            errors.ServerError: when it is stored in a format that this module does not read.
        """
        with (
            self._connection.open("GET", "/datastore/image", params={"image": image}, stream=True) as answer,
            self._connection.guarded(),
        ):
            found = _SUFFIX.search(answer.headers.get("Content-Disposition", "").strip())
            if found is None:
                raise errors.ServerError(
                    f"The image {image} cannot be opened here",
                    expected="a volume stored as .nii.gz, .nii, .nrrd or .mha",
                    got=answer.headers.get("Content-Disposition", "no name"),
                    action="store it again in one of these formats",
                )
            path = os.path.join(folder, "image" + found.group(1).lower())
            with open(path, "wb") as out:
                for block in answer.iter_content(_BLOCK):
                    if cancel is not None and cancel():
                        raise errors.CancelledError()
                    out.write(block)
        return path

    def store_image(self, path, image, *, cancel=None):
        """Store a volume file under an id; an image that has it is replaced. `cancel` stops the upload."""
        self._put("/datastore/image", "file", path, cancel=cancel, image=image)

    def store_label(self, path, image, *, about=None, tag=FINAL, cancel=None):
        """Store a label map as the label of a stored image; returns the server's answer.

        Its `note`, where there is one, says what is wrong with the label: it was stored nevertheless.

        Args:
            path: of the label map's file.
            image: id of the image.
            about: noted beside it: a JSON object.
            tag: of the label.
            cancel: polled; True stops the upload.
        """
        return self._put("/datastore/label", "label", path, about=about, cancel=cancel, image=image, tag=tag)

    # -- versions of models ----------------------------------------------------------------------------------
    def tune(self, model, settings=None):
        """Have a model tuned on the server's studies; returns the id of the job."""
        body = {"settings": dict(settings or {})}
        task = self._connection.json("POST", "/train/" + quote(model, safe=""), json=body)
        return task["id"]

    def versions(self, model):
        """The versions of a model, lowest first: version, default (it is in use), figures, ..."""
        return self._connection.json("GET", f"/models/{quote(model, safe='')}/versions")["versions"]

    def use(self, model, version):
        """Use a version from now on; returns `versions`."""
        answer = self._connection.json(
            "POST", f"/models/{quote(model, safe='')}/default", json={"version": version}
        )
        return answer["versions"]

    def _put(self, address, part, path, *, about=None, cancel=None, **params):
        texts = {"params": json.dumps(about or {})}
        body = MultipartBody(texts, {part: path}, cancel=cancel, stop=errors.CancelledError)
        try:
            return self._connection.json(
                "PUT", address, params=params, data=body, headers={"Content-Type": body.content_type}
            )
        finally:
            body.close()
