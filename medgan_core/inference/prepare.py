"""Choose the fastest back end that computes the right thing on this machine."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from medgan_core.errors import ResourceError, UsageError
from medgan_core.inference import backends, selfcheck
from medgan_core.inference.compiled import Compiled
from medgan_core.inference.probes import probes
from medgan_core.inference.selfcheck import Agreement
from medgan_core.inference.slabs import Signature

_CHECK_SEED = 1  # other probes than those that int8 ranges are measured on


def prepare(
    network: nn.Module, *, device: str = "auto", backend: str = "auto", precision: str = "auto"
) -> Compiled:
    """Make a network ready to run; seconds for the compiled back ends, so keep the answer.

    Args:
        network: float32, on the CPU, in evaluation mode.
        device: ``auto`` (CUDA when there), ``cpu``, ``cuda`` or ``cuda:N``.
        backend: ``auto``, ``torch``, ``openvino`` or ``onnxruntime``.
        precision: ``auto``, ``fp32``, ``bf16``, ``fp16``, or ``int8``, which ``auto`` never chooses.

    Returns:
        The quickest choice that agrees with float32 torch within `selfcheck.LIMITS`.

    Raises:
        UsageError: when a name is unknown.
        ResourceError: when the device or back end is not there, or nothing passed the self-check.
        ModelError: when the network cannot be applied to slabs.
    """
    signature = Signature.of(network)
    place = _device(device)
    choices = _choices(place, backend, precision)
    batches = selfcheck.samples(signature)
    references = _references(network, batches)
    rejected: list[str] = []
    for name, kind in choices:
        try:
            if kind == "int8":
                # Its ranges come from probes, so it is judged on such, at every level of noise.
                likely = probes(signature, seed=_CHECK_SEED)
                cases, wanted = [*likely, *batches], [*_references(network, likely), *references]
            else:
                cases, wanted = batches, references
            for runner in backends.BACKENDS[name](network, kind, place, _example(signature)):
                try:
                    agreement, rate = _check(runner, place, cases, wanted, signature.outputs, kind)
                except Exception as error:  # at a size it was not exported for; the next attempt may do
                    rejected.append(_failure(name, kind, error))
                    continue
                if agreement.passed:
                    return Compiled(
                        device=str(place),
                        backend=name,
                        precision=kind,
                        agreement=agreement,
                        signature=signature,
                        channels=references[0].shape[1],
                        bytes_per_pixel=_bytes_per_pixel(network, _example(signature)),
                        pixels_per_second=rate,
                        rejected=tuple(rejected),
                        runner=runner,
                        parallel=runner.parallel,
                    )
                rejected.append(f"{name} {kind}: deviates by {agreement.maximum:.2g} of the largest value")
        except Exception as error:  # a back end may fail in any way; the next one is tried
            rejected.append(_failure(name, kind, error))
    raise ResourceError(
        "No back end computes this model correctly here",
        expected="agreement with float32 torch",
        got="; ".join(rejected),
        action="choose backend auto and precision auto, or another device",
    )


def _failure(name: str, kind: str, error: Exception) -> str:
    return f"{name} {kind}: {type(error).__name__}: {str(error)[:200]}"


def _references(network: nn.Module, batches: list[Tensor]) -> list[Tensor]:
    """What float32 torch gives."""
    with torch.inference_mode():
        return [network(batch) for batch in batches]


def _device(name: str) -> torch.device:
    """The device a name means.

    Raises:
        UsageError: when it is no name of a device.
        ResourceError: when the device is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and (kind == "cpu" or not number.isdecimal())):
        raise UsageError(
            "The device is not known",
            expected="auto, cpu, cuda or cuda:N",
            got=name,
            action="choose one of them",
        )
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise ResourceError(
            "The device is not there",
            expected=name,
            got=f"{torch.cuda.device_count()} CUDA devices",
            action="choose device auto or cpu, or install torch for CUDA and the GPU's driver",
        )
    return torch.device(name)


def _choices(device: torch.device, backend: str, precision: str) -> list[tuple[str, str]]:
    """What to try, quickest first.

    Raises:
        UsageError: when a name is unknown.
        ResourceError: when nothing fits.
    """
    for what, value, known in (
        ("back end", backend, tuple(backends.BACKENDS)),
        ("precision", precision, backends.PRECISIONS),
    ):
        if value not in ("auto", *known):
            raise UsageError(
                f"The {what} is not known",
                expected="auto, " + ", ".join(known),
                got=value,
                action="choose one of them",
            )
    choices = backends.candidates(device, backend=backend, precision=precision)
    if not choices:
        offered = backends.candidates(device)
        raise ResourceError(
            "This back end and precision cannot run here",
            expected=", ".join(f"{name} {kind}" for name, kind in offered),
            got=f"backend {backend}, precision {precision} on {device.type}",
            action="choose auto, or install the package of the back end",
        )
    return choices


def _example(signature: Signature) -> Tensor:
    """A small batch to export a network with; its sizes differ from those of the self-check."""
    return torch.zeros((2, signature.channels, 3 * signature.multiple, 8 * signature.multiple))


def _check(
    runner: backends.Runner,
    device: torch.device,
    batches: list[Tensor],
    references: list[Tensor],
    outputs: int,
    precision: str,
) -> tuple[Agreement, float]:
    """Agreement on the batches and pixels per second on the last, measured warm."""
    answers = [runner(batch.to(device)).to("cpu", copy=True) for batch in batches]
    agreement = selfcheck.compare(answers, references, outputs=outputs, precision=precision)
    last = batches[-1].to(device)
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        runner(last)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - begin)
    pixels = last.shape[0] * last.shape[2] * last.shape[3]
    return agreement, pixels / max(min(seconds), 1e-9)


def _bytes_per_pixel(network: nn.Module, example: Tensor) -> int:
    """Upper bound of a network's features per pixel of a slice: what all layers give, as float32."""
    total = example[0].numel()

    def count(_module: nn.Module, _inputs: object, answer: object) -> None:
        nonlocal total
        if isinstance(answer, Tensor):
            total += answer.numel() // example.shape[0]

    leaves = [module for module in network.modules() if not list(module.children())]
    handles = [module.register_forward_hook(count) for module in leaves]
    try:
        with torch.inference_mode():
            network(example)
    finally:
        for handle in handles:
            handle.remove()
    return -(-4 * total // (example.shape[2] * example.shape[3]))
