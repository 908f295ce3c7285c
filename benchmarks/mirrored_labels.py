"""How often a label map that is mirrored along an axis is noticed beside its image, and one that is not.

    python benchmarks/mirrored_labels.py --data DATA

Takes every label map of a data set that lies on the grid of an image of the same visit, at most `--most`
patients of a set; each is tried as it is, and mirrored in the four ways that are looked for.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from medgan_core import io
from medgan_core.label_checks import MIRRORED, label_map, mirrored_beside_image


def pairs(data: Path, most: int) -> Iterator[tuple[str, str, NDArray[Any], NDArray[Any]]]:
    """Set, key of the image, labels and image."""
    visits: dict[tuple[str, str, str], list[dict[str, str]]] = defaultdict(list)
    with (data / "manifest.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            visits[row["set"], row["patient"], row["visit"]].append(row)
    taken: dict[str, set[str]] = defaultdict(set)
    for (name, patient, _), rows in sorted(visits.items()):
        kinds = {kind: [row for row in rows if row["kind"] == kind] for kind in ("label", "image")}
        if not all(kinds.values()) or len(taken[name] | {patient}) > most:
            continue
        taken[name].add(patient)
        for label in kinds["label"]:
            labels = io.read(data / label["path"])
            for image in kinds["image"]:
                volume = io.read(data / image["path"])
                if volume.geometry.shape == labels.geometry.shape and labels.data.any():
                    yield name, image["key"], label_map(labels), volume.data[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--most", type=int, default=45)
    options = parser.parse_args()
    count: Counter[tuple[str, str, str]] = Counter()
    for name, key, labels, image in pairs(options.data, options.most):
        count[name, key, "pairs"] += 1
        count[name, key, "false"] += mirrored_beside_image(labels, image) is not None
        for words, axes in MIRRORED.items():
            count[name, key, "found"] += mirrored_beside_image(np.flip(labels, axes), image) == words
    print("| set | image | label maps | called mirrored | of those mirrored, found |\n|---|---|---|---|---|")
    for name, key in sorted({place[:2] for place in count}):
        tried, wrong, found = (count[name, key, what] for what in ("pairs", "false", "found"))
        print(f"| {name} | {key} | {tried} | {wrong} | {found} of {tried * len(MIRRORED)} |")


if __name__ == "__main__":
    main()
