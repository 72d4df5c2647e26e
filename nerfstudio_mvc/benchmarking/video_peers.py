"""Video encoders as peers: the photographs as one sequence, in our coding order or by file name, or each for itself.

Encoders run in ffmpeg (`ffmpeg_pipe`), libaom without (`libaom_peer`). Each is asked for PSNR rather than looks; what
else they do to a sequence by default stays, except where it measurably costs PSNR here (SVT-AV1's temporal filter,
x265's scene cuts).
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nerfstudio_mvc.benchmarking.ffmpeg_pipe import INSTALL_HINT, decode_frames, encode_frames, ffmpeg_encoders
from nerfstudio_mvc.benchmarking.ycbcr import frame_size, planes_from_rgb, rgb_from_planes
from nerfstudio_mvc.errors import MvcError

VideoEffort = Literal["fast", "default", "high"]
Arrangement = Literal["coding", "file", "intra"]

# What a decoder must be told beside the stream: the size of the photographs in the frame.
SIZE_HEADER = struct.Struct("<HH")
ENDLESS = 9999


@dataclass(frozen=True)
class Encoder:
    """One encoder of ffmpeg.

    Attributes:
        peer: name of the peer in coding order.
        title: what it is called in descriptions, with `presets` (effort -> preset) and `sampling`.
        codec: ffmpeg's name.
        stream_format: of the bytes.
        coarsest, finest: quantiser settings between which PSNR is worth measuring.
        start: the one to try first.
        options: for every arrangement; ``{q}``, ``{preset}`` and ``{threads}`` are filled in.
        inter, intra: further options for a sequence, and for photographs each for itself.
    """

    peer: str
    title: str
    codec: str
    stream_format: str
    presets: dict[VideoEffort, str]
    sampling: str
    coarsest: int
    finest: int
    start: int
    options: str
    inter: str
    intra: str


ENCODERS = (
    Encoder(
        "hevc",
        "HEVC by x265 {preset}",
        "libx265",
        "hevc",
        {"fast": "medium", "default": "slow", "high": "veryslow"},
        "4:4:4 10 bit",
        coarsest=45,
        finest=2,
        start=17,
        options="-preset {preset} -tune psnr -crf {q} -x265-params "
        "log-level=error:info=0:frame-threads=1:pools={threads}:{group}",
        inter="keyint=-1:scenecut=0",
        intra="keyint=1",
    ),
    Encoder(
        "svt",
        "AV1 by SVT-AV1 preset {preset}",
        "libsvtav1",
        "obu",
        {"fast": "6", "default": "4", "high": "2"},
        "4:2:0 10 bit",
        coarsest=60,
        finest=2,
        start=22,
        options="-preset {preset} -crf {q} -pix_fmt yuv420p10le -svtav1-params tune=1:enable-tf=0:lp={threads} {group}",
        inter=f"-g {ENDLESS}",
        intra="-g 1",
    ),
    Encoder(
        "vvc",
        "VVC by vvenc {preset}",
        "libvvenc",
        "vvc",
        {"fast": "faster", "default": "medium", "high": "slower"},
        "4:2:0 10 bit",
        coarsest=48,
        finest=2,
        start=22,
        options="-preset {preset} -qp {q} -qpa 0 -pix_fmt yuv420p10le -threads {threads} {group}",
        inter=f"-g {ENDLESS}",
        intra="-g 1",
    ),
)

ARRANGEMENTS: dict[Arrangement, tuple[str, str]] = {
    "coding": ("", "one sequence in our coding order"),
    "file": ("-file", "one sequence by file name"),
    "intra": ("-intra", "every photograph a key frame"),
}


@dataclass(frozen=True)
class VideoPeer:
    """An encoder with an arrangement of the photographs.

    A setting counts from the coarsest quantiser. Photographs of another size than those before them begin a new
    sequence.

    Attributes:
        encoder, arrangement: see above.
        effort: which of the encoder's presets.
        threads: of the encoder; its bytes do not depend on it.
    """

    encoder: Encoder
    arrangement: Arrangement
    effort: VideoEffort = "fast"
    threads: int = 1
    db_per_setting: float = 0.55

    @property
    def name(self) -> str:
        """E.g. ``"hevc-file"``."""
        return self.encoder.peer + ARRANGEMENTS[self.arrangement][0]

    @property
    def description(self) -> str:
        """Encoder, preset, colour sampling, arrangement."""
        title = self.encoder.title.format(preset=self.encoder.presets[self.effort])
        return f"{title}, {self.encoder.sampling}, {ARRANGEMENTS[self.arrangement][1]}"

    @property
    def settings(self) -> range:
        """From the coarsest quantiser to the finest."""
        return range(self.encoder.coarsest - self.encoder.finest + 1)

    @property
    def start(self) -> int:
        """The setting to try first."""
        return self.encoder.coarsest - self.encoder.start

    @property
    def order(self) -> Literal["file", "coding"]:
        """Of the photographs it wants."""
        return "coding" if self.arrangement == "coding" else "file"

    def missing(self) -> str:
        """What this machine lacks to run it, and what to do; "" when it runs."""
        encoders = ffmpeg_encoders()
        if not encoders:
            return f"there is no ffmpeg: {INSTALL_HINT}"
        if self.encoder.codec not in encoders:
            return f"this ffmpeg has no {self.encoder.codec}: unset IMAGEIO_FFMPEG_EXE, or {INSTALL_HINT}"
        return ""

    def encode(self, photographs: Iterable[np.ndarray], setting: int) -> list[bytes]:
        """One file for each run of photographs of one size. uint8 [H, W, 3] each

        Raises:
            MvcError: the encoder failed.
        """
        return [self._sequence(run, shape, setting) for shape, run in itertools.groupby(photographs, np.shape)]

    def decode(self, files: Sequence[bytes]) -> Iterator[np.ndarray]:
        """The photographs again, one after the other. uint8 [H, W, 3]

        Raises:
            MvcError: a file does not decode.
        """
        for file in files:
            width, height = SIZE_HEADER.unpack_from(file)
            frame_width, frame_height = frame_size([(width, height)])
            frames = decode_frames(
                file[SIZE_HEADER.size :],
                width=frame_width,
                height=frame_height,
                stream_format=self.encoder.stream_format,
            )
            for planes in frames:
                yield rgb_from_planes(planes, width=width, height=height)

    def _sequence(self, photographs: Iterable[np.ndarray], shape: tuple[int, ...], setting: int) -> bytes:
        height, width = shape[:2]
        if max(width, height) > 0xFFFF:
            raise MvcError(f"{self.description} cannot code {width}x{height} pixels: leave this peer out")
        frame_width, frame_height = frame_size([(width, height)])
        stream = encode_frames(
            (planes_from_rgb(pixels, width=frame_width, height=frame_height) for pixels in photographs),
            width=frame_width,
            height=frame_height,
            encoder=("-c:v", self.encoder.codec, *self._options(setting)),
            stream_format=self.encoder.stream_format,
        )
        return SIZE_HEADER.pack(width, height) + stream

    def _options(self, setting: int) -> list[str]:
        filled = self.encoder.options.format(
            q=self.encoder.coarsest - setting,
            preset=self.encoder.presets[self.effort],
            threads=self.threads,
            group=self.encoder.intra if self.arrangement == "intra" else self.encoder.inter,
        )
        return filled.split()


def video_peers(effort: VideoEffort = "fast", *, threads: int = 1) -> tuple[VideoPeer, ...]:
    """All of them: every encoder in every arrangement."""
    return tuple(
        VideoPeer(encoder, arrangement, effort, threads) for encoder in ENCODERS for arrangement in ARRANGEMENTS
    )
