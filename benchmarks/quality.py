"""How good the translation and the denoising are, patient by patient, against honest baselines.

    python benchmarks/quality.py --data DATA --models RUNS/folds --out runs/quality
    python benchmarks/quality.py --data DATA --baselines-only

Every patient is judged by weights that never saw it: `--models` holds the folders A, B and C, each a registry
with the models that were trained without that fold's patients. Prints Markdown and writes quality.md and
quality.json; what was judged once is kept in the cache below `--out`, so a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import judging, tables
from benchmarks.cohort import FOLD_NAMES, Patient, patients
from benchmarks.kept import kept
from medgan_core import engine
from medgan_core.data.manifest import Manifest
from medgan_core.errors import MedganError, ModelError
from medgan_core.registry import SHIPPED, Registry
from medgan_core.volume import Volume

PROTOCOL = 1
"""Raise it when a baseline or a figure changes, so that nothing old is taken from the cache."""

MODELS = {"translation": "brain-mr-translate", "denoising": "mr-denoise"}
CONVENTIONS = """\
Truth divided by the 99.5th percentile of its foreground (Otsu, largest component, holes filled; non-zero
voxels of brain-only volumes), prediction fitted by one least-squares gain, PSNR peak 1. PSNR, SSIM
(11-voxel Gaussian window, sigma 1.5, range 1, slice-wise where slices are thick, else 3D) and MAE count the
foreground only; MS-SSIM uses as many scales as the size allows. Visits of a patient are averaged first;
spread is the standard deviation over n patients. "all" means every other contrast that is there. identity:
the input nearest to the truth. linear, trees: voxel-wise ridge regression and boosted trees on
neighbourhood features, fitted on the other folds' patients. noisy: the input (Rician, sigma in % of the
same percentile). nlm: non-local means given the true sigma, Rician bias corrected. ahead: the model is
above every baseline in PSNR and in SSIM. Spearman: rank correlation with the true absolute error over 5 mm
blocks, of the trust map and of the better gradient magnitude (of an input or the output). coverage: of the
90 % Laplace interval of the trust map."""


class Cache:
    """JSON files of records, each taken only when what it depends on is the same."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def records(
        self, name: str, key: dict[str, Any], make: Callable[[], list[judging.Record]]
    ) -> list[dict[str, Any]]:
        """The records of that name and key, made and kept when they are not there."""
        path = self._folder / (name.replace("/", "_") + ".json")
        found = kept(path, {"protocol": PROTOCOL, **key}, lambda: [record.to_dict() for record in make()])
        return list(found)


