"""How fast a 256x256x180 volume goes through each model, stage by stage, and against MONAI's inferer.

    python benchmarks/speed.py [--device auto|cpu|cuda] [--rounds 5] [--out runs/speed]

The input is a head of ellipsoids with noise, whose true T1 and T2 are known. Models that are not installed
are replaced by their architecture with random weights (the table says so): speed is the same, quality is not.
On a busy machine single times mean little, so the network, MONAI's inferer and the matrix product that
serves as the peak are timed in turns on the same slices, and the ratios are of their medians.
Prints Markdown and JSON, and writes both with --out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.timing import in_turns, peak_memory, product, seconds
from medgan_core import engine, inference, io, preprocess, registry
from medgan_core.card import Training
from medgan_core.registry import Registry
from medgan_core.training.recipes.denoise import Denoise
from medgan_core.training.recipes.translate import Translate
from medgan_core.volume import Geometry, Volume

CASES = {"brain-mr-translate": (Translate, "T1", "T2"), "mr-denoise": (Denoise, "image", "image")}
ROIS = ((None, 0.0), (192, 0.25), (128, 0.25))  # side (None: the whole slice), overlap
EQUAL_DB = 0.05
FEW = 4  # slices that are timed in turns


def phantom(shape: tuple[int, int, int]) -> dict[str, NDArray[np.float32]]:
    """True T1 and T2 of a head of ellipsoids, (i, j, k), and the mask of the head."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in shape), indexing="ij", sparse=True)
    t1, t2 = (np.zeros(shape, dtype=np.float32) for _ in range(2))
    parts = (  # half axes, centre, T1, T2: scalp, skull, CSF, grey matter, white matter, ventricles
        ((0.78, 0.92, 0.90), (0.0, 0.0, 0.0), 900, 500),
        ((0.73, 0.87, 0.85), (0.0, 0.0, 0.0), 120, 80),
        ((0.68, 0.82, 0.80), (0.0, 0.0, 0.0), 250, 1000),
        ((0.65, 0.79, 0.77), (0.0, 0.0, 0.0), 550, 620),
        ((0.52, 0.65, 0.62), (0.0, 0.0, 0.0), 800, 480),
        ((0.07, 0.25, 0.16), (0.14, 0.0, 0.1), 250, 1000),
        ((0.07, 0.25, 0.16), (-0.14, 0.0, 0.1), 250, 1000),
        ((0.10, 0.12, 0.12), (0.25, 0.3, -0.1), 600, 700),
    )
    for half, centre, one, two in parts:
        inside = sum(((x - c) / h) ** 2 for x, c, h in zip(axes, centre, half, strict=True)) < 1
        t1[inside], t2[inside] = one, two
    return {"T1": t1, "T2": t2, "head": (t1 > 0).astype(np.float32)}


