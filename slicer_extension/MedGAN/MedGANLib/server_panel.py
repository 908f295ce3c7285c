"""The panel's part that finds a server: address, token, CA file, Connect, and what is wrong, if anything."""

from __future__ import annotations

from slicer.i18n import tr as _

from MedGANLib import settings, texts
from MedGANLib.access import DEFAULT_SERVER, Access, is_encrypted, is_loopback, normalise
from MedGANLib.process import ClientProcess

_LOOKS_ONLY = "read"  # the one role of a server that may not run


class ServerPanel:
    """Owns the server section.

    Args:
        ui: the widgets of MedGAN.ui.
        on_cards: called with the cards of a server that answered, or with an empty list.
        on_strategies: called with what can choose the next case there: {name: description}.
        on_tunings: called with the access and the tunings that are under way there, as job documents.
        start: makes the client process; a test may give another one.
    """

    def __init__(self, ui, *, on_cards, on_strategies, on_tunings, start=ClientProcess):
        self._ui, self._start = ui, start
        self._on_cards, self._on_strategies, self._on_tunings = on_cards, on_strategies, on_tunings
        self._process, self._role = None, ""
        self.access = None
        kept = settings.last()
        ui.serverEdit.setText(kept.server)
        self._show(kept)
        ui.serverStatus.setText(texts.marked(texts.GREY, _("Not connected")))
        ui.connectButton.clicked.connect(self.connect)
        for edit in (ui.serverEdit, ui.tokenEdit):
            edit.returnPressed.connect(self.connect)
        ui.serverEdit.textEdited.connect(self._address_edited)
        ui.tokenEdit.textEdited.connect(self._token_edited)
        ui.caFileEdit.currentPathChanged.connect(self._edited)

    @property
    def is_connecting(self):
        """True while a server is being asked."""
        return self._process is not None and self._process.is_running

    def missing(self):
        """What a run lacks of a server, for a person; empty when it lacks nothing."""
        if self.access is None:
            return _("Connect to a server.")
        if self._role == _LOOKS_ONLY:
            return _(
                "This token may look at models but not run them. Ask the administrator for the role run."
            )
        return ""

    def connect_if_local(self):
        """Ask a server on this computer, which needs nobody's consent; others wait for Connect."""
        if self.access is None and not self.is_connecting and is_loopback(self._address()):
            self.connect()

    def connect(self, *_unused):
        """Ask the server under the address what it has."""
        self.stop()
        self._lose()
        token = str(self._ui.tokenEdit.property("text")).strip()
        address, ca_file = self._address(), str(self._ui.caFileEdit.property("currentPath") or "").strip()
        access = Access(address, token, ca_file if is_encrypted(address) else "")
        self._ui.serverStatus.setText(texts.marked(texts.GREY, _("Connecting...")))
        self._ask(access)

    def refresh(self):
        """Ask the same server again what it has; what was chosen stays."""
        if self.access is not None and not self.is_connecting:
            self._ask(self.access)

    def stop(self, *, wait=False):
        """End a connection attempt; the module that goes away waits for that."""
        process, self._process = self._process, None
        if process is not None and process.is_running:
            process.leave()
            if wait:
                process.wait()

    def _ask(self, access):
        self._process = self._start(
            [*access.arguments(), "--describe"],
            token=access.token,
            on_event=lambda event: None,
            on_end=lambda event: self._answered(access, event),
        )

    def _answered(self, access, event):
        if event["event"] != "server":
            self._ui.serverStatus.setText(texts.marked(texts.RED, texts.error_lines(event["error"])))
            return
        self.access, self._role, self._is_kept = access, event["role"], True
        settings.save(access)
        lack = self.missing()
        self._ui.serverStatus.setText(texts.server_status(access, event, lack))
        self._on_strategies(event["strategies"])
        self._on_cards(event["models"])
        self._on_tunings(access, event["tunings"])

    def _address_edited(self, *_unused):
        """A token that is kept for one address is not sent to another; one just typed stays."""
        kept = settings.load(self._address())
        if self._is_kept or kept.token or kept.ca_file:
            self._show(kept)
        self._ui.caBox.setVisible(is_encrypted(self._address()))
        self._edited()

    def _token_edited(self, text):
        self._is_kept = False
        if not text:
            settings.forget_token(self._address())
        self._edited()

    def _edited(self, *_unused):
        if self.access is not None:
            self._lose()
            self._ui.serverStatus.setText(texts.marked(texts.GREY, _("Not connected")))

    def _show(self, access):
        self._ui.tokenEdit.setText(access.token)
        self._ui.caFileEdit.setCurrentPath(access.ca_file)
        self._ui.caBox.setVisible(is_encrypted(access.server))
        self._is_kept = True

    def _lose(self):
        if self.access is not None:
            self.access = None
            self._on_strategies({})
            self._on_cards([])

    def _address(self):
        return normalise(str(self._ui.serverEdit.property("text"))) or DEFAULT_SERVER
