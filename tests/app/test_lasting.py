"""Jobs through restarts of a real server, ended politely and killed."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from tests.app.conftest import EXACT, Server, serve, start, stop

QUICK = {"model": "toy-denoise", "settings": EXACT}
SLOW = {"model": "slow-denoise", "settings": EXACT}


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_finished_jobs_stay_and_interrupted_ones_go_on(
    tmp_path: Path, models: Path, volumes: dict[str, Path], kill: bool
) -> None:
    server = start(tmp_path, models, serve(tmp_path), "/health", volumes)
    try:
        done = server.wait(server.submit(QUICK, {"image": volumes["nii"]}).json()["id"])
        volume = server.get(f"/jobs/{done['id']}/results/image").content
        report = server.get(f"/jobs/{done['id']}/report").json()
        running = server.submit(SLOW, {"image": volumes["large"]}).json()["id"]
        server.wait(running, "running")
        waiting = server.submit(QUICK, {"image": volumes["nii"]}).json()["id"]
        # An upload that is cut off by the end of the server.
        (server.data / "jobs" / ("0" * 32) / "inputs").mkdir(parents=True)
    finally:
        if kill:
            server.process.kill()
            server.process.wait(10)
        else:
            assert stop(server) == 0
    server = start(tmp_path, models, serve(tmp_path), "/health", volumes)
    try:
        assert server.job(done["id"]) == done
        assert server.get(f"/jobs/{done['id']}/results/image").content == volume
        assert server.get(f"/jobs/{done['id']}/report").json() == report
        assert [server.job(job)["state"] for job in (running, waiting)] == ["interrupted", "interrupted"]
        assert sorted(path.name for path in (server.data / "jobs").iterdir()) == sorted(
            [done["id"], running, waiting]
        )
        again = server.post(f"/jobs/{waiting}/resubmit")
        assert (again.status_code, again.json()["id"]) == (202, waiting)
        assert server.wait(waiting)["state"] == "done"
        assert server.get(f"/jobs/{waiting}/results/image").content[-1000:] == volume[-1000:]
        refused = server.post(f"/jobs/{waiting}/resubmit")
        assert (refused.status_code, refused.json()["code"]) == (409, "wrong-state")
        for job in (done["id"], running, waiting):
            assert server.delete(f"/jobs/{job}").status_code == 204
        assert server.settled() == []
    finally:
        stop(server)


def test_a_second_server_does_not_touch_the_first_ones_jobs(
    server: Server, tmp_path: Path, models: Path, volumes: dict[str, Path]
) -> None:
    with pytest.raises(AssertionError, match="another server uses it"):
        start(tmp_path, models, serve(server.data.parent), "/health", volumes)
    assert server.get("/health").status_code == 200


def test_a_submit_that_cannot_fit_is_refused(tmp_path: Path, models: Path, volumes: dict[str, Path]) -> None:
    small = start(tmp_path, models, [*serve(tmp_path), "--quota-gb", "0.0001"], "/health", volumes)
    try:
        answer = small.submit(QUICK, {"image": volumes["nii"]})
        assert (answer.status_code, answer.json()["code"]) == (507, "storage-full")
        assert small.settled() == []
        stored = requests.post(
            f"{small.url}/jobs", files={"request": (None, '{"model": "nobody"}')}, timeout=30
        )
        assert stored.status_code == 404, "a small request is still answered"
    finally:
        stop(small)
