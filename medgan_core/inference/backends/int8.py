"""Convolutions in 8-bit integers: ranges are measured on probes and written into an OpenVINO graph.

Post-training quantisation (Nagel et al., "A White Paper on Neural Network Quantization", 2021) of a graph
of any network: every convolution that has another one before it and another one after it gets 8-bit
weights, scaled per output channel, and 8-bit inputs. The first and the last convolutions, residual sums, and
whatever else is done outside of convolutions stay as they are. The channels of a tensor are brought nearer
to one scale, which the weights that read it undo (Xiao et al., "SmoothQuant", ICML 2023, equation 4),
because a convolution can read its input at one scale only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_EQUALISE = 0.75  # 0 leaves the channels as they are, 1 makes all equally large
_SMALLEST = 1e-3  # of the largest channel; a silent channel is not blown up
_STEPS = 127


@dataclass(frozen=True, eq=False)
class Ranges:
    """How a tensor is rounded: channel c to a multiple of ``scale[c] * top / 127``, signed or not."""

    scale: Floats
    top: float
    signed: bool

    @property
    def bottom(self) -> float:
        """The least value, at scale 1."""
        return -self.top * (_STEPS + 1) / _STEPS if self.signed else 0.0


def quantise(model: Any, batches: Sequence[Floats]) -> None:
    """Put fake quantisation into a float32 OpenVINO model, in place; the CPU plugin runs it in int8.

    Args:
        model: one input (n, c, h, w).
        batches: what the ranges are measured on.

    Raises:
        RuntimeError: when no convolution lies between two others.
    """
    inner = _inner(model)
    if not inner:
        raise RuntimeError("there is no convolution between two others")
    tensors = {_name(t): t for node in inner for t in _sources(node.input_value(0))}
    joined = [[_name(t) for t in _sources(node.input_value(0))] for node in inner]
    ranges = _agreed(_measured(model, tensors, batches), joined)
    for node, names in zip(inner, joined, strict=True):
        _round_weights(node, np.concatenate([ranges[name].scale for name in names]))
    convolutions = {node.get_friendly_name() for node in inner}
    for name, tensor in tensors.items():
        _round_tensor(tensor, ranges[name], convolutions)
    model.validate_nodes_and_infer_types()


def _inner(model: Any) -> list[Any]:
    """Convolutions by constant weights that have a convolution before them and one after."""
    before: set[str] = set()
    after: set[str] = set()
    nodes = [node for node in model.get_ordered_ops() if node.get_type_name() != "ShapeOf"]
    for node in nodes:
        above = [i.get_source_output().get_node() for i in node.inputs()]
        if any(_convolves(a) or a.get_friendly_name() in before for a in above):
            before.add(node.get_friendly_name())
    for node in reversed(nodes):
        below = [i.get_node() for o in node.outputs() for i in o.get_target_inputs()]
        if any(_convolves(b) or b.get_friendly_name() in after for b in below):
            after.add(node.get_friendly_name())
    both = before & after
    return [n for n in nodes if _convolves(n) and n.get_friendly_name() in both and _weights(n) is not None]


def _convolves(node: Any) -> bool:
    return bool(node.get_type_name() == "Convolution")


def _weights(convolution: Any) -> Floats | None:
    """(out, in, ...) of a convolution, or None when they are no constant."""
    node = convolution.input_value(1).get_node()
    while node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return np.asarray(node.data, dtype=np.float32) if node.get_type_name() == "Constant" else None


def _passes(node: Any) -> bool:
    """Whether a node only copies values and keeps their channels."""
    return bool(node.get_type_name() == "Interpolate" and node.get_attributes()["mode"] == "nearest")


def _joins(node: Any) -> bool:
    """Whether a node puts channels one after the other."""
    return bool(node.get_type_name() == "Concat" and node.get_attributes()["axis"] == 1)


def _sources(output: Any) -> list[Any]:
    """The tensors whose channels, one after the other, make up a tensor."""
    node = output.get_node()
    if _joins(node):
        return [t for i in node.inputs() for t in _sources(i.get_source_output())]
    return _sources(node.input_value(0)) if _passes(node) else [output]


def _name(output: Any) -> str:
    return f"{output.get_node().get_friendly_name()}:{output.get_index()}"


def _measured(
    model: Any, tensors: dict[str, Any], batches: Sequence[Floats]
) -> dict[str, tuple[Floats, bool]]:
    """The largest magnitude of each channel, and whether any value is negative."""
    import openvino

    probe = model.clone()
    model_tensors = {
        f"{node.get_friendly_name()}:{output.get_index()}": output
        for node in probe.get_ordered_ops()
        for output in node.outputs()
    }
    watched = openvino.Model(
        [openvino.opset13.result(model_tensors[name]) for name in tensors], probe.get_parameters()
    )
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(watched, "CPU", settings).create_infer_request()
    low: dict[str, Floats] = {}
    high: dict[str, Floats] = {}
    for batch in batches:
        answers = request.infer([batch])
        for number, name in enumerate(tensors):
            values = answers[number]
            rest = tuple(axis for axis in range(values.ndim) if axis != 1)
            low[name] = np.minimum(low.get(name, np.float32(0)), values.min(axis=rest))
            high[name] = np.maximum(high.get(name, np.float32(0)), values.max(axis=rest))
    return {name: (np.maximum(high[name], -low[name]), bool(low[name].min() < 0)) for name in tensors}


def _agreed(measured: dict[str, tuple[Floats, bool]], joined: Sequence[Sequence[str]]) -> dict[str, Ranges]:
    """Ranges of all tensors; those that are joined share sign and range, by a factor on their scales."""
    ranges: dict[str, Ranges] = {}
    signs = {name: sign for name, (_, sign) in measured.items()}
    while mixed := [names for names in joined if len({signs[name] for name in names}) > 1]:
        for names in mixed:
            signs |= dict.fromkeys(names, True)
    for name, (most, _) in measured.items():
        most = np.maximum(most, max(float(most.max()) * _SMALLEST, 1e-12))
        scale = (most / most.max()) ** np.float32(_EQUALISE)
        # The scales are chosen such that every tensor ends at one, whatever it is joined with.
        ranges[name] = Ranges(scale * (most / scale).max(), 1.0, signs[name])
    return ranges


def _round_weights(convolution: Any, scale: Floats) -> None:
    """Weights that undo the scale of the input's channels, rounded to 255 steps per output channel."""
    from openvino import opset13 as ops

    weights = _weights(convolution)
    if weights is None or weights.shape[1] != len(scale):
        raise RuntimeError("a convolution's weights do not fit its input")
    weights = weights * scale.reshape(1, -1, *[1] * (weights.ndim - 2))
    most = np.abs(weights).max(axis=tuple(range(1, weights.ndim)), keepdims=True)
    top = ops.constant(np.maximum(most, np.float32(1e-12)))
    bottom = ops.constant(-np.maximum(most, np.float32(1e-12)))
    rounded = ops.fake_quantize(ops.constant(weights), bottom, top, bottom, top, 2 * _STEPS + 1)
    convolution.input(1).replace_source_output(rounded.output(0))


