"""What kinds of model a weights file can hold: for each preset its configuration, networks and tables.

Which codec class runs a preset is `codecs.catalog`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from nerfstudio_mvc.codecs.lmvic.learned.config import LmvicConfig
from nerfstudio_mvc.codecs.lmvic.learned.image_coding import ImageTables
from nerfstudio_mvc.codecs.lmvic.learned.image_model import ImageModel
from nerfstudio_mvc.codecs.lmvic.paper.config import PaperConfig
from nerfstudio_mvc.codecs.lmvic.paper.model import PaperModel
from nerfstudio_mvc.codecs.lmvic.paper.tables import PaperTables
from nerfstudio_mvc.codecs.parahydra.paper.config import ParaHydraConfig
from nerfstudio_mvc.codecs.parahydra.paper.model import ParaHydraModel
from nerfstudio_mvc.entropy.latent_coding import LatentTables
from nerfstudio_mvc.entropy.tables import TableSet


@dataclass(frozen=True)
class Preset:
    """One kind of model.

    Attributes:
        codec: name of the codec it belongs to.
        name: as the weights file says it.
        config: dataclass of its widths; `make_model(config)` builds the networks.
        table_sets: its tables by the names they are stored under.
        make_tables: the way back.
    """

    codec: str
    name: str
    config: type[Any]
    make_model: Callable[[Any], nn.Module]
    table_sets: Callable[[Any], dict[str, TableSet]]
    make_tables: Callable[[dict[str, TableSet]], Any]


def _paper_table_sets(tables: PaperTables) -> dict[str, TableSet]:
    return {
        "image.latent": tables.image.latent,
        "image.hyper": tables.image.hyper,
        "depth.latent": tables.depth.latent,
        "depth.hyper": tables.depth.hyper,
    }


def _paper_tables(sets: dict[str, TableSet]) -> PaperTables:
    image, depth = (LatentTables(sets[f"{part}.latent"], sets[f"{part}.hyper"]) for part in ("image", "depth"))
    return PaperTables(image, depth)


SMALL = Preset(
    codec="lmvic",
    name="small",
    config=LmvicConfig,
    make_model=ImageModel,
    table_sets=lambda tables: {"latent": tables.latent, "hyper": tables.hyper},
    make_tables=lambda sets: ImageTables(sets["latent"], sets["hyper"]),
)
PAPER = Preset(
    codec="lmvic",
    name="paper",
    config=PaperConfig,
    make_model=PaperModel,
    table_sets=_paper_table_sets,
    make_tables=_paper_tables,
)
PARAHYDRA_PAPER = Preset(
    codec="parahydra",
    name="parahydra-paper",
    config=ParaHydraConfig,
    make_model=ParaHydraModel,
    table_sets=lambda tables: {"latent": tables.latent, "hyper": tables.hyper},
    make_tables=lambda sets: LatentTables(sets["latent"], sets["hyper"]),
)
PRESETS = {preset.name: preset for preset in (SMALL, PAPER, PARAHYDRA_PAPER)}


def preset_of(model: nn.Module) -> Preset:
    """The preset a model was made from, told by its configuration."""
    return next(preset for preset in PRESETS.values() if isinstance(model.config, preset.config))
