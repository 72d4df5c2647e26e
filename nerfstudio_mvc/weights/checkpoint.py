"""A released model in one safetensors file: half-precision weights, exact integer layers, integer tables, fingerprint.

What is loaded is what the encoder used: float weights are rounded to float16 once, on export; integer layers are stored
as the integers they compute with, so loading cannot move them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from nerfstudio_mvc.codecs.lmvic.config import LmvicConfig
from nerfstudio_mvc.codecs.lmvic.four_step_entropy import ROW_STEPS
from nerfstudio_mvc.codecs.lmvic.image_coding import ImageTables
from nerfstudio_mvc.codecs.lmvic.image_model import ImageModel
from nerfstudio_mvc.entropy.integer_layers import ACTIVATION_STEPS, WEIGHT_STEPS, check_exact
from nerfstudio_mvc.entropy.tables import TableSet
from nerfstudio_mvc.errors import WeightsError

FORMAT = "nerfstudio_mvc weights 1"
FINGERPRINT_DIGITS = 12
_BIAS_STEPS = ACTIVATION_STEPS * WEIGHT_STEPS
_MODEL, _TABLES = "model.", "tables."
_METADATA_KEY = "nerfstudio_mvc"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model ready to code with, its tables, and the first 12 hex digits of its file's SHA-256."""

    model: ImageModel
    tables: ImageTables
    fingerprint: str


def fingerprint_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:FINGERPRINT_DIGITS]


def pack(model: ImageModel, tables: ImageTables) -> bytes:
    """A model and its tables as the bytes of a weights file.

    Raises:
        WeightsError: an integer layer could leave the range in which float32 is exact.
    """
    try:
        check_exact(model, added=_largest_added_bias(model))
    except ValueError as error:
        raise WeightsError(f"{error}; train on with smaller weights before exporting") from error
    tensors = {_MODEL + name: _stored(name, value) for name, value in model.state_dict().items()}
    for name, table_set in (("latent", tables.latent), ("hyper", tables.hyper)):
        tensors[f"{_TABLES}{name}.limits"] = torch.from_numpy(table_set.limits.astype(np.int32))
        tensors[f"{_TABLES}{name}.counts"] = torch.from_numpy(table_set.counts.astype(np.int32))
    description = {"format": FORMAT, "codec": "lmvic", "config": asdict(model.config)}
    # One key only: safetensors writes several in random order, and equal models must have equal fingerprints.
    return save_safetensors(tensors, {_METADATA_KEY: json.dumps(description)})


def unpack(content: bytes, *, source: str) -> Checkpoint:
    """The model in the bytes of a weights file; `source` names it in errors.

    Raises:
        WeightsError: not a weights file of this version, or damaged.
    """
    try:
        config = _config(content)
        tensors = load_safetensors(content)
        model = ImageModel(config)
        state = {name[len(_MODEL) :]: value for name, value in tensors.items() if name.startswith(_MODEL)}
        model.load_state_dict({name: _loaded(name, value) for name, value in state.items()})
        sets = {name: _table_set(tensors, name) for name in ("latent", "hyper")}
    except WeightsError:
        raise
    except Exception as error:
        raise WeightsError(
            f"{source} is no weights file of this version ({error}); install the package again"
        ) from error
    return Checkpoint(model.eval().requires_grad_(False), ImageTables(**sets), fingerprint_of(content))


def read(path: Path) -> Checkpoint:
    """`unpack` of a file.

    Raises:
        WeightsError: the file is missing, unreadable or no weights file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {error.strerror or error}") from error
    return unpack(content, source=str(path))


def _config(content: bytes) -> LmvicConfig:
    length = int.from_bytes(content[:8], "little")
    description = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_METADATA_KEY])
    if description["format"] != FORMAT:
        raise ValueError(f"its format is {description['format']!r}")
    values = description["config"].items()
    return LmvicConfig(**{key: tuple(value) if isinstance(value, list) else value for key, value in values})


def _is_integer_layer(name: str) -> bool:
    return name.startswith("scales.")


def _stored(name: str, value: Tensor) -> Tensor:
    value = value.detach().cpu().contiguous()
    if not _is_integer_layer(name):
        return value.to(torch.float16)
    if name.endswith(".weight"):
        return torch.floor(value * WEIGHT_STEPS + 0.5).clamp(-127, 127).to(torch.int8)
    return torch.floor(value * _steps_of(name) + 0.5).to(torch.int32)


def _loaded(name: str, value: Tensor) -> Tensor:
    if not _is_integer_layer(name):
        return value.to(torch.float32)
    return value.to(torch.float32) / (WEIGHT_STEPS if name.endswith(".weight") else _steps_of(name))


def _steps_of(name: str) -> int:
    return ROW_STEPS if name.endswith("base_rows") else _BIAS_STEPS


def _largest_added_bias(model: ImageModel) -> int:
    """The quality and step biases and the channels' own rows are added to accumulators outside the layers."""
    biases = [table.detach().abs().max().item() for table in (model.scales.quality_bias, model.scales.step_bias)]
    rows = model.scales.base_rows.detach().abs().max().item()
    return int(max(max(biases) * _BIAS_STEPS, rows * ROW_STEPS)) + 1


def _table_set(tensors: dict[str, Tensor], name: str) -> TableSet:
    limits = tensors[f"{_TABLES}{name}.limits"].numpy().astype(np.int64)
    return TableSet(limits, tensors[f"{_TABLES}{name}.counts"].numpy().astype(np.uint32))
