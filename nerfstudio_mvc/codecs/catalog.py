"""Which codecs there are, by the name the archive stores, and where they are. Strings only, no torch.

Making a codec of its spec and a file of weights is the business of `weights.store`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nerfstudio_mvc.errors import MvcError

if TYPE_CHECKING:
    from nerfstudio_mvc.codecs.spec import CodecSpec

SPECS = {
    ("lmvic", "small"): "nerfstudio_mvc.codecs.lmvic.spec:SMALL",
    ("lmvic", "paper"): "nerfstudio_mvc.codecs.lmvic.paper.spec:PAPER",
    ("parahydra", "parahydra-paper"): "nerfstudio_mvc.codecs.parahydra.paper.spec:PAPER",
}
"""(codec, preset of its weights) -> dotted path ``package.module:name`` of its `CodecSpec`."""
CODECS_WITHOUT_WEIGHTS = {
    "av1": "nerfstudio_mvc.codecs.av1.codec:Av1Codec",
    "lossless": "nerfstudio_mvc.codecs.lossless.codec:LosslessCodec",
    "parahydra": "nerfstudio_mvc.codecs.parahydra.codec:ParaHydraCodec",
}
"""codec -> dotted path of its class; one that has a spec as well takes weights where they are given."""


def check_codec(name: str) -> None:
    """Raise an MvcError that names the codecs there are where `name` is none of them."""
    known = sorted({*CODECS_WITHOUT_WEIGHTS, *(codec for codec, _ in SPECS)})
    if name not in known:
        raise MvcError(f'there is no codec "{name}"; available: {", ".join(known)}')


def takes_weights(name: str) -> bool:
    """Whether there is a spec of the codec."""
    return any(codec == name for codec, _ in SPECS)


def load_spec(codec: str, preset: str) -> CodecSpec:
    """The spec of a codec for weights of `preset`; imports its modules, and with them torch.

    Raises:
        KeyError: there is none.
    """
    return _load(SPECS[codec, preset])


def spec_of_model(model: Any) -> CodecSpec:
    """The spec of a model at hand, told by its configuration."""
    specs = (_load(path) for path in SPECS.values())
    return next(spec for spec in specs if type(model.config) is spec.network.config)


def load_codec_class(name: str) -> type[Any]:
    """The class of a codec without weights."""
    return _load(CODECS_WITHOUT_WEIGHTS[name])


def _load(path: str) -> Any:
    module_name, name = path.split(":")
    return getattr(import_module(module_name), name)
