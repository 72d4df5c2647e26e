"""A released model in one safetensors file: half-precision weights, exact integer layers, integer tables, fingerprint.

What is loaded is what the encoder used: float weights are rounded to float16 once, on export; integer layers are stored
as the integers they compute with, so loading cannot move them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from nerfstudio_mvc.codecs.catalog import load_spec, spec_of_model
from nerfstudio_mvc.codecs.spec import CodecSpec
from nerfstudio_mvc.entropy.integer_layers import ACTIVATION_STEPS, WEIGHT_STEPS, check_exact
from nerfstudio_mvc.entropy.scale_network import ROW_STEPS, ScaleNetwork
from nerfstudio_mvc.entropy.tables import TableSet
from nerfstudio_mvc.errors import WeightsError

FORMAT = "nerfstudio_mvc weights 1"
FINGERPRINT_DIGITS = 12
_BIAS_STEPS = ACTIVATION_STEPS * WEIGHT_STEPS
_MODEL, _TABLES = "model.", "tables."
_METADATA_KEY = "nerfstudio_mvc"
_FIRST_PRESET = "small"
"""Files of this one do not name it."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model ready to code with, tables as its codec takes them, and the first 12 hex digits of its file's SHA-256.

    `beside` are the networks that the file holds besides, by the names its codec gives them.
    """

    spec: CodecSpec
    model: nn.Module
    tables: Any
    fingerprint: str
    beside: Mapping[str, nn.Module] = field(default_factory=dict)


def fingerprint_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:FINGERPRINT_DIGITS]


def pack(model: nn.Module, tables: Any, **beside: nn.Module) -> bytes:
    """A model of any codec, its tables and networks `beside` it, as the bytes of a weights file.

    Raises:
        WeightsError: an integer layer could leave the range in which float32 is exact.
    """
    try:
        check_exact(model, added=_largest_added_bias(model))
    except ValueError as error:
        raise WeightsError(f"{error}; train on with smaller weights before exporting") from error
    tensors = {_MODEL + name: _stored(name, value) for name, value in model.state_dict().items()}
    spec = spec_of_model(model)
    for name, table_set in spec.table_sets(tables).items():
        tensors[f"{_TABLES}{name}.limits"] = torch.from_numpy(table_set.limits.astype(np.int32))
        tensors[f"{_TABLES}{name}.counts"] = torch.from_numpy(table_set.counts.astype(np.int32))
    description = {"format": FORMAT, "codec": spec.codec, "config": asdict(model.config)}
    if spec.preset != _FIRST_PRESET:
        description["preset"] = spec.preset
    for kind, network in beside.items():
        state = network.state_dict().items()
        tensors |= {f"{kind}.{name}": value.detach().cpu().contiguous().half() for name, value in state}
        description[kind] = asdict(network.config)
    # One key only: safetensors writes several in random order, and equal models must have equal fingerprints.
    return save_safetensors(tensors, {_METADATA_KEY: json.dumps(description)})


def unpack(content: bytes, *, source: str) -> Checkpoint:
    """The model in the bytes of a weights file; `source` names it in errors.

    Raises:
        WeightsError: not a weights file of this version, or damaged.
    """
    try:
        description = _description(content)
        spec = load_spec(description["codec"], description.get("preset", _FIRST_PRESET))
        tensors = load_safetensors(content)
        model = spec.network.make(_config(spec.network.config, description["config"]))
        state = _below(_MODEL, tensors)
        model.load_state_dict({name: _loaded(name, value) for name, value in state.items()})
        tables = spec.make_tables(_table_sets(tensors))
        beside = {}
        for name, kind in spec.beside.items():
            if name in description:
                network = kind.make(_config(kind.config, description[name]))
                state = {key: value.float() for key, value in _below(f"{name}.", tensors).items()}
                network.load_state_dict(state)
                beside[name] = network.eval().requires_grad_(False)
    except WeightsError:
        raise
    except Exception as error:
        raise WeightsError(
            f"{source} is no weights file of this version ({error}); install the package again"
        ) from error
    return Checkpoint(spec, model.eval().requires_grad_(False), tables, fingerprint_of(content), beside)


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


def _description(content: bytes) -> dict[str, Any]:
    length = int.from_bytes(content[:8], "little")
    description = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_METADATA_KEY])
    if description["format"] != FORMAT:
        raise ValueError(f"its format is {description['format']!r}")
    return description


def _config(kind: type[Any], values: dict[str, Any]) -> Any:
    """A dataclass of sizes; lists are its tuples."""
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def _is_integer_layer(name: str) -> bool:
    return "scales" in name.split(".")


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


def _largest_added_bias(model: nn.Module) -> int:
    """The quality and step biases and the channels' own rows are added to accumulators outside the layers."""
    largest = 0.0
    for network in model.modules():
        if isinstance(network, ScaleNetwork):
            for name, table in network.named_parameters(recurse=False):
                largest = max(largest, table.detach().abs().max().item() * _steps_of(name))
    return int(largest) + 1


def _table_sets(tensors: dict[str, Tensor]) -> dict[str, TableSet]:
    suffix = ".limits"
    names = [
        name[len(_TABLES) : -len(suffix)] for name in tensors if name.startswith(_TABLES) and name.endswith(suffix)
    ]
    return {name: _table_set(tensors, name) for name in names}


def _table_set(tensors: dict[str, Tensor], name: str) -> TableSet:
    limits = tensors[f"{_TABLES}{name}.limits"].numpy().astype(np.int64)
    return TableSet(limits, tensors[f"{_TABLES}{name}.counts"].numpy().astype(np.uint32))
