"""How fast a 256x256x180 volume goes through each model, stage by stage, and against MONAI's inferer.

    python benchmarks/speed.py [--device auto|cpu|cuda] [--precision auto] [--rounds 5] [--out runs/speed]

The input is a head of ellipsoids with noise, whose true T1 and T2 are known. Models that are not installed
are replaced by their architecture with random weights (the table says so): speed is the same, quality is not.
On a busy machine single times mean little, so the network, MONAI's inferer and the matrix product that
serves as the peak are timed in turns on the same slices, and the ratios are medians over the rounds.
MONAI's inferer is timed twice: on the array the network gets, cropped to the head where the card says so,
and on the whole field of view, which is what it gets where nobody crops for it.
Prints Markdown and JSON, and writes both with --out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.monai_inferer import best_monai, psnr
from benchmarks.phantom import noisy, phantom
from benchmarks.timing import in_turns, peak_memory, product, seconds
from medgan_core import engine, inference, io, preprocess, registry
from medgan_core.card import Training
from medgan_core.registry import Registry
from medgan_core.training.recipes.denoise import Denoise
from medgan_core.training.recipes.translate import Translate
from medgan_core.volume import Geometry, Volume

CASES = {"brain-mr-translate": (Translate, "T1", "T2"), "mr-denoise": (Denoise, "image", "image")}
FEW = 4  # slices that are timed in turns


def compare(
    model: registry.Model,
    compiled: inference.Compiled,
    arrays: dict[str, NDArray[np.float32]],
    output: int,
    rounds: int,
) -> dict[str, Any]:
    """The network on a few slices against MONAI's inferer and the peak.

    Args:
        model: its network runs inside MONAI's inferer.
        compiled: the network made ready by the engine.
        arrays: "cropped" as the card says, and "whole" if that differs; (c + 1, i, j, k), the truth last.
        output: which of the network's outputs is the target.
        rounds: of timing.
    """
    device = compiled.device
    array, truth = arrays["cropped"][:-1], arrays["cropped"][-1]
    presence = [bool(channel.any()) for channel in array]
    network = model.network.to(device)

    def ours() -> NDArray[np.float32]:
        return inference.apply(compiled, array, presence=presence).values

    found = {name: best_monai(network, part[:-1], part[-1], output) for name, part in arrays.items()}
    peak, peak_work = product(compiled.precision, device)
    works = {"ours": ours, "peak": peak} | {name: run for name, (_, run, _) in found.items()}
    times = in_turns(works, rounds, device)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        side = network.multiple
        network(torch.zeros(1, network.in_channels, side, side, device=device))
    rows, columns = (-(-n // side) * side for n in array.shape[1:3])
    work = counter.get_total_flops() * rows * columns / side**2 * array.shape[3]
    network.to("cpu")
    shares = [work / a / (peak_work / p) for a, p in zip(times["ours"], times["peak"], strict=True)]
    out: dict[str, Any] = {
        "GFLOP per slice": work / array.shape[3] / 1e9,
        "GFLOP/s": work / min(times["ours"]) / 1e9,
        "peak GFLOP/s": peak_work / min(times["peak"]) / 1e9,
        "share of peak": statistics.median(shares),
        "ms per slice": 1e3 * statistics.median(times["ours"]) / array.shape[3],
        "PSNR": psnr(ours()[output], truth),
    }
    for name, (best, _, quality) in found.items():
        ratios = [b / a for a, b in zip(times["ours"], times[name], strict=True)]
        out |= {
            f"times MONAI's, {name}": statistics.median(ratios),
            f"MONAI's best, {name}": best,
            f"MONAI ms per slice, {name}": 1e3 * statistics.median(times[name]) / array.shape[3],
            f"PSNR MONAI, {name}": quality[best],
        }
    return out


def measure(
    name: str, folder: Path, device: str, precision: str, rounds: int, shape: tuple[int, int, int]
) -> dict[str, Any]:
    """Everything about one model."""
    recipe, key, target = CASES[name]
    models, trained = Registry(), True
    if name not in models.names():
        torch.manual_seed(0)
        models, trained = Registry([folder]), False
        made = recipe()
        none = Training(command="none", recipe=name, updates=0, minutes=0.0, device="none", seed=0)
        card = made.card(none)
        card = replace(card, domain=replace(card.domain, gate=""))
        registry.save(folder / name, card, made.network())
    model = models.load(name)
    truth = phantom(shape)
    clean = truth["T1"]
    image = noisy(clean, 0.01 if target == "T2" else 0.09)
    geometry = Geometry(shape, np.diag([1.0, 1.0, 1.0, 1.0]))
    source = io.write(Volume(image[None], geometry), folder / "input.nii")
    session = engine.Session(device, registry=models)
    stages = {"prepare (once)": seconds(lambda: session.compiled(name, precision=precision), device)}
    compiled = session.compiled(name, precision=precision)
    assert isinstance(compiled, inference.Compiled)
    options = engine.RunOptions(target=target, settings={"allow_unsuitable": True, "precision": precision})
    with peak_memory(compiled.device) as memory:
        begin = time.perf_counter()
        volume = io.read(source)
        stages["read"] = time.perf_counter() - begin
        outcome = engine.run(session, name, {key: volume}, options)
        stages |= outcome.report.provenance["seconds"]
        written = time.perf_counter()
        for output, answer in outcome.volumes.items():
            io.write(answer, folder / f"{output}.nii")
        stages["write"] = time.perf_counter() - written
        total = time.perf_counter() - begin
    scales = np.zeros(shape, dtype=np.float32)
    stages["of inverse: trust"] = seconds(lambda: inference.expected_error(scales), "cpu")
    inputs = [volume if port.key == key else None for port in model.card.inputs]
    aim = Volume((clean if target != "T2" else truth["T2"])[None], geometry)
    _, placed = preprocess.forward(model.card.preprocess, inputs)
    parts = {}
    for crop in ("cropped", "whole"):
        settings = model.card.preprocess
        if crop == "whole":
            settings = replace(settings, crop_margin_mm=None)
        # The truth is placed as the first input is, or its own foreground would move the crop.
        array, found = preprocess.forward(settings, inputs)
        truth_array, _ = preprocess.forward(replace(settings, crop_margin_mm=None), [aim])
        cut = tuple(slice(*ends) for ends in found.box)
        both = np.concatenate([array, truth_array[(slice(None), *cut)]])
        middle = both.shape[3] // 2
        parts[crop] = np.ascontiguousarray(both[..., middle - FEW // 2 : middle + FEW // 2])
    if parts["whole"].shape == parts["cropped"].shape:
        del parts["whole"]  # the card asks for no crop
    compared = compare(model, compiled, parts, model.card.targets.index(target), rounds)
    return {
        "model": name,
        "weights": "trained" if trained else "random",
        "back end": f"{compiled.backend} {compiled.precision} on {compiled.device}",
        "deviation from fp32": compiled.agreement.maximum,
        "slices": list(placed.shape),
        "end to end s": total,
        "stages s": {stage: round(value, 3) for stage, value in stages.items()},
        "peak MiB": memory["MiB"],
        **compared,
    }


def table(results: list[dict[str, Any]]) -> str:
    """One column per model."""
    rows: list[tuple[str, list[str]]] = []
    for key in dict.fromkeys(key for result in results for key in result):
        if key == "stages s":
            for stage in results[0][key]:
                rows.append((f"{stage}, s", [f"{r[key].get(stage, 0.0):.2f}" for r in results]))
        elif key != "model":
            rows.append(
                (
                    key,
                    [
                        f"{c:.3g}" if isinstance(c, float) else str(c)
                        for c in (r.get(key, "-") for r in results)
                    ],
                )
            )
    head = "| | " + " | ".join(r["model"] for r in results) + " |"
    body = [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows]
    return "\n".join([head, "|---" * (len(results) + 1) + "|", *body])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shape", type=int, nargs=3, default=(256, 256, 180))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    results = []
    for name in CASES:
        with tempfile.TemporaryDirectory() as folder:
            shape = tuple(given.shape)
            results.append(measure(name, Path(folder), given.device, given.precision, given.rounds, shape))
    text = table(results)
    print(text, json.dumps(results, indent=1), sep="\n\n")
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "speed.md").write_text(text + "\n", encoding="utf-8")
        (given.out / "speed.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
