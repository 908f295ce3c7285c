"""What the client script does beside a run, with a server that a test plays."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from MedGANLib import actions, errors


def ranking(job, model):
    return {"id": job, "kind": "ranking", "model": model}


class Server:
    """A client whose server has a model look at the images until it is cancelled."""

    def __init__(self):
        self.connection, self.asked = self, threading.Event()
        self.cancelled = threading.Event()
        self.listed = [ranking("another's", "parts"), {"id": "run", "kind": "run", "model": "parts"}]

    def json(self, method, path, **_options):
        assert (method, path) == ("POST", "/activelearning/epistemic")
        self.listed += [ranking("later, another's", "lesions"), ranking("ours", "parts")]
        assert self.cancelled.wait(20)
        raise errors.ServerError("cancelled")

    def jobs(self):
        return list(self.listed)

    def cancel(self, job_id):
        assert job_id == "ours"
        self.cancelled.set()


def test_cancelling_the_next_case_cancels_the_look_at_the_images_and_nothing_else():
    told = []
    options = SimpleNamespace(next="epistemic", model="parts", out="")
    server = Server()
    with pytest.raises(errors.CancelledError):
        actions.next_case(server, options, lambda event, **more: told.append((event, more)), lambda: told)
    assert told == [("progress", {"job": ranking("ours", "parts")})]
    assert server.cancelled.is_set()


def test_an_error_of_the_strategy_is_that_of_the_script():
    server = Server()
    server.cancelled.set()
    options = SimpleNamespace(next="epistemic", model="", out="")
    with pytest.raises(errors.ServerError):
        actions.next_case(server, options, None, lambda: False)


@pytest.mark.parametrize("error", [errors.NoAnswerError("gone"), errors.UnconfirmedError()])
def test_a_tuning_that_the_server_keeps_is_named_in_the_error(error):
    class Away:
        connection = SimpleNamespace(json=lambda *_unused, **_options: {"id": "j1"})

        def wait(self, *_unused, **_options):
            raise error

    options = SimpleNamespace(tune="parts", settings="{}", job=None)
    with pytest.raises(type(error)) as caught:
        actions.tune(Away(), options, lambda *_unused, **_more: None, lambda: False)
    assert caught.value.job == "j1"


def test_a_stored_image_is_not_replaced(tmp_path):
    site = SimpleNamespace(json=lambda method, *_unused, **_options: {"ts": 1} if method == "GET" else 1 / 0)
    options = SimpleNamespace(image="c0", image_file=str(tmp_path / "x"), label="", about="{}")
    with pytest.raises(errors.RefusedError, match="has a case c0 already"):
        actions.submit_label(SimpleNamespace(connection=site), options, None, lambda: False)


def test_what_the_server_notes_about_a_label_is_passed_on(tmp_path):
    label = tmp_path / "label.nrrd"
    label.write_bytes(b"label")
    site = SimpleNamespace(json=lambda *_unused, **_options: {"label": "c0", "note": "It lies elsewhere."})
    options = SimpleNamespace(image="c0", image_file=None, image_sum="", label=str(label), about="{}")
    told = []
    actions.submit_label(SimpleNamespace(connection=site), options, lambda *_u, **f: told.append(f), None)
    assert told == [{"image": "c0", "note": "It lies elsewhere."}]
