"""ParaHydra as published."""

from __future__ import annotations

from nerfstudio_mvc.codecs.parahydra.paper.codec import ParaHydraPaperCodec
from nerfstudio_mvc.codecs.parahydra.paper.config import ParaHydraConfig
from nerfstudio_mvc.codecs.parahydra.paper.model import ParaHydraModel
from nerfstudio_mvc.codecs.spec import CodecSettings, CodecSpec, NetworkKind, TrainedModel
from nerfstudio_mvc.entropy.latent_coding import LatentTables


def _from_checkpoint(checkpoint: TrainedModel, settings: CodecSettings) -> ParaHydraPaperCodec:
    return ParaHydraPaperCodec(
        checkpoint.model, checkpoint.tables, fingerprint=checkpoint.fingerprint, device=settings.device
    )


PAPER = CodecSpec(
    codec="parahydra",
    preset="parahydra-paper",
    network=NetworkKind(ParaHydraConfig, ParaHydraModel),
    table_sets=lambda tables: {"latent": tables.latent, "hyper": tables.hyper},
    make_tables=lambda sets: LatentTables(sets["latent"], sets["hyper"]),
    from_checkpoint=_from_checkpoint,
)
