"""Our models in CompressAI's registry, once this module is imported; needs the extra `compressai`.

    import nerfstudio_mvc.compressai_models
    from compressai.registry import MODELS
    net = MODELS["lmvic-small"]()

What the models are is the business of `codecs`; without CompressAI they work just the same.
"""

from __future__ import annotations

from pathlib import Path

from compressai.registry import register_model
from torch import nn

from nerfstudio_mvc.codecs.lmvic.learned.single_view import SingleViewCodec
from nerfstudio_mvc.codecs.lmvic.paper.model import PaperModel
from nerfstudio_mvc.codecs.lmvic.spec import SMALL
from nerfstudio_mvc.codecs.parahydra.paper.model import ParaHydraModel
from nerfstudio_mvc.weights.checkpoint import read
from nerfstudio_mvc.weights.store import find_weights

register_model("lmvic-small")(SingleViewCodec)
register_model("lmvic-paper")(PaperModel)
register_model("parahydra-paper")(ParaHydraModel)


def load_model(weights: Path | None = None) -> nn.Module:
    """A trained model with its tables, ready for `compress`: that of a weights file, or the small one that ships.

    Raises:
        WeightsError: there is no such file, or it is damaged.
    """
    checkpoint = read(find_weights("lmvic", weights=weights))
    if checkpoint.spec is not SMALL:
        checkpoint.model.use_tables(checkpoint.tables)
        return checkpoint.model
    return SingleViewCodec(checkpoint.model, checkpoint.tables).eval()
