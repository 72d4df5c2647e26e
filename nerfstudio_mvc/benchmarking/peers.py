"""The codecs users would pick instead, behind one interface: photographs in, files out, photographs back.

Which setting gives which quality is `rate_curve`'s to find out. A codec for sequences fits the interface too: it
returns one file for all photographs where these return one for each.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from PIL import Image, features

from nerfstudio_mvc.errors import MvcError

PeerName = Literal["jpeg", "webp", "avif", "avif-perceptual"]
AVIF_SPEED = 4


class Peer(Protocol):
    """A codec with one whole-number setting that trades bytes for quality.

    Attributes:
        name: short, for column heads and flags.
        description: what exactly is measured, for the line below a table.
        settings: all values of the setting, quality rising (or staying) from the first to the last.
        start: the setting to try first.
    """

    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def settings(self) -> range: ...
    @property
    def start(self) -> int: ...

    def encode(self, photographs: Iterable[np.ndarray], setting: int) -> Sequence[bytes]:
        """Every byte a decoder needs: one file per photograph, or one for several. Photographs are uint8 [H, W, 3]."""
        ...

    def decode(self, files: Sequence[bytes]) -> Iterator[np.ndarray]:
        """The photographs again, in their order. uint8 [H, W, 3] each"""
        ...


@dataclass(frozen=True)
class StillPeer:
    """A still-image encoder of Pillow; every photograph is a file of its own, without metadata.

    Attributes:
        name, description, settings, start: see `Peer`.
        pillow_format: e.g. ``"JPEG"``.
        options: for `Image.save`, beside the quality.
        variants: further options that change the file but not its pixels; each photograph keeps the smallest file.
    """

    name: str
    description: str
    pillow_format: str
    options: Mapping[str, Any] = field(default_factory=dict)
    variants: tuple[Mapping[str, Any], ...] = ({},)
    settings: range = range(101)
    start: int = 60

    def encode(self, photographs: Iterable[np.ndarray], setting: int) -> list[bytes]:
        """One file per photograph. uint8 [H, W, 3] each"""
        return [self._smallest(Image.fromarray(pixels), setting) for pixels in photographs]

    def decode(self, files: Sequence[bytes]) -> Iterator[np.ndarray]:
        """The photographs again, one after the other. uint8 [H, W, 3]"""
        for file in files:
            with Image.open(io.BytesIO(file), formats=(self.pillow_format,)) as image:
                yield np.asarray(image.convert("RGB"))

    def _smallest(self, image: Image.Image, setting: int) -> bytes:
        files = []
        for variant in self.variants:
            stream = io.BytesIO()
            image.save(stream, self.pillow_format, quality=setting, **self.options, **variant)
            files.append(stream.getvalue())
        return min(files, key=len)


def make_peers(names: Sequence[PeerName], *, avif_speed: int = AVIF_SPEED) -> tuple[StillPeer, ...]:
    """The peers of these names, each once, in the order given.

    Args:
        names: which.
        avif_speed: 0 (smallest files) to 10 (fastest).

    Raises:
        MvcError: an unknown name, a speed out of range, or a format this Pillow cannot write.
    """
    if not 0 <= avif_speed <= 10:
        raise MvcError(f"AVIF speed {avif_speed} is out of range: give 0 (smallest files) to 10 (fastest)")
    known = {peer.name: peer for peer in (_jpeg(), _webp(), *_avifs(avif_speed))}
    for name in names:
        if name not in known:
            raise MvcError(f'there is no peer "{name}": give some of {", ".join(known)}')
        module = known[name].pillow_format.lower()
        if module in ("webp", "avif") and not features.check(module):
            raise MvcError(f"this Pillow cannot write {module.upper()}: install Pillow 11.3 or newer, or leave it out")
    return tuple(known[name] for name in dict.fromkeys(names))


def _jpeg() -> StillPeer:
    return StillPeer(
        "jpeg",
        "JPEG 4:4:4, optimised tables, progressive where that is smaller",
        "JPEG",
        options={"subsampling": "4:4:4", "optimize": True},
        variants=({}, {"progressive": True}),
        settings=range(1, 101),
    )


def _webp() -> StillPeer:
    return StillPeer("webp", "WebP method 6 (always 4:2:0)", "WEBP", options={"method": 6})


def _avifs(speed: int) -> tuple[StillPeer, StillPeer]:
    options = {"subsampling": "4:4:4", "speed": speed, "max_threads": 1, "codec": "aom"}
    return (
        # The tuning that libavif takes by default gives up PSNR for looks: about a tenth more bytes at equal PSNR.
        StillPeer(
            "avif",
            f"AVIF 4:4:4 speed {speed}, tuned for PSNR",
            "AVIF",
            options={**options, "advanced": {"tune": "psnr"}},
        ),
        StillPeer("avif-perceptual", f"AVIF 4:4:4 speed {speed}, the library's own tuning", "AVIF", options=options),
    )
