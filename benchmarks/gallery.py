"""Writes docs/models.md: every shipped model with what its card says, its figures, and a picture of a run.

    python -m benchmarks.gallery --data DATA [--out docs] [--only NAME ...]

Only models that ship with the package are shown.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.examples import EXAMPLES, Example
from benchmarks.systems.section import Table
from medgan_core.card import DataSource, ModelCard, Port
from medgan_core.engine import Session, run
from medgan_core.registry import SHIPPED, Registry
from medgan_core.training.recipes.suggesting import UNCERTAINTY
from medgan_core.volume import Volume

PICTURES = Path("pictures") / "models"
SLICES = 4
_FEW = 6  # figures that stand on the page unfolded
_MASK = "#ffb000"  # what has no colour of its own

INTRODUCTION = """\
Small models ship with the package. What stands here is read from their cards (`medgan models --json`), and
every picture is of a run that was made for this page, on a simulated head or on the MNI152 template (an
average of 152 adults); none shows the scan of a patient. `python -m benchmarks.gallery --data DATA` writes
the page. Results are synthetic, and not for diagnosis."""

Slice = NDArray[np.floating[Any]]


def write(data: Path, out: Path, session: Session, names: Sequence[str]) -> Path:
    """The page ``models.md`` and its pictures.

    Args:
        data: folder with the manifest; heads are simulated from its label maps.
        out: folder of the page.
        session: where the models run.
        names: of the models, in the order of the page.
    """
    (out / PICTURES).mkdir(parents=True, exist_ok=True)
    parts = ["# Models", INTRODUCTION]
    for name in names:
        card = session.registry.card(name)
        parts += [f"## {card.title} (`{name}` {card.version})", *_told(card)]
        example = EXAMPLES[name](data, session) if name in EXAMPLES else None
        if example is not None:
            file = PICTURES / f"{name}.png"
            draw(session, card, example, out / file)
            parts.append(f"![{card.title}, on {example.said}.]({file.as_posix()})\n\nOn {example.said}.")
    page = out / "models.md"
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return page


def draw(session: Session, card: ModelCard, example: Example, file: Path) -> None:
    """Inputs and results of a run in rows, slices of the middle in columns; label maps lie over an image."""
    from matplotlib.figure import Figure

    results = run(session, card.name, example.inputs, example.options).volumes
    rows = [(card.input(key), volume) for key, volume in example.inputs.items()]
    rows += [(card.port(key), volume) for key, volume in results.items()]
    under = [_under(rows, number, len(example.inputs)) for number in range(len(rows))]
    panels = [
        [_panel(port, volume, below, example.axis, share) for share in np.linspace(*example.shown, SLICES)]
        for (port, volume), below in zip(rows, under, strict=True)
    ]
    height, width, aspect = *panels[-1][0].shape[:2], _aspect(rows[-1][1], example.axis)
    tall = 2.0 * height * aspect / width
    figure = Figure(figsize=(2.0 * SLICES + 1.2, tall * len(rows)), layout="constrained", facecolor="black")
    axes = figure.subplots(len(rows), SLICES, squeeze=False)
    for line, (port, volume), images in zip(axes, rows, panels, strict=True):
        line[0].set_ylabel(port.title, color="white", fontsize=9, wrap=True)
        for axis, image in zip(line, images, strict=True):
            axis.imshow(image, aspect=_aspect(volume, example.axis), interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
    figure.savefig(file, dpi=80, metadata={"Software": None})


def _told(card: ModelCard) -> list[str]:
    """What the card says, in Markdown."""
    data = "; ".join(map(_source, card.data)) or "none"
    told = [
        card.description,
        f"Task {card.task}. Takes {_ports(card.inputs)}; gives {_ports(card.outputs)}. "
        f"For {card.domain.anatomy}.",
        "\n".join(f"- {limit}" for limit in card.limits),
        f"Trained on: {data}. Command: `{card.training.command}`. Licence of the weights: {card.licence}.",
    ]
    if not card.figures:
        return told
    table = Table(
        ("figure", "value", "unit", "n", "on", "beside"),
        [
            [
                f.name,
                f"{f.value:.4g}" + (f" ± {f.spread:.2g}" if f.spread else ""),
                f.unit,
                str(f.n),
                f.split,
                f.baseline,
            ]
            for f in card.figures
        ],
    ).markdown()
    if len(card.figures) > _FEW:
        table = f"<details><summary>{len(card.figures)} figures</summary>\n\n{table}\n\n</details>"
    return [*told, table, "Printed by: " + "; ".join(sorted({f"`{f.command}`" for f in card.figures})) + "."]


def _source(source: DataSource) -> str:
    note = f"; {source.note}" if source.note else ""
    return f"{source.name} ({source.patients} patients, {source.licence}{note})"


def _ports(ports: Sequence[Port]) -> str:
    return ", ".join(f"`{port.key}` ({port.title})" for port in ports)


def _under(rows: Sequence[tuple[Port, Volume]], number: int, given: int) -> Volume | None:
    """The image a label map is laid over, on its grid: made before it, or else given, or made after."""
    grid = rows[number][1].geometry
    order = [*range(number - 1, given - 1, -1), *range(given), *range(max(given, number + 1), len(rows))]
    fitting = (n for n in order if rows[n][0].kind == "image" and rows[n][1].geometry.close_to(grid))
    found = next(fitting, None)
    return None if found is None else rows[found][1]


def _panel(port: Port, volume: Volume, under: Volume | None, axis: int, share: float) -> Slice:
    """A slice in colour, (h, w, 3) in 0 to 1, as it is looked at."""
    if port.kind != "labels":
        return _grey(volume, _white(volume, port), axis, share)
    values = _upright(volume.data[0], axis, share)
    out = np.zeros((*values.shape, 3)) if under is None else _grey(under, _white(under), axis, share)
    colours = {label.value: label.colour for label in port.labels}
    for value in np.unique(values[values > 0]).tolist():
        colour = colours.get(int(value), _MASK)
        rgb = np.array([int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)])
        out[values == value] = 0.5 * out[values == value] + 0.5 * rgb
    return out


def _grey(volume: Volume, white: float, axis: int, share: float) -> Slice:
    """A slice in grey, (h, w, 3) in 0 to 1."""
    shown = _upright(volume.data[0], axis, share) / white
    return np.repeat(np.clip(shown, 0, 1)[..., None], 3, axis=2)


def _white(volume: Volume, port: Port | None = None) -> float:
    """The value that is shown white."""
    if port == UNCERTAINTY:
        return 1.0
    shown = volume.data[volume.data > 0]
    return float(np.percentile(shown, 98 if port and port.kind == "map" else 99.5)) if shown.size else 1.0


def _upright(array: NDArray[Any], axis: int, share: float) -> NDArray[Any]:
    """A slice of an array (i, j, k), its last axis upwards."""
    piece = np.take(array, round(share * (array.shape[axis] - 1)), axis=axis)
    return np.asarray(piece.T[::-1])


def _aspect(volume: Volume, axis: int) -> float:
    across, up = (mm for n, mm in enumerate(volume.geometry.spacing) if n != axis)
    return float(up / across)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gallery")
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="these models; all that are shipped by default"
    )
    chosen = parser.parse_args()
    session = Session("cpu", registry=Registry([SHIPPED]))
    names = chosen.only or session.registry.names()
    print(write(chosen.data, chosen.out, session, names))


if __name__ == "__main__":
    main()
