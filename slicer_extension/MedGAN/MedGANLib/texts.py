"""Sentences of the panel that depend on what came from the server. No Qt."""

from __future__ import annotations

from html import escape

from slicer.i18n import tr as _

from MedGANLib.access import host_of, is_loopback

GREEN, ORANGE, RED, GREY = "#2f9e58", "#d98a1f", "#d64541", "#8a8f98"
VERDICT_COLORS = {"pass": GREEN, "caution": ORANGE, "fail": RED, "not assessed": GREY}
_UPLOAD_SHARE = 0.08


def marked(color, text):
    """Rich text with a coloured dot before it."""
    return f'<span style="color:{color}">&#9679;</span> {text}'


def server_status(access, event, lack=""):
    """Rich text for a server that answered.

    Args:
        access: to the server.
        event: `server` of the client script.
        lack: why nothing can be run there; empty when it can.
    """
    count = len(event.get("models", []))
    named = {str(worker.get("device") or "auto") for worker in event.get("workers", [])}
    devices = ", ".join(sorted(named - {"auto"}))  # a worker that is still starting does not know yet
    parts = [_("Connected: MedGAN {version}").format(version=escape(str(event.get("version", "?"))))]
    if devices:
        parts.append(escape(devices.upper()))
    parts.append(_("{count} models").format(count=count) if count != 1 else _("1 model"))
    if access.token:
        who = _("signed in as {name} ({role})")
        parts.append(escape(who.format(name=event.get("user", "?"), role=event.get("role", "?"))))
    text = marked(GREEN if count and not lack else ORANGE, ", ".join(parts))
    if not count:
        text += "<br/>" + _("The server has no model that this module can use.")
    if lack:
        text += "<br/>" + escape(lack)
    elif not is_loopback(access.server):
        host = escape(host_of(access.server))
        text += "<br/>" + _("Volumes that you run are sent to {host}.").format(host=host)
    return text


def error_lines(error):
    """Rich text for an error: what happened in bold, then what was expected, what came, what to do.

    A job that the server keeps can be resumed: at once when the server has ended and is back, else when what
    the error says was done.
    """
    kept = bool(error.get("job"))
    if kept and error.get("code") == "interrupted":
        error = dict(error, action=_("click Resume; no volume is sent again"))
        kept = False
    lines = ["<b>{}</b>".format(escape(str(error.get("what") or _("Something failed")).rstrip(".") + "."))]
    labels = (("expected", _("Expected")), ("got", _("Got")), ("action", _("What to do")))
    for key, label in labels:
        if error.get(key):
            lines.append(f"{label}: {escape(str(error[key]))}")
    if kept:
        lines.append(_("The server keeps the job and its volumes: click Resume when it can be reached."))
    return "<br/>".join(lines)


def progress(event):
    """(share in [0, 1] or None when it is not known, text) for an event of a running client."""
    if event["event"] == "upload":
        return _UPLOAD_SHARE * event["fraction"], _("Sending the volumes")
    if event["event"] == "submitted":
        return _UPLOAD_SHARE, _("Waiting for the server")
    if event["event"] == "away":
        return None, _("The server does not answer; waiting for it to come back")
    job = event["job"]
    share = _UPLOAD_SHARE + (1.0 - _UPLOAD_SHARE) * float(job.get("fraction") or 0.0)
    if job["state"] == "queued":
        place = job.get("position") or 1
        if place > 1:
            return share, _("Waiting: {count} before this one").format(count=place - 1)
        return share, _("Waiting: next in line")
    if job["state"] == "done":
        return 1.0, _("Fetching the result")
    if job["state"] != "running":
        return share, _("Ending")
    stage = str(job.get("stage") or _("Working")).capitalize()
    return share, ", ".join(part for part in (stage, remaining(job.get("remaining_s"))) if part)


def remaining(seconds):
    """Remaining time for a person; empty when it is not known."""
    if seconds is None:
        return ""
    if seconds < 1.5:
        return _("almost done")
    if seconds < 90:
        return _("about {count} s left").format(count=round(seconds))
    return _("about {count} min left").format(count=round(seconds / 60))


def verdict(name, report):
    """Rich text that heads a result: its name and the report's verdict."""
    words = {
        "pass": _("all checks passed"),
        "caution": _("look at the cautions below"),
        "fail": _("a check failed: do not rely on this result"),
        "not assessed": _("not assessed"),
    }
    found = report.get("verdict", "not assessed")
    color = VERDICT_COLORS.get(found, GREY)
    return f"<b>{escape(name)}</b><br/>" + marked(color, words.get(found, escape(str(found))))


def tuned(model, report):
    """Rich text for a tuning that ended: its first row says which version came of it."""
    row = next(iter(report.get("rows", [])), {})
    return escape("{}: {} {}".format(model, row.get("name", _("Version")), row.get("value", "?")))


def submitted(name, note):
    """Rich text for a label that was stored, with what the server noted about it."""
    said = _("Stored as the final label of {name}.").format(name=name)
    if note:
        return "{}<br/>{}".format(marked(ORANGE, escape(said)), escape(note))
    return marked(GREEN, escape(said))


def version_rows(versions):
    """(version, cells) for a table: version, figure, its value, that of the version before."""
    rows = []
    for version in versions:
        name = version["version"] + (_(" (in use)") if version["default"] else "")
        for figure in version["figures"] or [{}]:
            value = "{:.4g} {}".format(figure["value"], figure.get("unit", "")).strip() if figure else ""
            rows.append(
                (version, (name, str(figure.get("name", "")), value, str(figure.get("baseline", ""))))
            )
    return rows
