"""Where the networks run: the words of the user to the words of torch."""

from __future__ import annotations

import torch

from nerfstudio_mvc.errors import MvcError


def resolve_device(device: str) -> str:
    """Turn "auto" into "cuda" where there is one, else "cpu"; other names stay as they are.

    Raises:
        MvcError: CUDA was asked for and this machine has none.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise MvcError("no CUDA device is usable here (torch.cuda.is_available() is False): pass --device cpu")
    return device