def _round_tensor(tensor: Any, ranges: Ranges, inner: set[str]) -> None:
    """Round a tensor for the inner convolutions; residual sums and last convolutions read it as it was."""
    from openvino import opset13 as ops

    behind = [1] * (tensor.get_partial_shape().rank.get_length() - 2)

    def constant(value: Any) -> Any:
        return ops.constant(np.asarray(value, dtype=np.float32).reshape(1, -1, *behind))

    readers = [i for i in tensor.get_target_inputs() if i.get_node().get_type_name() != "ShapeOf"]
    rounded = ops.fake_quantize(
        tensor,
        constant(ranges.bottom * ranges.scale),
        constant(ranges.top * ranges.scale),
        constant(ranges.bottom),
        constant(ranges.top),
        2 * (_STEPS + 1),
    )
    for reader in readers:
        if _only_inner(reader, inner):
            reader.replace_source_output(rounded.output(0))


def _only_inner(reader: Any, inner: set[str]) -> bool:
    """Whether what an input leads to, past joins and copies, is inner convolutions alone.

    Raises:
        RuntimeError: when a join or copy leads to both kinds; its scale could not be undone.
    """
    node = reader.get_node()
    if not (_joins(node) or _passes(node)):
        return _convolves(node) and node.get_friendly_name() in inner and reader.get_index() == 0
    below = [i for o in node.outputs() for i in o.get_target_inputs()]
    found = {_only_inner(i, inner) for i in below if i.get_node().get_type_name() != "ShapeOf"}
    if len(found) > 1:
        raise RuntimeError("a joined tensor is read by an inner convolution and by something else")
    return found == {True}
