from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from medgan_core.metrics.unusual import unusual


def test_the_map_is_the_difference_blurred_as_scipy_blurs_it() -> None:
    image, restored, scale = 0.1 + torch.rand(3, 2, 1, 20, 24, generator=torch.Generator().manual_seed(0))
    wanted = [
        ndimage.gaussian_filter(one, 1.5, mode="nearest", radius=5)
        for one in ((image - restored) / scale)[:, 0].double().numpy()
    ]
    both = unusual(image, restored, scale.log(), "both")
    np.testing.assert_allclose(both[:, 0].numpy(), np.abs(wanted), rtol=1e-4, atol=1e-5)
    brighter, darker = (unusual(image, restored, scale.log(), way) for way in ("brighter", "darker"))
    torch.testing.assert_close(brighter + darker, both)
    assert float((brighter * darker).max()) == 0


def test_a_spot_counts_where_its_direction_is_looked_for() -> None:
    restored = torch.full((1, 1, 16, 16), 0.5)
    image = restored.clone()
    image[..., 4:9, 4:9] = 0.9
    image[..., 11:15, 11:15] = 0.1
    scale = torch.zeros_like(image)
    brighter = unusual(image, restored, scale, "brighter")
    assert float(brighter[0, 0, 6, 6]) > 0.25
    assert float(brighter[0, 0, 13, 13]) == 0
    assert float(unusual(image, restored, scale, "darker")[0, 0, 13, 13]) > 0.2
