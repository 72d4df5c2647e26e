"""Where bfloat16 arithmetic saves time: training falls back to float32 where it would be emulated."""

from __future__ import annotations

import torch


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether matrix products in bfloat16 are faster than in float32; a CPU without it takes several times as long."""
    if device.type != "cpu":
        return True
    # Torch before 2.6 does not say; then it is taken for slow.
    asked = (getattr(torch.cpu, f"_is_{kind}_supported", bool) for kind in ("avx512_bf16", "amx_tile"))
    return any(supported() for supported in asked)
