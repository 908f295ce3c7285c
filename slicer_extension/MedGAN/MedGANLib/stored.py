"""Images of a server's store as volume nodes: which one a node is, and the grid of its file. No Qt."""

from __future__ import annotations

import json
import re
import uuid

from MedGANLib.grids import ijk_to_ras, is_left_handed, turn_slices

STORED = "MedGAN.StoredImage"
"""Attribute of a volume node: its id in the server's store; with it `STORED_AT`, the server's address."""
STORED_AT = "MedGAN.StoredAt"
STORED_SUM = "MedGAN.StoredSum"
"""Attribute of the same node: SHA-256 of the stored file; another image may come under the same id."""
STORED_GRID = "MedGAN.StoredGrid"
"""Attribute of a fetched volume node: the matrix of its file (JSON), which may be left-handed."""

_LONGEST = 100


def note(node, name, sha256, access):
    """Note that a volume is the image of a server's store whose file has this sum."""
    node.SetAttribute(STORED, name)
    node.SetAttribute(STORED_AT, access.server)
    node.SetAttribute(STORED_SUM, sha256)


def name_of(node, access):
    """The id of a volume in this server's store, or an empty string; without a sum it may be any image's."""
    here = access is not None and node.GetAttribute(STORED_AT) == access.server and sum_of(node)
    return (node.GetAttribute(STORED) or "") if here else ""


def sum_of(node):
    """SHA-256 of the file that a volume is in a store, or an empty string."""
    return node.GetAttribute(STORED_SUM) or ""


def find(logic, name, sha256, access):
    """The volume node of a stored image whose file has this sum, or None."""
    return next(
        (node for node in logic.volumes() if name_of(node, access) == name and sum_of(node) == sha256), None
    )


def load(logic, path, name, sha256, access):
    """A fetched image as a volume node: the one of the same file that is there already, or a new one.

    The new one is right-handed, as Slicer makes volumes when it reads them.

    Args:
        logic: the `SceneLogic`.
        path: of the file.
        name: of the image in the store.
        sha256: of the file.
        access: to the server.
    """
    node = find(logic, name, sha256, access)
    if node is not None:
        return node
    node = logic.load(path, name, None, as_stored=True)
    node.SetAttribute(STORED_GRID, json.dumps(ijk_to_ras(node)))
    if is_left_handed(node):
        turn_slices(node)
    note(node, name, sha256, access)
    return node


def new_name(node):
    """A name for a case that is not stored yet: the volume's, without what a name cannot hold.

    A volume's name that looks like a patient's in DICOM (``Doe^Jane``) is not used.
    """
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", node.GetName()).strip("._-")[:_LONGEST]
    return "case-" + uuid.uuid4().hex[:8] if "^" in node.GetName() or not name else name


def is_name(text):
    """True when a case can have this name."""
    return len(text) <= _LONGEST and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text) is not None


def grid_of(node):
    """The matrix of the file that a volume was fetched as, or None."""
    return json.loads(node.GetAttribute(STORED_GRID) or "null")
