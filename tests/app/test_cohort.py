"""The report on all studies of a batch."""

from __future__ import annotations

import base64
import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from medgan_core.errors import InputError
from monailabel_app.jobs.batch import Batch
from monailabel_app.jobs.cohort import table
from monailabel_app.jobs.cohort_page import page
from monailabel_app.jobs.files import remove_half_done
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.work import Study, write_report
from monailabel_app.problems import problem
from tests.app.conftest import EXACT, Server

NASTY = "=<script>alert(1)</script>"


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def half_done(folder: Path) -> Job:
    """A batch of four: one done, one refused, one running, one that waits; ids and texts are nasty."""
    refused = problem(InputError(f"bad {NASTY}"))
    studies = (
        Study(image=NASTY, state="done", results={"001/T2": "001/T2.nii"}, verdict="pass", seconds=1.25),
        Study(image="b", state="failed", error=refused, seconds=0.5),
        Study(image="c", state="running"),
        Study(image="d"),
    )
    row = {"name": f"Voxel {NASTY}", "value": 1.5, "unit": "mm", "limit": "<6", "verdict": "pass"}
    write_report(folder / "results" / "001", {"verdict": "pass", "rows": [row]})
    (folder / "results" / "001" / "input-T1.png").write_bytes(b"first")
    (folder / "results" / "003").mkdir()
    (folder / "results" / "003" / "input-T1.png").write_bytes(b"half")
    work = Batch(model=f"m{NASTY}", images={study.image: "x" for study in studies})
    return Job(id="0" * 32, work=work, folder=folder, state="running", studies=studies)


class Page(HTMLParser):
    """Tags, and whether each is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[Any]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_table_has_a_line_for_each_study_whatever_its_state(tmp_path: Path) -> None:
    found = lines(table(half_done(tmp_path)))
    assert [line["image"] for line in found] == [f"'{NASTY}", "b", "c", "d"], "no formula for a spreadsheet"
    assert [line["state"] for line in found] == ["done", "failed", "running", "queued"]
    assert [line["seconds"] for line in found] == ["1.25", "0.5", "", ""]
    assert found[0][f"Voxel {NASTY} [mm]"] == "1.5"
    assert found[0][f"Voxel {NASTY} [mm]: verdict"] == "pass"
    assert found[1]["problem"] == f"bad {NASTY}"


def test_what_studies_left_outlasts_an_interruption(tmp_path: Path) -> None:
    job = half_done(tmp_path)
    write_report(tmp_path / "results" / "002", {"verdict": "fail", "rows": [{"name": "Field of view"}]})
    before = table(job)
    remove_half_done(job)
    assert table(job) == before
    assert "Field of view" in before
    assert not (tmp_path / "results" / "003").exists()


def test_the_page_runs_nothing_and_loads_nothing(tmp_path: Path) -> None:
    parsed = Page("".join(page(half_done(tmp_path))))
    assert parsed.open == []
    assert not {tag for tag, _ in parsed.seen} & {"script", "link", "iframe", "object"}
    pictures = [attributes["src"] for tag, attributes in parsed.seen if tag == "img"]
    assert pictures == ["data:image/png;base64," + base64.b64encode(b"first").decode()], "none half written"
    assert all(str(a["href"]).startswith("#") for tag, a in parsed.seen if tag == "a")


def test_a_batch_has_a_table_and_a_page(server: Server) -> None:
    params = {"input": "T1", "target": "T2", "settings": EXACT, "save_label": False}
    task = server.post("/batch/infer/toy-translate", json=params).json()
    early = server.get(f"/jobs/{task['id']}/cohort.csv")
    assert [line["image"] for line in lines(early.text)] == ["head", "packed"], "there from the first moment"
    job = server.wait(task["id"], timeout_s=240)
    assert job["state"] == "done", job
    answer = server.get(f"/jobs/{job['id']}/cohort.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    found = lines(answer.text)
    assert [line["state"] for line in found] == ["done", "done"]
    assert [float(line["seconds"]) for line in found] == [study["seconds"] for study in job["studies"]]
    own = server.get(f"/jobs/{job['id']}/report", params={"study": "head"}).json()
    for row in own["rows"]:
        title = f"{row['name']} [{row['unit']}]" if row["unit"] else row["name"]
        assert found[0][f"{title}: verdict"] == row["verdict"]
    answer = server.get(f"/jobs/{job['id']}/cohort.html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    parsed = Page(answer.text)
    pictures = [attributes for tag, attributes in parsed.seen if tag == "img"]
    assert [p["alt"] for p in pictures] == ["input T1", "result T2", "result trust"] * 2
    for picture in pictures:
        content = base64.b64decode(str(picture["src"]).removeprefix("data:image/png;base64,"))
        assert content.startswith(b"\x89PNG")
    assert str(server.studies) not in answer.text
    assert re.search(r"Time of all studies</td><td>\d+\.\d s", answer.text)


def test_only_a_batch_has_a_cohort(server: Server, volumes: dict[str, Path]) -> None:
    job = server.submit({"model": "toy-denoise", "settings": EXACT}, {"image": volumes["nii"]}).json()
    assert server.get(f"/jobs/{job['id']}/cohort.html").status_code == 404
    assert server.get("/jobs/nobody/cohort.csv").json()["code"] == "not-found"
    server.wait(job["id"])