def noisy(image: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Rician noise, as a share of the largest value."""
    rng = np.random.default_rng(0)
    sigma = np.float32(share * image.max())
    parts = [rng.standard_normal(image.shape, dtype=np.float32) * sigma for _ in range(2)]
    return np.hypot(image + parts[0], parts[1])


def monai(
    network: torch.nn.Module,
    array: NDArray[np.float32],
    presence: list[bool],
    roi: int | None,
    overlap: float,
) -> Callable[[], NDArray[np.float32]]:
    """MONAI's inferer over the slabs of each slice, torch float32; gives (channels, i, j, k)."""
    device = next(network.parameters()).device
    volume, multiple = torch.from_numpy(array).to(device), int(network.multiple)
    whole = [-(-n // multiple) * multiple for n in array.shape[1:3]]
    window = whole if roi is None else [min(roi, n) for n in whole]
    inferer = SlidingWindowInferer(window, sw_batch_size=4, overlap=overlap, mode="gaussian")
    flags = presence if network.presence else None

    def run() -> NDArray[np.float32]:
        out = []
        with torch.inference_mode():
            for k in range(array.shape[3]):
                out.append(inferer(inference.slabs(volume, [k], network.slices, flags), network)[0])
            return torch.stack(out, dim=-1).cpu().numpy()

    return run


def psnr(answer: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """In dB with peak 1, after the least-squares gain."""
    gain = float((answer * truth).sum() / max(float((answer * answer).sum()), 1e-12))
    return float(-10 * np.log10(np.mean((gain * answer - truth) ** 2) + 1e-12))


def compare(
    model: registry.Model,
    compiled: inference.Compiled,
    array: NDArray[np.float32],
    truth: NDArray[np.float32],
    output: int,
    rounds: int,
) -> dict[str, Any]:
    """The network on a few slices against MONAI's inferer and the peak; array (c, i, j, k)."""
    device = compiled.device
    presence = [bool(channel.any()) for channel in array]
    network = model.network.to(device)

    def ours() -> NDArray[np.float32]:
        return inference.apply(compiled, array, presence=presence).values

    settings = {f"roi {roi or 'whole slice'}, overlap {o:g}": (roi, o) for roi, o in ROIS}
    theirs = {name: monai(network, array, presence, *how) for name, how in settings.items()}
    next(iter(theirs.values()))()  # the first run of all is slow
    search, quality = {}, {}
    for name, run in theirs.items():
        begin = time.perf_counter()
        quality[name] = psnr(run()[output], truth)
        search[name] = time.perf_counter() - begin
    exact = next(iter(quality.values()))  # whole slices in float32
    best = min((n for n in theirs if quality[n] >= exact - EQUAL_DB), key=lambda n: search[n])
    peak, peak_work = product(compiled.precision, device)
    times = in_turns({"ours": ours, "monai": theirs[best], "peak": peak}, rounds, device)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        side = network.multiple
        network(torch.zeros(1, network.in_channels, side, side, device=device))
    rows, columns = (-(-n // side) * side for n in array.shape[1:3])
    work = counter.get_total_flops() * rows * columns / side**2 * array.shape[3]
    network.to("cpu")
    ratios = [b / a for a, b in zip(times["ours"], times["monai"], strict=True)]
    shares = [work / a / (peak_work / p) for a, p in zip(times["ours"], times["peak"], strict=True)]
    return {
        "GFLOP per slice": work / array.shape[3] / 1e9,
        "GFLOP/s": work / min(times["ours"]) / 1e9,
        "peak GFLOP/s": peak_work / min(times["peak"]) / 1e9,
        "share of peak": statistics.median(shares),
        "times MONAI's": statistics.median(ratios),
        "MONAI's best": best,
        "MONAI ms per slice": 1e3 * statistics.median(times["monai"]) / array.shape[3],
        "ms per slice": 1e3 * statistics.median(times["ours"]) / array.shape[3],
        "PSNR": psnr(ours()[output], truth),
        "PSNR MONAI": quality[best],
        "PSNR whole fp32": exact,
    }


def measure(name: str, folder: Path, device: str, rounds: int, shape: tuple[int, int, int]) -> dict[str, Any]:
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
    stages = {"prepare (once)": seconds(lambda: session.compiled(name), device)}
    compiled = session.compiled(name)
    options = engine.RunOptions(target=target, settings={"allow_unsuitable": True})
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
    array, placed = preprocess.forward(model.card.preprocess, [*inputs, aim])
    middle = slice(array.shape[3] // 2 - FEW // 2, array.shape[3] // 2 + FEW // 2)
    part = np.ascontiguousarray(array[..., middle])
    compared = compare(model, compiled, part[:-1], part[-1], model.card.targets.index(target), rounds)
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
    for key in results[0]:
        if key == "stages s":
            for stage in results[0][key]:
                rows.append((f"{stage}, s", [f"{r[key].get(stage, 0.0):.2f}" for r in results]))
        elif key != "model":
            rows.append(
                (key, [f"{r[key]:.3g}" if isinstance(r[key], float) else str(r[key]) for r in results])
            )
    head = "| | " + " | ".join(r["model"] for r in results) + " |"
    body = [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows]
    return "\n".join([head, "|---" * (len(results) + 1) + "|", *body])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shape", type=int, nargs=3, default=(256, 256, 180))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    results = []
    for name in CASES:
        with tempfile.TemporaryDirectory() as folder:
            results.append(measure(name, Path(folder), given.device, given.rounds, tuple(given.shape)))
    text = table(results)
    print(text, json.dumps(results, indent=1), sep="\n\n")
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "speed.md").write_text(text + "\n", encoding="utf-8")
        (given.out / "speed.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
