"""How often the gate lets a head in, and keeps other anatomy out, on patients left out of its training.

    python -m benchmarks.gate --data DATA [--write FOLDER]

Each image of a patient listed as val is asked for as what the manifest calls it. Images count within their
patient, so that one with many does not count more. `--write` puts the figures into the card in this folder.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from statistics import fmean

from torch import nn

from benchmarks import card_figures
from medgan_core import io
from medgan_core.card import Figure
from medgan_core.data.manifest import Manifest
from medgan_core.data.slabs import CONTRASTS
from medgan_core.registry import SHIPPED, Registry
from medgan_core.suitability import gate_rows
from medgan_core.training.recipes.brain_data import adult_brain

NAME = "brain-mr-gate"
_DOMAIN = adult_brain(anatomy="head or brain")


def judge(data: Path, gate: nn.Module) -> list[Figure]:
    """A figure for heads of which none is refused, and one for the rest, of which all should be."""
    let_in: dict[bool, dict[str, list[float]]] = {True: defaultdict(list), False: defaultdict(list)}
    for study in Manifest.load(data).studies:
        head = study.of_head
        for key, path in study.images.items():
            if study.split == "val" and (key in CONTRASTS or not head):
                rows = gate_rows(_DOMAIN, {key: io.read(path)}, gate)
                refused = any(row.verdict == "fail" for row in rows)
                let_in[head][study.patient].append(float(refused != head))
    names = {True: "Heads in MR let in, by their contrast", False: "Other anatomy refused"}
    command = "python -m benchmarks.gate --data DATA"
    return [
        card_figures.figure(
            names[head],
            [fmean(right) for right in patients.values()],
            unit=f"share of {sum(map(len, patients.values()))} images",
            split="val patients",
            command=command,
        )
        for head, patients in let_in.items()
        if patients
    ]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate")
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--write", type=Path, help="folder of the model whose card gets the figures")
    told = parser.parse_args()
    figures = judge(told.data, Registry([SHIPPED]).load(NAME).network.eval())
    for figure in figures:
        print(f"{figure.name}: {figure.value} {figure.unit}, n = {figure.n} patients")
    if told.write:
        card_figures.write(told.write, figures)


if __name__ == "__main__":
    main()
