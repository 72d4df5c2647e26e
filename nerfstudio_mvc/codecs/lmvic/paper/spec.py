"""LMVIC as published."""

from __future__ import annotations

from nerfstudio_mvc.codecs.lmvic.paper.codec import PaperCodec
from nerfstudio_mvc.codecs.lmvic.paper.config import PaperConfig
from nerfstudio_mvc.codecs.lmvic.paper.model import PaperModel
from nerfstudio_mvc.codecs.lmvic.paper.tables import PaperTables
from nerfstudio_mvc.codecs.spec import CodecSettings, CodecSpec, NetworkKind, TrainedModel
from nerfstudio_mvc.entropy.latent_coding import LatentTables
from nerfstudio_mvc.entropy.tables import TableSet


def _from_checkpoint(checkpoint: TrainedModel, settings: CodecSettings) -> PaperCodec:
    return PaperCodec(checkpoint.model, checkpoint.tables, fingerprint=checkpoint.fingerprint, device=settings.device)


def _table_sets(tables: PaperTables) -> dict[str, TableSet]:
    return {
        "image.latent": tables.image.latent,
        "image.hyper": tables.image.hyper,
        "depth.latent": tables.depth.latent,
        "depth.hyper": tables.depth.hyper,
    }


def _make_tables(sets: dict[str, TableSet]) -> PaperTables:
    image, depth = (LatentTables(sets[f"{part}.latent"], sets[f"{part}.hyper"]) for part in ("image", "depth"))
    return PaperTables(image, depth)


PAPER = CodecSpec(
    codec="lmvic",
    preset="paper",
    network=NetworkKind(PaperConfig, PaperModel),
    table_sets=_table_sets,
    make_tables=_make_tables,
    from_checkpoint=_from_checkpoint,
)
