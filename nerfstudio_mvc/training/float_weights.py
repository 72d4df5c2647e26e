"""Weights alone, in float16: a third of a checkpoint's size, and all that a later training starts from."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from nerfstudio_mvc.errors import WeightsError


def save_float_weights(model: nn.Module, path: Path) -> None:
    """Write the weights of `model`."""
    save_file({name: value.detach().cpu().half().contiguous() for name, value in model.state_dict().items()}, path)


def load_float_weights(model: nn.Module, path: Path) -> None:
    """Give `model` the weights of a file that `save_float_weights` wrote.

    Raises:
        WeightsError: the file is missing or holds no weights of this model.
    """
    try:
        model.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    except (OSError, SafetensorError, RuntimeError) as error:
        raise WeightsError(f"cannot start training from {path}: {error}") from error
