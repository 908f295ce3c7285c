"""How real painted heads look, whether they show their label map, and whether they show a patient.

    python -m benchmarks.painting --data DATA --model brain-mr-synthesize --fold 0 [--models DIR]
        [--segmenter MODEL] [--write FOLDER]

Paints the label maps listed as val in every contrast that patients were scanned with, with the refinement and
without, and compares axial slices with those of the patients whom the fold left out. Printed per contrast:

- the kernel distance (KID) of the features, with the distance of other patients' slices beside it as the
  least that can be hoped for; the interval is over the patients left out, as few maps give none;
- the share of slices that lie nearer to a slice of the training than 95 % of the left-out ones do (copies);
- how like each other two samples of one map are (MS-SSIM of the middle slices), and two patients;
- with a model that segments heads, the Dice of what it finds with the map that was painted.

Features are those of `brain-mr-translate`, which was trained here on real and simulated heads: means and
standard deviations of its last features over the foreground of a slice with pixels of 1 mm, each shifted and
scaled to mean 0 and variance 1 over the slices of the patients left out. `--write` puts the figures of
refined images into the card in this folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import card_figures
from benchmarks.painting.comparison import SHARES, compared, figures
from benchmarks.painting.heads import maps, painted, real, translator
from medgan_core.card import Figure
from medgan_core.engine import Session
from medgan_core.registry import SHIPPED, Registry


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.painting")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="brain-mr-synthesize")
    parser.add_argument("--models", type=Path, help="folder of models, besides the shipped ones")
    parser.add_argument("--fold", type=int, default=0, help="that the model left out")
    parser.add_argument("--segmenter", default="", help="a model that suggests FreeSurfer labels")
    parser.add_argument("--samples", type=int, default=2, help="of each map")
    parser.add_argument("--maps", type=int, default=2)
    parser.add_argument("--contrasts", nargs="+", default=["T1", "T2", "FLAIR"])
    parser.add_argument("--write", type=Path, help="folder of the model whose card gets the figures")
    told = parser.parse_args()
    session = Session("cpu", registry=Registry([SHIPPED, *([told.models] if told.models else [])]))
    command = f"python -m benchmarks.painting --data DATA --model {told.model} --fold {told.fold}"
    command += f" --segmenter {told.segmenter}" if told.segmenter else ""
    judge = f"{told.segmenter} {session.registry.card(told.segmenter).version}" if told.segmenter else ""
    truths, found = list(maps(told.data, told.maps)), list[Figure]()
    print("| contrast | images | KID to patients left out (95 % interval) | copies | MS-SSIM | Dice |")
    print("|---|---|---|---|---|---|")
    for contrast in told.contrasts:
        known = real(told.data, translator(session), contrast, told.fold)
        made = {
            name: painted(
                session,
                told.model,
                truths,
                contrast,
                share=share,
                samples=told.samples,
                segmenter=told.segmenter,
            )
            for name, share in SHARES.items()
        }
        lines = compared(contrast, known, made)
        print("\n".join(map(str, lines)), flush=True)
        found += figures(lines, command, judge)
    if told.write:
        card_figures.write(told.write, found)


if __name__ == "__main__":
    main()
