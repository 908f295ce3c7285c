"""Active learning: which image to label next."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.tasks.strategy import Strategy


class First(Strategy):  # type: ignore[misc]
    """The first image without a final label, by id."""

    def __init__(self) -> None:
        super().__init__("The first image without a label, by name")

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any] | None:
        """The choice, or None when every image has a label."""
        images = sorted(datastore.get_unlabeled_images())
        return {"id": images[0]} if images else None


class Random(Strategy):  # type: ignore[misc]
    """Any image without a final label; one that was given out lately is less likely to come again."""

    def __init__(self) -> None:
        super().__init__("Any image without a label, rather one that was not given out lately")

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any] | None:
        """The choice and its weight (seconds since it was given out); None when every image has a label."""
        images = sorted(datastore.get_unlabeled_images())
        if not images:
            return None
        weights = [_seconds_since(datastore.get_image_info(image), request["strategy"]) for image in images]
        (chosen,) = random.choices(range(len(images)), weights=weights)
        return {"id": images[chosen], "weight": weights[chosen]}


def _seconds_since(info: Mapping[str, Any], strategy: str) -> int:
    """Since the strategy gave an image out, at least 1; since 1970 when it never did."""
    served = info.get("strategy", {}).get(strategy, {}).get("ts", 0)
    return max(1, int(time.time()) - int(served))
