"""Where the networks run: the words of the user to the words of torch, which loads only where there is a choice."""

from __future__ import annotations

from nerfstudio_mvc.codecs.catalog import takes_weights
from nerfstudio_mvc.errors import MvcError


def resolve_device(device: str, *, codec: str | None = None) -> str:
    """Turn "auto" into "cuda" where there is one, else "cpu"; other names stay as they are.

    A `codec` without networks runs on the CPU.

    Raises:
        MvcError: CUDA was asked for and this machine has none.
    """
    if device == "cpu" or (device == "auto" and codec is not None and not takes_weights(codec)):
        return "cpu"
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise MvcError("no CUDA device is usable here (torch.cuda.is_available() is False): pass --device cpu")
    return device
