"""The panel's choices come from the cards alone."""

from __future__ import annotations

import pytest
from MedGANLib import cards, contrasts, errors, texts
from MedGANLib.access import Access

TRANSLATE = {
    "name": "m-translate",
    "task": "translate",
    "inputs": [{"key": "T1", "title": "T1"}, {"key": "FLAIR", "title": "FLAIR"}],
    "outputs": [{"key": "T1"}, {"key": "T2"}, {"key": "FLAIR"}, {"key": "trust", "kind": "trust"}],
}
NEW = {
    "name": "m-detect",
    "task": "find-lesions",
    "inputs": [{"key": "image", "required": True, "title": "Image"}, {"key": "prior"}],
    "outputs": [{"key": "map"}],
}


def test_tasks_appear_with_their_models_in_a_fixed_order():
    denoise = dict(NEW, name="m-denoise", task="denoise")
    gate = dict(NEW, name="m-gate", task="gate")
    assert list(cards.by_task([NEW, denoise, gate, TRANSLATE])) == ["translate", "denoise", "find-lesions"]
    assert cards.task_title("denoise") == "Denoise"
    assert cards.task_title("find-lesions") == "Find-lesions"


def test_targets_are_what_is_not_there_yet():
    assert [p["key"] for p in cards.offered(TRANSLATE, {"T1": 1})] == ["T2", "FLAIR"]
    assert [p["key"] for p in cards.offered(NEW, {"image": 1})] == ["map"]


def test_what_is_missing_is_said():
    assert cards.missing_inputs(TRANSLATE, {}) == "Choose an input volume."
    assert cards.missing_inputs(TRANSLATE, {"FLAIR": 1}) == ""
    assert "Image" in cards.missing_inputs(NEW, {"prior": 1})
    assert "at least 2" in cards.missing_inputs(dict(TRANSLATE, min_inputs=2), {"T1": 1})


def test_names_of_results_say_that_they_are_synthetic():
    assert cards.result_name(TRANSLATE, "T2", {"T1": "a", "FLAIR": "b"}) == "T2 (synthetic, from T1, FLAIR)"
    assert cards.result_name(dict(NEW, task="denoise"), "map", {"image": "scan"}) == "scan (denoised)"
    assert cards.result_name(dict(NEW, task="synthesize", inputs=[]), "map", {}) == "map (synthetic)"


def test_maps_are_outputs_of_their_own_that_are_laid_over_the_input():
    port = {"key": "anomaly", "title": "Anomaly map", "kind": "map"}
    detect = dict(NEW, task="detect", outputs=[port])
    assert cards.targets(detect) == [port]
    assert cards.is_overlay(port)
    assert not cards.is_overlay(TRANSLATE["outputs"][0])
    assert cards.map_name(port, {"FLAIR": "scan"}) == "scan: anomaly map"


PAIRS = {
    "name": "m-pairs",
    "task": "synthesize",
    "min_inputs": 0,
    "inputs": [{"key": "labels", "kind": "labels", "labels": [{"value": 1, "name": "Organ"}]}],
    "outputs": [{"key": "T1"}, {"key": "T2"}, {"key": "segmentation", "kind": "labels", "title": "Parts"}],
}


def test_what_can_be_asked_for_are_outputs_of_the_first_kind():
    assert [p["key"] for p in cards.targets(PAIRS)] == ["T1", "T2"]
    assert [p["key"] for p in cards.offered(PAIRS, {"T1": 1})] == ["T1", "T2"]
    suggest = dict(PAIRS, task="suggest", outputs=PAIRS["outputs"][::-1])
    assert [p["key"] for p in cards.targets(suggest)] == ["segmentation"]
    assert cards.targets({"outputs": []}) == []


def test_samples_from_nothing_need_no_input():
    assert cards.from_nothing(PAIRS)
    assert cards.draws_samples(PAIRS)
    assert cards.missing_inputs(PAIRS, {}) == ""
    assert not cards.from_nothing(dict(PAIRS, inputs=[dict(PAIRS["inputs"][0], required=True)]))
    assert not cards.from_nothing(TRANSLATE)
    assert cards.input_labels(PAIRS, "labels") == [{"value": 1, "name": "Organ"}]


def test_numbered_results_belong_to_their_output():
    assert cards.port(PAIRS, "segmentation-002")["title"] == "Parts"
    assert [cards.number(PAIRS, key) for key in ("T1", "T1-012", "segmentation-002")] == ["", "012", "002"]
    assert cards.companion_name("T1 (synthetic) 002", cards.port(PAIRS, "segmentation")) == (
        "T1 (synthetic) 002: parts"
    )


