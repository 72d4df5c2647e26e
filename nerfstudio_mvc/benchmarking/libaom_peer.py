"""AV1 as a peer: the libaom that archives are coded with, as anyone would run it.

One sequence with a look ahead, in our coding order or by file name, or each photograph for itself; constant quantiser,
4:4:4, 10 bits, tuned for PSNR, and no reference put in from outside.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nerfstudio_mvc.benchmarking.video_peers import ARRANGEMENTS, SIZE_HEADER, Arrangement
from nerfstudio_mvc.benchmarking.ycbcr import planes_from_rgb, rgb_from_planes
from nerfstudio_mvc.cores import cores_granted
from nerfstudio_mvc.errors import MvcError
from nerfstudio_mvc.video.libaom import LibaomError, version
from nerfstudio_mvc.video.sequence import decode_sequence, encode_sequence

COARSEST, FINEST, START = 60, 2, 22
UNIT_HEADER = struct.Struct("<I")  # in place of a temporal delimiter and what a container says of a frame


@dataclass(frozen=True)
class LibaomPeer:
    """libaom with an arrangement of the photographs; a setting counts from the coarsest quantiser.

    Photographs of another size than those before them begin a new sequence.

    Attributes:
        arrangement: see `video_peers`.
        speed: libaom's cpu-used, 0 (smallest) to 9 (fastest).
        threads: of the encoder; its bytes do not depend on it.
    """

    arrangement: Arrangement
    speed: int
    threads: int = 1
    db_per_setting: float = 0.55

    @property
    def name(self) -> str:
        """``"av1"``, ``"av1-file"`` or ``"av1-intra"``."""
        return "av1" + ARRANGEMENTS[self.arrangement][0]

    @property
    def description(self) -> str:
        """Encoder, speed, colour sampling, arrangement."""
        return f"AV1 by libaom {version()} speed {self.speed}, 4:4:4 10 bit, {ARRANGEMENTS[self.arrangement][1]}"

    @property
    def settings(self) -> range:
        """From the coarsest quantiser to the finest."""
        return range(COARSEST - FINEST + 1)

    @property
    def start(self) -> int:
        """The setting to try first."""
        return COARSEST - START

    @property
    def order(self) -> Literal["file", "coding"]:
        """Of the photographs it wants."""
        return "coding" if self.arrangement == "coding" else "file"

    def missing(self) -> str:
        """What this machine lacks to run it, and what to do; "" when it runs."""
        try:
            version()
        except LibaomError as error:
            return str(error)
        return ""

    def encode(self, photographs: Iterable[np.ndarray], setting: int) -> list[bytes]:
        """One file for each run of photographs of one size, or for each photograph. uint8 [H, W, 3] each

        Raises:
            MvcError: the encoder failed.
        """
        if self.arrangement == "intra":
            return [self._sequence([pixels], pixels.shape, setting) for pixels in photographs]
        return [self._sequence(run, shape, setting) for shape, run in itertools.groupby(photographs, np.shape)]

    def decode(self, files: Sequence[bytes]) -> Iterator[np.ndarray]:
        """The photographs again, one after the other. uint8 [H, W, 3]

        Raises:
            MvcError: a file does not decode.
        """
        for file in files:
            width, height = SIZE_HEADER.unpack_from(file)
            units, position = [], SIZE_HEADER.size
            while position < len(file):
                (size,) = UNIT_HEADER.unpack_from(file, position)
                position += UNIT_HEADER.size
                units.append(file[position : position + size])
                position += size
            with cores_granted(self.threads):
                for planes in decode_sequence(units, width=width, height=height):
                    yield rgb_from_planes(planes, width=width, height=height)

    def _sequence(self, photographs: Iterable[np.ndarray], shape: tuple[int, ...], setting: int) -> bytes:
        height, width = shape[:2]
        if max(width, height) > 0xFFFF:
            raise MvcError(f"{self.description} cannot code {width}x{height} pixels: leave this peer out")
        with cores_granted(self.threads):
            units = encode_sequence(
                (planes_from_rgb(pixels, width=width, height=height) for pixels in photographs),
                width=width,
                height=height,
                quantizer=COARSEST - setting,
                speed=self.speed,
            )
        return SIZE_HEADER.pack(width, height) + b"".join(UNIT_HEADER.pack(len(unit)) + unit for unit in units)


def libaom_peers(speed: int, *, threads: int = 1) -> tuple[LibaomPeer, ...]:
    """libaom in every arrangement."""
    return tuple(LibaomPeer(arrangement, speed, threads) for arrangement in ARRANGEMENTS)