class Judge:
    """Everything one call of the script knows: patients, models, cache."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.everyone = patients(Manifest.load(arguments.data))
        self.levels = (9,) if arguments.quick else judging.LEVELS
        self._cache = Cache(arguments.out / "cache")
        self._session = cache(self._start)
        self._regressions = cache(self._fit)

    def chosen(self) -> list[Patient]:
        """The patients asked for, all by default."""
        wanted = self.arguments.patients
        return [p for p in self.everyone if not wanted or p.name in wanted]

    def records(self, task: str) -> list[dict[str, Any]]:
        """Baselines and, unless left out, the model, over all chosen patients."""
        found: list[dict[str, Any]] = []
        for patient in self.chosen():
            found += self._baselines(task, patient)
            if not self.arguments.baselines_only:
                found += self._model(task, patient)
        return found

    def registry(self, fold: str) -> Registry:
        """The models that patients of a fold are judged by; shipped ones help, such as the gate."""
        return Registry([SHIPPED] if self.arguments.shipped else [SHIPPED, self.arguments.models / fold])

    def _baselines(self, task: str, patient: Patient) -> list[dict[str, Any]]:
        if task == "translation":
            others = sorted(p.name for p in self.everyone if p.fold != patient.fold)
            return self._cache.records(
                f"translation-baselines-{patient.name}",
                {"fitted_on": others},
                lambda: judging.translate_by_baselines(patient, self._regressions(patient.fold)),
            )
        methods = judging.BASELINES[task]
        return self._cache.records(
            f"denoising-baselines-{patient.name}{self._suffix()}",
            {"levels": list(self.levels), "methods": list(methods)},
            lambda: judging.denoise_by_baselines(patient, self.levels),
        )

    def _model(self, task: str, patient: Patient) -> list[dict[str, Any]]:
        registry = self.registry(patient.fold)
        if registry.folder(MODELS[task]).is_relative_to(SHIPPED) != self.arguments.shipped:
            raise ModelError(
                f"Fold {patient.fold} has no weights of {MODELS[task]}",
                expected=f"{MODELS[task]}/card.json in the folder {patient.fold} of --models",
                got="only the shipped weights, which saw every patient",
                action="train the fold first",
            )
        card = registry.card(MODELS[task])
        made_by = {"weights": card.weights.sha256, "views": card.views}
        kind = "shipped" if self.arguments.shipped else "fold"
        apply = self._apply(task, patient.fold)
        if task == "translation":
            name = f"translation-{kind}-{patient.name}"
            return self._cache.records(name, made_by, lambda: judging.translate_by_model(patient, apply))
        name = f"denoising-{kind}-{patient.name}{self._suffix()}"
        key = {**made_by, "levels": list(self.levels)}
        return self._cache.records(name, key, lambda: judging.denoise_by_model(patient, apply, self.levels))

    def _apply(self, task: str, fold: str) -> judging.Apply:
        """One run of the engine as a person would start it, but going on where the gate would refuse."""

        def apply(inputs: dict[str, Volume], target: str) -> tuple[Volume, Volume | None, str]:
            options = engine.RunOptions(target=target, settings={"allow_unsuitable": True})
            outcome = engine.run(self._session(fold), MODELS[task], inputs, options)
            return outcome.volumes[target], outcome.volumes.get("trust"), outcome.report.verdict

        return apply

    def _start(self, fold: str) -> engine.Session:
        return engine.Session(self.arguments.device, registry=self.registry(fold))

    def _fit(self, fold: str) -> judging.VoxelRegressions:
        return judging.VoxelRegressions([s for p in self.everyone if p.fold != fold for s in p.visits])

    def _suffix(self) -> str:
        return "-quick" if self.arguments.quick else ""


def report(judge: Judge, command: str) -> tuple[str, dict[str, Any]]:
    """Markdown and the same as plain JSON types."""
    parts = ["# Quality", f"`{command}`", CONVENTIONS, _provenance(judge)]
    plain: dict[str, Any] = {"protocol": PROTOCOL, "command": command, "tasks": {}}
    for task in judge.arguments.tasks:
        records = judge.records(task)
        cells = tables.per_patient(records, task)
        totals = tables.summary(cells, judging.BASELINES[task])
        parts += [f"## {task.capitalize()} per patient", tables.patient_table(cells, judging.BASELINES[task])]
        parts += [f"## {task.capitalize()} in total", tables.total_table(totals), _verdicts(records)]
        plain["tasks"][task] = {"records": records, "summary": totals}
    return "\n\n".join(parts) + "\n", plain


def _verdicts(records: list[dict[str, Any]]) -> str:
    """What the reports of the model's runs said, over all runs."""
    said = Counter(record["verdict"] for record in records if record["method"] == "model")
    runs = ", ".join(f"{count} {verdict}" for verdict, count in sorted(said.items()))
    return f"Verdicts of the reports (fail: refused unless asked for): {runs or 'no model was run'}."


def _provenance(judge: Judge) -> str:
    members = "; ".join(
        f"{fold}: " + ", ".join(p.name for p in judge.everyone if p.fold == fold) for fold in FOLD_NAMES
    )
    if judge.arguments.baselines_only:
        return f"Baselines only. Folds: {members}."
    if judge.arguments.shipped:
        return (
            "**WARNING: judged by the shipped weights, which were trained on ALL of these patients. "
            "These figures say nothing about a new patient.**"
        )
    return f"Cross-validation: each patient judged by the weights trained without its fold. Folds: {members}."


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line.

    Raises:
        SystemExit: with status 2 when it is not complete.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], allow_abbrev=False)
    data = os.environ.get("MEDGAN_DATA")
    parser.add_argument("--data", type=Path, default=data and Path(data), help="folder with manifest.csv")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--models", type=Path, help="folder with the registries A, B and C, one for each fold")
    who.add_argument("--shipped", action="store_true", help="the shipped weights, which saw every patient")
    who.add_argument("--baselines-only", action="store_true", help="no model, to fill the cache")
    parser.add_argument("--out", type=Path, default=Path("runs/quality"), help="where results and cache go")
    parser.add_argument("--tasks", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--patients", nargs="+", help="names as in the manifest; all by default")
    parser.add_argument("--quick", action="store_true", help="noise of 9 %% only")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    chosen = parser.parse_args(arguments)
    if chosen.data is None:
        parser.error("give --data, or set MEDGAN_DATA to the folder with manifest.csv")
    return chosen


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge, print and write; the exit status of the command line."""
    chosen = parse(arguments)
    try:
        judge = Judge(chosen)
        if unknown := set(chosen.patients or ()) - {p.name for p in judge.everyone}:
            print(f"No such patient: {', '.join(sorted(unknown))}", file=sys.stderr)
            return 2
        words = sys.argv[1:] if arguments is None else arguments
        text, plain = report(judge, "python benchmarks/quality.py " + " ".join(words))
    except MedganError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "quality.md").write_text(text, encoding="utf-8")
    (chosen.out / "quality.json").write_text(json.dumps(plain, indent=1), encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