def test_label_inputs_are_known_by_their_kind():
    fill = dict(NEW, inputs=[{"key": "image"}, {"key": "mask", "kind": "labels"}])
    assert cards.label_inputs(fill) == ["mask"]
    assert cards.label_inputs(TRANSLATE) == []


@pytest.mark.parametrize(
    ("name", "contrast"),
    [
        ("sub-01_T1w", "T1"),
        ("MPRAGE sag", "T1"),
        ("t1_mprage_post_gad", "T1post"),
        ("T1ce", "T1post"),
        ("T1w+C", "T1post"),
        ("AX T2 FLAIR", "FLAIR"),
        ("t2_tse_tra", "T2"),
        ("T2* GRE", ""),
        ("swi", ""),
        ("PD TSE", "PD"),
        ("CBCT planning", "CT"),
        ("first2", ""),
        ("Volume", ""),
    ],
)
def test_contrast_from_a_name(name, contrast):
    assert contrasts.guess(name) == contrast


def test_contrast_from_the_first_text_that_tells():
    assert contrasts.guess("5: Volume", None, "t2_tse") == "T2"


def test_inputs_are_assigned_once():
    nodes = [("a", "T1"), ("b", "FLAIR"), ("c", "T1")]
    assert contrasts.assign(["T1", "T2", "FLAIR"], nodes) == {"T1": "a", "FLAIR": "b"}
    assert contrasts.assign(["image"], nodes) == {"image": "a"}
    assert contrasts.assign(["T2", "PD"], nodes) == {}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("unsuitable-input", errors.RefusedError),
        ("usage", errors.RefusedError),
        ("cancelled", errors.CancelledError),
        ("worker-died", errors.ServerError),
        ("unauthenticated", errors.UnauthenticatedError),
        ("forbidden", errors.ForbiddenError),
        ("busy", errors.BusyError),
        ("interrupted", errors.InterruptedJobError),
    ],
)
def test_problem_documents_become_typed_errors(code, kind):
    error = errors.from_problem(
        {"title": "It <b>broke", "code": code, "expected": "x", "got": "y", "action": "z"}
    )
    assert type(error) is kind
    assert (error.code, error.expected, error.got, error.action) == (code, "x", "y", "z")
    lines = texts.error_lines(error.to_dict())
    assert "It &lt;b&gt;broke." in lines
    assert "What to do: z" in lines


def test_an_error_says_that_the_job_can_be_resumed():
    error = {"what": "It ended", "action": "wait", "job": "7"}
    assert "What to do: wait" in texts.error_lines(error)
    assert "click Resume when it can be reached" in texts.error_lines(error)
    assert "What to do: click Resume" in texts.error_lines(dict(error, code="interrupted"))
    assert "Resume" not in texts.error_lines(dict(error, job=""))


def test_progress_is_told_with_the_time_that_is_left():
    job = {"state": "running", "fraction": 0.5, "stage": "network", "remaining_s": 12.2}
    share, text = texts.progress({"event": "progress", "job": job})
    assert 0.5 < share < 0.6
    assert text == "Network, about 12 s left"
    queued = dict(job, state="queued", fraction=0.0, position=3)
    assert texts.progress({"event": "progress", "job": queued})[1] == "Waiting: 2 before this one"
    assert [texts.remaining(s) for s in (None, 1.0, 200)] == ["", "almost done", "about 3 min left"]


def test_a_server_elsewhere_is_named_before_volumes_go_there():
    event = {"version": "0.1.0", "workers": [{"device": "cpu"}], "models": [TRANSLATE]}
    assert "sent to gpu.example.org" in texts.server_status(Access("https://gpu.example.org:8000"), event)
    assert "sent to" not in texts.server_status(Access("http://127.0.0.1:8000"), event)


def test_versions_are_listed_with_the_figures_of_the_version_before():
    figure = {"name": "Dice, Front", "value": 0.87654, "unit": "", "baseline": "1.0.0 0.8000"}
    versions = [
        {"version": "1.0.1", "default": True, "figures": [figure]},
        {"version": "1.0.0", "default": False, "figures": []},
    ]
    cells = [row for _version, row in texts.version_rows(versions)]
    assert cells == [("1.0.1 (in use)", "Dice, Front", "0.8765", "1.0.0 0.8000"), ("1.0.0", "", "", "")]
    report = {"rows": [{"name": "Version", "value": "1.0.1, <better>"}]}
    assert texts.tuned("m", report) == "m: Version 1.0.1, &lt;better&gt;"
