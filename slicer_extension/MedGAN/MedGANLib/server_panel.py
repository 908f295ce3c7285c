"""The panel's part that finds a server: address, Connect, a status that says what is wrong."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from MedGANLib import texts
from MedGANLib.client import DEFAULT_SERVER, is_loopback, normalise
from MedGANLib.process import ClientProcess

_SETTING = "MedGAN/server"


class ServerPanel:
    """Owns the server section.

    Args:
        ui: the widgets of MedGAN.ui.
        on_cards: called with the cards of a server that answered, or with an empty list.
        start: makes the client process; a test may give another one.
    """

    def __init__(self, ui, *, on_cards, start=ClientProcess):
        self._ui, self._on_cards, self._start = ui, on_cards, start
        self._process = None
        self.server = ""
        ui.serverEdit.setText(str(qt.QSettings().value(_SETTING) or DEFAULT_SERVER))
        ui.serverStatus.setText(texts.marked(texts.GREY, _("Not connected")))
        ui.connectButton.clicked.connect(self.connect)
        ui.serverEdit.returnPressed.connect(self.connect)
        ui.serverEdit.textEdited.connect(self._edited)

    @property
    def is_connecting(self):
        """True while a server is being asked."""
        return self._process is not None and self._process.is_running

    def connect_if_local(self):
        """Ask a server on this computer, which needs nobody's consent; others wait for Connect."""
        if not self.server and not self.is_connecting and is_loopback(self._address()):
            self.connect()

    def connect(self, *_unused):
        """Ask the server under the address what it has."""
        if self.is_connecting:
            self._process.stop()
        self._lose()
        address = self._address()
        self._ui.serverStatus.setText(texts.marked(texts.GREY, _("Connecting...")))
        self._process = self._start(
            ["--server", address, "--describe"],
            on_event=lambda event: None,
            on_end=lambda event: self._answered(address, event),
        )

    def stop(self):
        """End a connection attempt."""
        if self._process is not None:
            self._process.stop()

    def _answered(self, address, event):
        if event["event"] != "server":
            self._ui.serverStatus.setText(texts.marked(texts.RED, texts.error_lines(event["error"])))
            return
        self.server = address
        qt.QSettings().setValue(_SETTING, address)
        self._ui.serverStatus.setText(texts.server_status(address, event))
        self._on_cards(event["models"])

    def _edited(self, *_unused):
        if self.server:
            self._lose()
            self._ui.serverStatus.setText(texts.marked(texts.GREY, _("Not connected")))

    def _lose(self):
        if self.server:
            self.server = ""
            self._on_cards([])

    def _address(self):
        return normalise(str(self._ui.serverEdit.property("text"))) or DEFAULT_SERVER
