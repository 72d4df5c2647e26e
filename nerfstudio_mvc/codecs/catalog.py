"""Which codecs there are, by the name the archive stores: name -> dotted path of the class. Strings only, no torch.

Making a codec of a class and a file of weights is the business of `weights.store`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from nerfstudio_mvc.errors import MvcError

CODEC_CLASSES = {
    "av1": "nerfstudio_mvc.codecs.av1.codec:Av1Codec",
    "lmvic": "nerfstudio_mvc.codecs.lmvic.codec:LmvicCodec",
    "parahydra": "nerfstudio_mvc.codecs.parahydra.paper.codec:ParaHydraPaperCodec",
}
CODECS_WITHOUT_WEIGHTS = ("av1",)
PRESET_CLASSES = {
    ("lmvic", "paper"): "nerfstudio_mvc.codecs.lmvic.paper.codec:PaperCodec",
    ("parahydra", "parahydra-paper"): "nerfstudio_mvc.codecs.parahydra.paper.codec:ParaHydraPaperCodec",
}
"""(codec, preset of its weights) -> class, where it is not the codec's own."""


def codec_class_path(name: str) -> str:
    """Dotted path ``package.module:Class`` of the codec called `name`.

    Raises:
        MvcError: no such codec.
    """
    if name in CODEC_CLASSES:
        return CODEC_CLASSES[name]
    known = ", ".join(sorted(CODEC_CLASSES))
    raise MvcError(f'there is no codec "{name}"; available: {known}')


def load_codec_class(name: str, *, preset: str | None = None) -> type[Any]:
    """The class of the codec called `name` for weights of `preset`; imports its module, and with it torch."""
    path = PRESET_CLASSES.get((name, preset)) or codec_class_path(name)
    module_name, class_name = path.split(":")
    return getattr(import_module(module_name), class_name)
