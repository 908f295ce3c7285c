"""What the demo does, step by step."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from demo_labels import SEED, suggest, synthesize
from demo_pictures import denoising_picture, translation_picture
from demo_volumes import bodies, psnr, rician, template, voxels
from headless import HeadlessScene
from local_server import running_server
from MedGANLib import cards, errors
from MedGANLib.client import Client
from MedGANLib.logic import SceneLogic
from MedGANLib.results import Request, Results, load_results
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

NOISE = 0.09


@dataclass
class Demo:
    """One server, one scene, one folder; `rows` is what was done: (what, outcome, seconds)."""

    client: Client
    console: Console
    folder: Path
    scene: HeadlessScene = field(default_factory=HeadlessScene)
    rows: list[tuple[str, str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.logic = SceneLogic(self.scene.scene)
        self.cards = cards.by_task(self.client.models())

    def card(self, task: str) -> dict[str, Any]:
        """The first model of the server for a task."""
        if task not in self.cards:
            raise errors.RefusedError(f"The server has no model for the task {task}", action="train one")
        return self.cards[task][0]

    def run(self, title: str, request: Request, *, stem: str, cancel_running: bool = False) -> Results:
        """Export, upload, watch, fetch, load: what the module does on Run.

        Raises:
            errors.ClientError: refused, cancelled, or failed.
        """
        columns = (
            TextColumn("{task.description:<44}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[stage]}"),
        )
        with Progress(*columns, console=self.console) as bar, tempfile.TemporaryDirectory() as folder:
            line = bar.add_task(title, total=1.0, stage="sending")
            seen: list[str] = []

            def show(job: dict[str, Any]) -> None:
                seen.append(job["state"])
                left = job["remaining_s"]
                rest = f", about {left:.0f} s left" if left is not None and job["state"] == "running" else ""
                bar.update(line, completed=job["fraction"], stage=(job["stage"] or job["state"]) + rest)

            def cancelled() -> bool:
                return cancel_running and "running" in seen

            files = {
                key: self.logic.export(node, folder, key, reference=request.beside(key))
                for key, node in request.inputs.items()
            }
            job = self.client.submit(
                request.card["name"],
                files,
                target=request.target,
                seed=request.seed,
                count=request.count,
                settings=request.settings,
            )
            try:
                job = self.client.wait(job["id"], progress=show, cancel=cancelled, interval=0.05)
                return self._fetch(job, request, stem)
            finally:
                self.client.delete(job["id"])

    def _fetch(self, job: dict[str, Any], request: Request, stem: str) -> Results:
        files = {
            key: str(self.folder / f"{stem}{'' if key == request.target else '-' + key}.nii.gz")
            for key in job["results"]
        }
        for key, path in files.items():
            self.client.result(job["id"], key, path, file_format="nii.gz")
        report = self.client.report(job["id"])
        text = json.dumps(report, indent=2, ensure_ascii=False)
        (self.folder / f"{stem}-report.json").write_text(text + "\n", encoding="utf-8")
        return load_results(self.logic, request, files, report)

    def timed(self, what: str, outcome: str, start: float) -> None:
        """Add a row to the table of what was done."""
        self.rows.append((what, outcome, time.monotonic() - start))

    def translate(self, source: Any, target: str) -> None:
        """T1 to another contrast, with a picture."""
        start, card = time.monotonic(), self.card("translate")
        request = Request(self.client.server, card, {"T1": source}, target, SEED, {})
        results = self.run(f"Translate T1 to {target}", request, stem=target)
        self.timed(f"Translate T1 to {target}", "report: " + str(results.report.get("verdict")), start)
        translation_picture(self.scene, results, target, self.folder / f"{target}.png")

    def denoise(self, clean: Any) -> None:
        """A copy with Rician noise, denoised, with a picture of all of them and the PSNR before and after."""
        start, card = time.monotonic(), self.card("denoise")
        truth = voxels(clean)
        noisy = self.add(rician(truth, NOISE, SEED), clean, f"{clean.GetName()}, {NOISE:.0%} Rician noise")
        self.scene.save_volume(noisy, self.folder / "noisy.nii.gz")
        key = cards.inputs(card)[0]["key"]
        target = cards.targets(card)[0]["key"]
        request = Request(self.client.server, card, {key: noisy}, target, SEED, {})
        results = self.run(f"Denoise ({NOISE:.0%} Rician noise)", request, stem="denoised")
        before, after = (psnr(voxels(node), truth) for node in (noisy, results.image))
        self.timed(
            f"Denoise ({NOISE:.0%} Rician noise)",
            f"PSNR {before:.1f} dB before, {after:.1f} dB after; report: {results.report.get('verdict')}",
            start,
        )
        difference = self.add(voxels(results.image) - truth, clean, "Denoised minus clean")
        denoising_picture(self.scene, clean, results, difference, self.folder / "denoised.png")

    def refuse(self, like: Any) -> None:
        """A volume of geometric bodies is no brain; the model has to say so."""
        start = time.monotonic()
        phantom = self.add(bodies(voxels(like).shape), like, "Geometric bodies")
        request = Request(self.client.server, self.card("translate"), {"T1": phantom}, "T2", SEED, {})
        try:
            results = self.run("Translate a volume that is no brain", request, stem="no-brain")
        except errors.RefusedError as error:
            self.timed("Translate a volume that is no brain", f"refused: {error}", start)
        else:
            verdict = results.report.get("verdict")
            self.timed("Translate a volume that is no brain", f"NOT refused, report: {verdict}", start)

    def cancel(self, source: Any) -> None:
        """Start a job and stop it while it runs."""
        start = time.monotonic()
        request = Request(self.client.server, self.card("translate"), {"T1": source}, "T2", SEED, {})
        try:
            self.run("Cancel a running job", request, stem="cancelled", cancel_running=True)
        except errors.CancelledError:
            self.timed("Cancel a running job", "cancelled, nothing left behind", start)
        else:
            self.timed("Cancel a running job", "NOT cancelled", start)

    def add(self, data: np.ndarray, like: Any, name: str) -> Any:
        """A new volume node with the geometry of `like` from an array (k, j, i)."""
        return self.scene.add_volume(np.ascontiguousarray(data, dtype=np.float32), like, name)


def main() -> int:
    """Run the demo; 0 when everything went as it should."""
    options = argparse.ArgumentParser(description="MedGAN from a MRML scene through a server and back.")
    options.add_argument("folder", nargs="?", type=Path, default=Path("demo-output"))
    folder = options.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    console, begin = Console(), time.monotonic()
    console.print("Starting the server ...")
    with running_server() as address:
        client = Client(address)
        demo = Demo(client, console, folder)
        demo.timed("Start the server", f"version {client.health()['version']} under {address}", begin)
        start = time.monotonic()
        source = demo.scene.load_volume(template(), "MNI152 T1")
        size = " x ".join(map(str, source.GetImageData().GetDimensions()))
        demo.timed("Load the MNI152 T1 template", f"{size} voxels into the MRML scene", start)
        for target in ("T2", "FLAIR"):
            demo.translate(source, target)
        demo.denoise(source)
        suggest(demo, [source, *synthesize(demo, source)])
        demo.refuse(source)
        demo.cancel(source)
        client.close()
        stopping = time.monotonic()
    demo.timed("Stop the server", "ended", stopping)
    table = Table("What", "Outcome", "Seconds", title=f"Done in {time.monotonic() - begin:.0f} s")
    for what, outcome, seconds in demo.rows:
        table.add_row(what, outcome, f"{seconds:.1f}")
    console.print(table)
    console.print(f"Results, reports and pictures: {folder.resolve()}")
    console.print("Synthetic images, for research; not for diagnosis.")
    return 1 if any("NOT " in outcome for _, outcome, _ in demo.rows) else 0
