"""What other views did for a view, as pictures to look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nerfstudio_mvc.codecs.parahydra.joint_decoding import Help
from nerfstudio_mvc.codecs.parahydra.merging import STEPS

_OF_TRUST = np.array([(60, 170, 75), (235, 200, 60), (205, 60, 50)], np.uint8)
"""Green: the way there and back closes; yellow: nearly; red: the side view does not show this."""
_GAIN = 8
"""Grey levels of the picture for one by which merging has changed a sample."""


def explained(alone: np.ndarray, helped: Help, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Pictures by name, uint8 [H, W, 3] each.

    Args:
        alone: the view before others help.
        helped: what they did.
        names: of the side views, as in `helped.sides`.
    """
    height, width = alone.shape[:2]
    change = (helped.merged.pixels.astype(np.int32) - alone) * _GAIN + 128
    found = {
        "alone": alone,
        "merged": helped.merged.pixels,
        "merged minus alone": np.clip(change, 0, 255).astype(np.uint8),
    }
    for rank, (name, side) in enumerate(zip(names, helped.aligned, strict=True)):
        weight = helped.merged.weights[rank][helped.merged.classes[rank]] * 255 // STEPS
        trust = _OF_TRUST[side.trust].repeat(4, 0).repeat(4, 1)[:height, :width]
        label = f"side {rank + 1} {name}"
        found[f"{label}, moved"] = side.pixels
        found[f"{label}, consistency"] = np.ascontiguousarray(trust)
        found[f"{label}, weight"] = weight.astype(np.uint8)[..., None].repeat(3, 2)
    return found
