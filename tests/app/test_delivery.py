"""What the server keeps of a job's results in the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from monailabel_app import service as services
from monailabel_app.jobs.batch import Batch
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.work import Channel, Results
from monailabel_app.service import Options, Service
from monailabel_app.studies import stamp
from monailabel_app.study_folder import StudyFolder


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_an_image_that_goes_during_a_batch_gets_no_label_and_costs_no_other_study_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    studies = tmp_path / "studies"
    studies.mkdir()
    for name in "abc":
        (studies / f"{name}.nii").write_bytes(b"volume")
    store = StudyFolder(str(studies), extensions=["*.nii"])

    class Batches:
        """Does every study of a batch, and has the image ``a`` removed or replaced meanwhile."""

        device = "cpu"

        def start(self) -> None:
            """Nothing to start."""

        def stop(self) -> None:
            """Nothing to stop."""

        def status(self) -> dict[str, Any]:
            return {"device": self.device, "state": "idle", "pid": None}

        def run(self, job: Job, channel: Channel) -> Results:
            (job.folder / "results").mkdir(parents=True)
            for study in job.studies:
                (job.folder / "results" / f"{study.image}.nii").write_bytes(b"label")
                channel.study(replace(study, state="done", results={study.image: f"{study.image}.nii"}))
            store.remove_image("a")
            if how == "replaced":
                (tmp_path / "another.nii.gz").write_bytes(b"another")
                store.add_image("a", str(tmp_path / "another.nii.gz"), {})
            return Results({name: f"{name}.nii" for name in "abc"}, "pass")

    monkeypatch.setattr(services, "_executors", lambda options: [Batches()])
    service = Service(Options(studies=str(studies), folder=tmp_path / "data", models=(tmp_path / "models",)))
    service.start(SimpleNamespace(datastore=lambda: store))
    job_id, folder = service.place()
    paths = {name: studies / f"{name}.nii" for name in "abc"}
    work = Batch(
        model="m",
        images={name: str(path) for name, path in paths.items()},
        stamps={name: stamp(path) for name, path in paths.items()},
        tag="synthetic",
    )
    service.submit(Job(id=job_id, work=work, folder=folder))
    done = service.queue.wait(job_id, 20)
    service.close()
    assert done.state == "done"
    assert [study.state for study in done.studies] == ["failed", "done", "done"]
    assert done.studies[0].error is not None
    assert done.studies[0].error["code"] == "unknown-image"
    assert how in done.studies[0].error["title"]
    assert store.status()["label_tags"] == {"synthetic": 2}
