"""How a network is applied to a whole volume: back ends, plan, tiles, views, and the trust map."""

from medgan_core.inference.apply import Applied, apply
from medgan_core.inference.compiled import Compiled
from medgan_core.inference.plan import Plan
from medgan_core.inference.prepare import prepare
from medgan_core.inference.slabs import Signature, slabs
from medgan_core.inference.trust import expected_error
from medgan_core.inference.views import Viewed, Views, apply_views, axes_for
from medgan_core.inference.whole import Whole, prepare_whole

__all__ = [
    "Applied",
    "Compiled",
    "Plan",
    "Signature",
    "Viewed",
    "Views",
    "Whole",
    "apply",
    "apply_views",
    "axes_for",
    "expected_error",
    "prepare",
    "prepare_whole",
    "slabs",
]
