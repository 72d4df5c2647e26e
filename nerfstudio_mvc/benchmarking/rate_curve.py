"""Bytes and PSNR of one peer on one capture: measured where they are needed, kept, and read at a given PSNR.

Every setting costs coding the whole capture, so the search guesses from what is measured already.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nerfstudio_mvc.benchmarking.peers import Peer
from nerfstudio_mvc.errors import MvcError
from nerfstudio_mvc.quality.psnr import psnr_db

MOST_SETTINGS = 6  # per target; reached only where PSNR over the setting is far from a line
DB_PER_SETTING = 0.2  # of JPEG, WebP and AVIF between qualities 40 and 80; only the second guess hangs on it

OnPhotograph = Callable[[int, int], None]
"""Called after each coded photograph with the setting and how many photographs are done at it."""


@dataclass(frozen=True)
class PeerPoint:
    """A capture at one setting: bytes of all photographs, mean PSNR over them in dB, seconds both ways."""

    setting: int
    bytes: int
    psnr_db: float
    encode_s: float
    decode_s: float


@dataclass(frozen=True)
class EqualQuality:
    """What a peer takes at a given PSNR.

    Attributes:
        bytes: interpolated between two settings; None where the peer does not come to this PSNR.
        settings: the two settings it lies between, lower quality first; only the nearest one where bytes is None.
        encode_s, decode_s: seconds at the first of `settings`.
    """

    bytes: float | None
    settings: tuple[int, ...]
    encode_s: float
    decode_s: float


class RateCurve:
    """One peer on one capture; measured points are kept, so that further targets cost less.

    Args:
        peer: who codes.
        photographs: uint8 [H, W, 3] each; iterated twice per setting, so it may load them one by one.
        known: points of the same photographs measured before.
    """

    def __init__(self, peer: Peer, photographs: Iterable[np.ndarray], *, known: Iterable[PeerPoint] = ()) -> None:
        self.peer = peer
        self._photographs = photographs
        self._measured = {point.setting: point for point in known if point.setting in peer.settings}

    def points(self) -> tuple[PeerPoint, ...]:
        """Everything measured so far, by setting."""
        return tuple(self._measured[setting] for setting in sorted(self._measured))

    def rising_points(self) -> list[tuple[float, float]]:
        """(bytes, PSNR in dB) of the measured settings that no smaller file equals in PSNR."""
        best_db, rising = -math.inf, []
        for point in sorted(self._measured.values(), key=lambda point: (point.bytes, -point.psnr_db)):
            if best_db < point.psnr_db < math.inf:
                rising.append((float(point.bytes), point.psnr_db))
                best_db = point.psnr_db
        return rising

    def at_psnr(self, target_db: float, *, on_photograph: OnPhotograph | None = None) -> EqualQuality:
        """Bytes of the capture where the mean PSNR is `target_db`.

        One setting serves all photographs. Between the two settings whose PSNR encloses the target, log bytes are a
        line over PSNR. They are neighbours, or a few apart where `MOST_SETTINGS` ran out first.

        Raises:
            MvcError: the peer cannot code a photograph.
        """
        tried = 0
        while True:
            below, above = self._bracket(target_db)
            setting = self._next_setting(target_db, below, above, at_least=2**tried)
            enclosed = below is not None and above is not None and math.isfinite(above.psnr_db)
            if setting is None or (enclosed and tried >= MOST_SETTINGS):
                return _between(below, above, target_db)
            self.measure(setting, on_photograph=on_photograph)
            tried += 1

    def measure(self, setting: int, *, on_photograph: OnPhotograph | None = None) -> PeerPoint:
        """Code the capture at one setting, unless that is done already.

        Raises:
            MvcError: the peer cannot code a photograph.
        """
        if setting not in self._measured:
            try:
                self._measured[setting] = self._code(setting, on_photograph)
            except MvcError:
                raise
            except (OSError, ValueError) as error:  # Pillow's encoders raise both, for instance on too large a picture
                raise MvcError(
                    f"{self.peer.description} failed at setting {setting} ({error}): leave this peer out"
                ) from error
        return self._measured[setting]

    def _code(self, setting: int, on_photograph: OnPhotograph | None) -> PeerPoint:
        source = _TimedReading(self._photographs, lambda done: on_photograph and on_photograph(setting, done))
        start_s = time.monotonic()
        files = self.peer.encode(source, setting)
        encode_s = time.monotonic() - start_s - source.elapsed_s
        decoder = self.peer.decode(files)
        psnrs, decode_s = [], 0.0
        for original in self._photographs:
            start_s = time.monotonic()
            decoded = next(decoder)
            decode_s += time.monotonic() - start_s
            psnrs.append(psnr_db(original, decoded))
        return PeerPoint(
            setting=setting,
            bytes=sum(len(file) for file in files),
            psnr_db=float(np.mean(psnrs)),
            encode_s=encode_s,
            decode_s=decode_s,
        )

    def _bracket(self, target_db: float) -> tuple[PeerPoint | None, PeerPoint | None]:
        """The highest setting that stays below the target, and the lowest above that which reaches it."""
        reached = [point for point in self.points() if point.psnr_db >= target_db]
        above = reached[0] if reached else None
        missed = [point for point in self.points() if above is None or point.setting < above.setting]
        return (missed[-1] if missed else None), above

    def _next_setting(
        self, target_db: float, below: PeerPoint | None, above: PeerPoint | None, *, at_least: int
    ) -> int | None:
        """The setting to measure next; None when nothing lies between. Unenclosed, go `at_least` so far."""
        settings = self.peer.settings
        low = settings[0] - 1 if below is None else below.setting
        high = settings[-1] + 1 if above is None else above.setting
        if high - low <= 1:
            return None
        near = min(
            (point for point in (below, above) if point is not None),
            key=lambda point: abs(point.psnr_db - target_db),
            default=None,
        )
        if near is None:
            return self.peer.start
        if below is not None and above is not None:
            slope, at_least = (above.psnr_db - below.psnr_db) / (above.setting - below.setting), 1
        else:
            slope = DB_PER_SETTING
        away = abs(target_db - near.psnr_db)
        if not (math.isfinite(away) and 0 < slope < math.inf):
            # A photograph that came back without any error: halving still ends.
            return (low + high) // 2
        # Rounded away from the near point, so that the target is likely to be enclosed.
        step = max(math.ceil(away / slope), at_least)
        guess = near.setting + (step if near is below else -step)
        return min(max(guess, low + 1), high - 1)


class _TimedReading:
    """Iterates photographs for an encoder, and knows how long loading them took."""

    def __init__(self, photographs: Iterable[np.ndarray], on_coded: Callable[[int], object]) -> None:
        self._photographs = photographs
        self._on_coded = on_coded
        self.elapsed_s = 0.0

    def __iter__(self) -> Iterator[np.ndarray]:
        reading = iter(self._photographs)
        for done in itertools.count(1):
            start_s = time.monotonic()
            pixels = next(reading, None)
            self.elapsed_s += time.monotonic() - start_s
            if pixels is None:
                return
            yield pixels
            self._on_coded(done)


def _between(below: PeerPoint | None, above: PeerPoint | None, target_db: float) -> EqualQuality:
    points: Sequence[PeerPoint] = [point for point in (below, above) if point is not None]
    settings = tuple(point.setting for point in points)
    total_bytes: float | None = None
    if above is not None and above.psnr_db == target_db:
        total_bytes = float(above.bytes)
    elif below is not None and above is not None:
        share = (target_db - below.psnr_db) / (above.psnr_db - below.psnr_db)
        total_bytes = math.exp((1 - share) * math.log(below.bytes) + share * math.log(above.bytes))
    return EqualQuality(bytes=total_bytes, settings=settings, encode_s=points[0].encode_s, decode_s=points[0].decode_s)
