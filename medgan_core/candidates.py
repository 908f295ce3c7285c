"""What a model that suggests segmentations says of an image that nobody has labelled yet.

For active learning: `active` turns what is said of all images into an order of labelling.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from medgan_core import admission, inference, preprocess
from medgan_core.active import disagreement
from medgan_core.card import ModelCard, Port
from medgan_core.engine import Session
from medgan_core.errors import MedganError, UsageError
from medgan_core.inference.segmentation import softmax
from medgan_core.inference.views import SLICES
from medgan_core.monitor import Monitor
from medgan_core.registry import Registry
from medgan_core.volume import Volume

_MOST_SLABS = 32
_MOST_VALUES = 20_000_000
"""Of one view's probabilities; of more every third, fifth, ... voxel along each axis is looked at."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One image as a model sees it.

    Args:
        score: how far the views of it disagree, see `active.disagreement`; 0 or more.
        features: (d,), the network's last features, mean over the image.
    """

    score: float
    features: tuple[float, ...]


def usable(card: ModelCard) -> bool:
    """Whether `look` can ask a model: it suggests segmentations, and one image is enough for it."""
    return card.task == "suggest" and card.min_inputs <= 1 and sum(p.required for p in card.inputs) <= 1


def asked(card: ModelCard) -> Port:
    """The input that a `usable` model takes the one image as."""
    return next((port for port in card.inputs if port.required), card.inputs[0])


def find(registry: Registry, name: str = "") -> ModelCard:
    """The card of a `usable` model.

    Args:
        registry: where models are.
        name: of the model, or "" for the first one there is.

    Raises:
        UsageError: when there is no such model.
    """
    for known in [name] if name in registry.names() else registry.names():
        try:
            card = registry.card(known)
        except MedganError:
            continue  # another model's card that cannot be read
        if usable(card) and name in ("", known):
            return card
    raise UsageError(
        "There is no model to ask",
        expected="a model that suggests a segmentation of one image",
        got=name[:64] or "none installed",
        action="name one that GET /models lists, or choose a way that asks no model",
    )


def look(
    session: Session, model: str, volume: Volume, *, cancel: Callable[[], bool] | None = None
) -> Candidate:
    """Ask a model about an image.

    The members of the ensemble that may disagree are the views along three axes; of an image with thick
    slices, which has one view, the slices and the same slices in the opposite order.

    Args:
        session: device and loaded models.
        model: one that is `usable`.
        volume: the image.
        cancel: polled at every step of work.

    Raises:
        UsageError: when the model cannot be asked.
        InputError: when no model can work on the image.
        UnsuitableError: when it is not what the model was made for, as for a run of the model.
        CancelledError: when cancelled.
    """
    loaded = session.model(model)
    card = loaded.card
    if not usable(card):
        raise UsageError(
            f"The model {model!r} cannot say which image to label next",
            expected="a model that suggests a segmentation from one image",
            got=f"{card.task} of {len(card.inputs)} inputs",
            action="choose another model",
        )
    port = asked(card)
    given = {port.key: volume}
    admission.gated(card, given, admission.looked_at(card, given), session.model)
    ordered = [volume if one is port else None for one in card.inputs]
    presence = [one is not None for one in ordered]
    settings = replace(card.preprocess, output="share")
    array, placement = preprocess.forward(settings, ordered)
    axes = inference.axes_for(array.shape[1:], placement.spacing, 3)
    compiled, monitor = session.compiled(model), Monitor(None, cancel)
    assert isinstance(compiled, inference.Compiled)

    def probabilities(image: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
        return inference.apply_views(
            compiled,
            image,
            presence=presence,
            axes=(axis,),
            memory_limit=session.memory_limit,
            each=softmax,
            monitor=monitor,
        ).values

    members = [_thinned(probabilities(array, axis)) for axis in axes]
    if len(members) == 1:
        turned = np.ascontiguousarray(array[..., ::-1])
        members.append(_thinned(probabilities(turned, SLICES)[..., ::-1]))
    found = _features(loaded.network, array, presence)
    return Candidate(score=disagreement(np.stack(members)), features=tuple(float(x) for x in found))


def _thinned(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(o, i, j, k), every n-th voxel of each axis: the score is a ratio of sums, which hardly changes.

    n is odd, since the network folds 2x2 pixels: an even one would always see the same of them.
    """
    step = max(1, math.ceil((values.size / _MOST_VALUES) ** (1 / 3)))
    step += 1 - step % 2
    return values[:, ::step, ::step, ::step].copy() if step > 1 else values


def _features(network: nn.Module, array: NDArray[np.float32], presence: Sequence[bool]) -> NDArray[Any]:
    """Mean over slices spread evenly along the axis of the slices, (d,)."""
    signature = inference.Signature.of(network)
    depth = array.shape[-1]
    middles = np.unique(np.linspace(0, depth - 1, min(depth, _MOST_SLABS)).round().astype(int))
    device = next(network.parameters()).device
    with torch.inference_mode():
        cut = inference.slabs(torch.from_numpy(array).to(device), middles.tolist(), signature.slices)
        if signature.presence:
            planes = torch.tensor(presence, dtype=cut.dtype, device=device)[None, :, None, None]
            cut = torch.cat([cut, planes.expand(len(cut), -1, *cut.shape[-2:])], dim=1)
        height, width = cut.shape[-2:]
        sides = (0, -width % signature.multiple, 0, -height % signature.multiple)
        padded = functional.pad(cut, sides, mode="replicate")
        features: torch.Tensor = network.features(functional.pixel_unshuffle(padded, 2))  # type: ignore[operator]
        return np.asarray(features.mean((0, 2, 3)).float().cpu().numpy())
