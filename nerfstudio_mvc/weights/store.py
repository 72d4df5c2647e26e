"""Which weights file belongs to a codec or to an archive, and the codec made from it.

Weights once released stay in this folder for ever, so that every archive keeps decoding; the newest one encodes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from nerfstudio_mvc.codecs.catalog import CODECS_WITHOUT_WEIGHTS, check_codec, load_codec_class, takes_weights
from nerfstudio_mvc.codecs.interface import MultiViewCodec
from nerfstudio_mvc.effort import Effort
from nerfstudio_mvc.errors import WeightsError

FOLDER = Path(__file__).parent


def released(codec: str) -> list[Path]:
    """Weights files of a codec that ship with the package, oldest first (`lmvic_small_1.safetensors`, ..)."""
    return sorted(FOLDER.glob(f"{codec}_*_*.safetensors"), key=lambda path: int(path.stem.rsplit("_", 1)[1]))


def find_weights(codec: str, *, weights: Path | None = None, fingerprint: str | None = None) -> Path:
    """The file to use: `weights` if given, else the released one with `fingerprint`, else the newest.

    Raises:
        WeightsError: there is none, or it is not the one the archive was written with.
    """
    # torch arrives only with weights: codecs without any do without it.
    from nerfstudio_mvc.weights.checkpoint import fingerprint_of

    candidates = [weights] if weights is not None else released(codec)[::-1]
    if not candidates:
        raise WeightsError(f"no weights of {codec} ship with this version: pass a file of trained ones with --weights")
    if fingerprint is None:
        return candidates[0]
    found = []
    for path in candidates:
        try:
            found.append(fingerprint_of(path.read_bytes()))
        except OSError as error:
            raise WeightsError(f"cannot read the weights {path}: {error.strerror or error}") from error
        if found[-1] == fingerprint:
            return path
    have = ", ".join(found)
    raise WeightsError(
        f"the archive was written with {codec} weights {fingerprint}, these are {have}; decoding would give noise. "
        "Pass the matching file with --weights, or update nerfstudio_mvc"
    )


def open_codec(
    name: str,
    *,
    device: str = "cpu",
    weights: Path | None = None,
    fingerprint: str | None = None,
    effort: Effort = "default",
    pictures: Literal["av1", "learned"] = "av1",
) -> MultiViewCodec:
    """A codec with its weights loaded, on `device` ("cpu", "cuda").

    Args:
        effort: how long encoding may take.
        pictures: see `CodecSettings`.

    Raises:
        WeightsError: no such codec, no such weights (see `find_weights`), or a damaged file.
    """
    check_codec(name)
    if name in CODECS_WITHOUT_WEIGHTS and (weights is None or not takes_weights(name)):
        return _open_codec_without_weights(name, weights=weights, fingerprint=fingerprint, effort=effort)
    from nerfstudio_mvc.codecs.spec import CodecSettings
    from nerfstudio_mvc.weights.checkpoint import read

    checkpoint = read(find_weights(name, weights=weights, fingerprint=fingerprint))
    spec = checkpoint.spec
    if spec.codec != name:
        raise WeightsError(f"{weights} holds weights of {spec.codec}: pass --codec {spec.codec}")
    return spec.from_checkpoint(checkpoint, CodecSettings(device=device, effort=effort, pictures=pictures))


def _open_codec_without_weights(
    name: str, *, weights: Path | None, fingerprint: str | None, effort: Effort
) -> MultiViewCodec:
    if weights is not None:
        raise WeightsError(f"codec {name} has no weights: leave out --weights")
    codec = load_codec_class(name)(effort=effort)
    if fingerprint not in (None, *codec.readable):
        raise WeightsError(
            f"the archive was written with {name} profile {fingerprint}, this version knows {codec.fingerprint}: "
            f"{'pass its weights with --weights, or ' if takes_weights(name) else ''}update nerfstudio_mvc"
        )
    return codec
