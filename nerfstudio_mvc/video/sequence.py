"""Pictures as one AV1 sequence, as a video encoder codes them: frames out of order, in layers, with a look ahead.

    planes --libaom, look-ahead--> one temporal unit per picture, without its delimiter --> planes

Frames that are coded early and shown late stand in the unit of the picture before which they are coded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from nerfstudio_mvc.cores import granted_cores
from nerfstudio_mvc.errors import MvcError
from nerfstudio_mvc.video.libaom import Decoder, Encoder
from nerfstudio_mvc.video.obu import check_unit, without_delimiter

LOOK_AHEAD = 35  # libaom's own
MOST_FRAMES = 12
"""Of one unit: hidden ones of all layers, and the one that is shown."""
MOST_THREADS = 16


def threads() -> int:
    """How many threads libaom may use for what the present thread asks of it."""
    return min(MOST_THREADS, granted_cores())


def encode_sequence(
    pictures: Iterable[np.ndarray],
    *,
    width: int,
    height: int,
    quantizer: int,
    speed: int,
    on_units: Callable[[int], None] | None = None,
) -> list[bytes]:
    """Code pictures of one size, each predicted from others.

    Args:
        pictures: planes of 10 bits: uint16 [3, height, width]; taken one at a time.
        quantizer: libaom's cq-level, 0 (finest) to 63.
        speed: libaom's cpu-used, see `speeds`.
        on_units: called with how many units there are so far.

    Returns:
        One unit per picture, in the same order.

    Raises:
        LibaomError: there is no libaom, or it failed.
    """
    encoder = Encoder(width, height, speed=speed, quantizer=quantizer, threads=threads(), lag=LOOK_AHEAD)
    units: list[bytes] = []
    count = 0

    def push(planes: np.ndarray | None) -> bool:
        found = encoder.push(planes)
        units.extend(without_delimiter(unit) for unit in found)
        if found and on_units is not None:
            on_units(len(units))
        return bool(found)

    for planes in pictures:
        count += 1
        push(planes)
    while push(None):
        pass
    if len(units) != count:
        raise MvcError(f"libaom made {len(units)} units of {count} pictures")
    return units


def decode_sequence(units: Sequence[bytes], *, width: int, height: int) -> Iterator[np.ndarray]:
    """The pictures of the first units of a sequence; uint16 [3, height, width] each.

    Raises:
        ArchiveError: they do not decode to as many pictures of that size.
        LibaomError: there is no libaom.
    """
    decoder = Decoder(width, height, threads=threads())
    for position, unit in enumerate(units):
        check_unit(unit, width=width, height=height, first=position == 0, most_frames=MOST_FRAMES)
        yield decoder.decode(unit)
