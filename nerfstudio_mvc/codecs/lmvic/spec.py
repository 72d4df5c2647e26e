"""LMVIC, small: the model that ships, and the network beside it that restores what AV1 codes."""

from __future__ import annotations

from nerfstudio_mvc.codecs.lmvic.codec import LmvicCodec
from nerfstudio_mvc.codecs.lmvic.learned.config import LmvicConfig
from nerfstudio_mvc.codecs.lmvic.learned.image_coding import ImageTables
from nerfstudio_mvc.codecs.lmvic.learned.image_model import ImageModel
from nerfstudio_mvc.codecs.spec import CodecSettings, CodecSpec, NetworkKind, TrainedModel
from nerfstudio_mvc.restoration.network import RestorationConfig, RestorationNet

RESTORATION = "restoration"


def _from_checkpoint(checkpoint: TrainedModel, settings: CodecSettings) -> LmvicCodec:
    return LmvicCodec(
        checkpoint.model,
        checkpoint.tables,
        fingerprint=checkpoint.fingerprint,
        device=settings.device,
        restoration=checkpoint.beside.get(RESTORATION),
        effort=settings.effort,
        pictures=settings.pictures,
    )


SMALL = CodecSpec(
    codec="lmvic",
    preset="small",
    network=NetworkKind(LmvicConfig, ImageModel),
    table_sets=lambda tables: {"latent": tables.latent, "hyper": tables.hyper},
    make_tables=lambda sets: ImageTables(sets["latent"], sets["hyper"]),
    from_checkpoint=_from_checkpoint,
    beside={RESTORATION: NetworkKind(RestorationConfig, RestorationNet)},
)
