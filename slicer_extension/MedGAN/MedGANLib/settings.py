"""What Slicer's settings keep about servers: the last one, and a token and a CA file for each."""

from __future__ import annotations

import os
from urllib.parse import quote

import qt

from MedGANLib.access import DEFAULT_SERVER, Access, normalise

_LAST = "MedGAN/server"


def last():
    """The access to the server that answered last, or to the default one."""
    return load(str(qt.QSettings().value(_LAST) or DEFAULT_SERVER))


def load(server):
    """The access to a server as it was kept: a token is for the address it was typed for and no other."""
    settings, group = qt.QSettings(), _group(server)
    token, ca_file = (str(settings.value(f"{group}/{name}") or "") for name in ("token", "caFile"))
    return Access(normalise(server), token, ca_file)


def save(access):
    """Keep an access that worked; the settings' file is then readable by its owner alone."""
    settings, group = qt.QSettings(), _group(access.server)
    settings.setValue(_LAST, access.server)
    if access.token:
        _make_private(settings)  # before a token is in it
    for name, text in (("token", access.token), ("caFile", access.ca_file)):
        if text:
            settings.setValue(f"{group}/{name}", text)
        else:
            settings.remove(f"{group}/{name}")


def forget_token(server):
    """Remove a server's token."""
    qt.QSettings().remove(_group(server) + "/token")


def _make_private(settings):
    settings.sync()
    path = str(settings.fileName())
    if os.path.isfile(path):  # Windows and macOS keep settings elsewhere, for the user alone
        os.chmod(path, 0o600)


def _group(server):
    return "MedGAN/servers/" + quote(normalise(server), safe="")
