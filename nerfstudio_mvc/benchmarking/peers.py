"""The codecs users would pick instead, behind one interface: photographs in, files out, photographs back.

Here are the still-image codecs and the choice among all; those for sequences are `video_peers`' and `libaom_peer`'s.
Which setting gives which quality is `rate_curve`'s to find out.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from PIL import Image, features

from nerfstudio_mvc.benchmarking.libaom_peer import libaom_peers
from nerfstudio_mvc.benchmarking.peer_names import PeerName
from nerfstudio_mvc.benchmarking.video_peers import VideoEffort, video_peers
from nerfstudio_mvc.errors import MvcError
from nerfstudio_mvc.video.speeds import SPEEDS

AVIF_SPEED = 4
AV1_SPEED = SPEEDS["default"].stream
"""That of archives at the default effort."""

ViewOrder = Literal["file", "coding"]
"""In which order photographs are handed over: by file name, or as our codecs take them."""


class Peer(Protocol):
    """A codec with one whole-number setting that trades bytes for quality.

    Attributes:
        name: short, for column heads and flags.
        description: what exactly is measured, for the line below a table.
        settings: all values of the setting, quality rising (or staying) from the first to the last.
        start: the setting to try first.
        db_per_setting: about how much PSNR rises with the setting; only the second guess of a search hangs on it.
        order: of the photographs it wants.
    """

    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def settings(self) -> range: ...
    @property
    def start(self) -> int: ...
    @property
    def db_per_setting(self) -> float: ...
    @property
    def order(self) -> ViewOrder: ...

    def missing(self) -> str:
        """What this machine lacks to run it, and what to do; "" when it runs."""
        ...

    def encode(self, photographs: Iterable[np.ndarray], setting: int) -> Sequence[bytes]:
        """Every byte a decoder needs: one file per photograph, or one for several of them in a row.

        Photographs are uint8 [H, W, 3].
        """
        ...

    def decode(self, files: Sequence[bytes]) -> Iterator[np.ndarray]:
        """The photographs again, in their order. uint8 [H, W, 3] each"""
        ...


@dataclass(frozen=True)
class StillPeer:
    """A still-image encoder of Pillow; every photograph is a file of its own, without metadata.

    Attributes:
        name, description, settings, start, db_per_setting, order: see `Peer`.
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
    db_per_setting: float = 0.2
    order: ViewOrder = "file"

    def missing(self) -> str:
        """What this machine lacks to run it, and what to do; "" when it runs."""
        module = self.pillow_format.lower()
        if module in ("webp", "avif") and not features.check(module):
            return f"this Pillow cannot write {module.upper()}: install Pillow 11.3 or newer"
        if module == "jxl" and importlib.util.find_spec("pillow_jxl") is None:
            return 'Pillow cannot write JPEG XL: pip install "pillow-jxl-plugin>=1.3"'
        return ""

    def encode(self, photographs: Iterable[np.ndarray], setting: int) -> list[bytes]:
        """One file per photograph. uint8 [H, W, 3] each"""
        self._register()
        return [self._smallest(Image.fromarray(pixels), setting) for pixels in photographs]

    def decode(self, files: Sequence[bytes]) -> Iterator[np.ndarray]:
        """The photographs again, one after the other. uint8 [H, W, 3]"""
        self._register()
        for file in files:
            with Image.open(io.BytesIO(file), formats=(self.pillow_format,)) as image:
                yield np.asarray(image.convert("RGB"))

    def _register(self) -> None:
        if self.pillow_format == "JXL":
            import pillow_jxl  # noqa: F401 - optional; importing it teaches Pillow the format

    def _smallest(self, image: Image.Image, setting: int) -> bytes:
        files = []
        for variant in self.variants:
            stream = io.BytesIO()
            image.save(stream, self.pillow_format, quality=setting, **self.options, **variant)
            files.append(stream.getvalue())
        return min(files, key=len)


def make_peers(
    names: Sequence[PeerName],
    *,
    avif_speed: int = AVIF_SPEED,
    av1_speed: int = AV1_SPEED,
    video_effort: VideoEffort = "fast",
    threads: int = 1,
    on_missing: Callable[[str], None] | None = None,
) -> tuple[Peer, ...]:
    """The peers of these names, each once, in the order given.

    Args:
        names: which.
        avif_speed: 0 (smallest files) to 10 (fastest).
        av1_speed: of libaom, 0 (smallest) to 9 (fastest).
        video_effort: of the other sequence encoders.
        threads: of a sequence encoder; its bytes do not depend on it.
        on_missing: told in one line of each peer that cannot run on this machine, which is then left out.

    Raises:
        MvcError: an unknown name, a speed out of range, or, without `on_missing`, a peer that cannot run here.
    """
    if not 0 <= avif_speed <= 10:
        raise MvcError(f"AVIF speed {avif_speed} is out of range: give 0 (smallest files) to 10 (fastest)")
    if not 0 <= av1_speed <= 9:
        raise MvcError(f"AV1 speed {av1_speed} is out of range: give 0 (smallest files) to 9 (fastest)")
    stills = (_jpeg(), _webp(), *_avifs(avif_speed), _jxl())
    sequences = (*libaom_peers(av1_speed, threads=threads), *video_peers(video_effort, threads=threads))
    known: dict[str, Peer] = {peer.name: peer for peer in (*stills, *sequences)}
    chosen = []
    for name in dict.fromkeys(names):
        if name not in known:
            raise MvcError(f'there is no peer "{name}": give some of {", ".join(known)}')
        reason = known[name].missing()
        if not reason:
            chosen.append(known[name])
        elif on_missing is None:
            raise MvcError(f"{reason}, or leave {name} out")
        else:
            on_missing(f"{name} is left out: {reason}")
    return tuple(chosen)


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


def _jxl() -> StillPeer:
    # Made for looks: it has no mode tuned for PSNR, so at equal PSNR it takes more than it needs to look right.
    return StillPeer(
        "jxl",
        "JPEG XL effort 7 (no subsampling, tuned for looks)",
        "JXL",
        options={"effort": 7, "num_threads": 1},
        settings=range(100),  # 100 is lossless
        start=90,
    )
