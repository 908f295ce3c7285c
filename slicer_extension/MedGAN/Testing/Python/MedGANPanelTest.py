"""Tests for inside of Slicer, without a server: the panel opens, says what is missing, and lets go."""

import time
import unittest

import slicer


class MedGANPanelTest(unittest.TestCase):
    def setUp(self):
        slicer.mrmlScene.Clear()
        slicer.util.selectModule("MedGAN")
        self.widget = slicer.modules.MedGANWidget

    def tearDown(self):
        slicer.mrmlScene.Clear()

    def test_run_waits_for_a_server(self):
        assert not self.widget.ui.runButton.isEnabled()

    def test_an_address_without_a_server_says_so(self):
        self.widget.ui.serverEdit.setText("http://127.0.0.1:9")
        self.widget.ui.connectButton.click()
        end = time.monotonic() + 20
        while self.widget.server.is_connecting and time.monotonic() < end:
            slicer.app.processEvents()
            time.sleep(0.05)
        assert "No server answers" in self.widget.ui.serverStatus.property("text")

    def test_closing_the_scene_clears_the_result(self):
        slicer.mrmlScene.Clear()
        assert not self.widget.ui.resultSection.isVisible()


if __name__ == "__main__":
    unittest.main()
