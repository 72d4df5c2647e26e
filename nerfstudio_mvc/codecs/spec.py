"""What a codec tells about its model, so that whoever stores or opens one needs to know no model.

Each codec with a model has one `CodecSpec` per preset; `catalog` says where it is. What a weights file looks like is
the business of `weights`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from torch import nn

from nerfstudio_mvc.codecs.interface import MultiViewCodec
from nerfstudio_mvc.effort import Effort
from nerfstudio_mvc.entropy.tables import TableSet


@dataclass(frozen=True)
class CodecSettings:
    """How a codec is to work; each takes what means something to it.

    Attributes:
        device: "cpu" or "cuda".
        effort: how long encoding may take.
        pictures: what encodes the pictures, AV1 or the learned coder; either is decoded.
    """

    device: str = "cpu"
    effort: Effort = "default"
    pictures: Literal["av1", "learned"] = "av1"


class TrainedModel(Protocol):
    """What a codec is made from: its model, its tables, networks that the file holds beside it, by name."""

    model: Any
    tables: Any
    beside: Mapping[str, nn.Module]
    fingerprint: str


@dataclass(frozen=True)
class NetworkKind:
    """A kind of network: dataclass of its widths, and what builds one."""

    config: type[Any]
    make: Callable[[Any], nn.Module]


@dataclass(frozen=True)
class CodecSpec:
    """One kind of model and the codec that runs it.

    Attributes:
        codec: its name, as archives say it.
        preset: of its model, as weights files say it.
        network: the model; its `config` tells the preset of a model at hand.
        table_sets: the model's tables by the names they are stored under.
        make_tables: the way back.
        from_checkpoint: the codec for a trained model.
        beside: networks that a weights file may hold besides, by name.
    """

    codec: str
    preset: str
    network: NetworkKind
    table_sets: Callable[[Any], dict[str, TableSet]]
    make_tables: Callable[[dict[str, TableSet]], Any]
    from_checkpoint: Callable[[TrainedModel, CodecSettings], MultiViewCodec]
    beside: Mapping[str, NetworkKind] = field(default_factory=dict)
