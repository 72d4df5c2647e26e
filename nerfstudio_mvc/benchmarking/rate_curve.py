"""Bytes and quality of one peer on one capture: measured where they are needed, kept, and read at a given PSNR.

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
from nerfstudio_mvc.errors import MvcError, ShapeError
from nerfstudio_mvc.quality.ms_ssim import ms_ssim
from nerfstudio_mvc.quality.psnr import psnr_db

MOST_SETTINGS = 6  # per target; reached only where PSNR over the setting is far from a line
CLOSE_DB = 2.25  # between two settings log bytes are a line over PSNR to .4 % (AV1, lund_door, eight settings)
LOG_BYTES_PER_DB = 0.13  # a seventh more bytes for each dB; only the second guess hangs on it

Value = Callable[["PeerPoint"], float]
"""What a search goes by; rises with the setting."""

OnPhotograph = Callable[[int, int], None]
"""Called after each coded photograph with the setting and how many photographs are done at it."""


@dataclass(frozen=True)
class PeerPoint:
    """A capture at one setting.

    Attributes:
        setting: of the peer.
        bytes: of all photographs.
        psnr_db, ms_ssim: means over the photographs; ms_ssim None when it was not asked for or one is too small for it.
        encode_s, decode_s: seconds.
    """

    setting: int
    bytes: int
    psnr_db: float
    encode_s: float
    decode_s: float
    ms_ssim: float | None = None


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
        with_ms_ssim: measure that as well; it takes longer than many an encoder.
        known: points of the same photographs measured before.
    """

    def __init__(
        self,
        peer: Peer,
        photographs: Iterable[np.ndarray],
        *,
        with_ms_ssim: bool = False,
        known: Iterable[PeerPoint] = (),
    ) -> None:
        self.peer = peer
        self._photographs = photographs
        self._with_ms_ssim = with_ms_ssim
        self._measured = {
            point.setting: point
            for point in known
            if point.setting in peer.settings and not (with_ms_ssim and point.ms_ssim is None)
        }

    def points(self) -> tuple[PeerPoint, ...]:
        """Everything measured so far, by setting."""
        return tuple(self._measured[setting] for setting in sorted(self._measured))

    def at_psnr(self, target_db: float, *, on_photograph: OnPhotograph | None = None) -> EqualQuality:
        """Bytes of the capture where the mean PSNR is `target_db`.

        One setting serves all photographs. Between the two settings whose PSNR encloses the target, log bytes are a
        line over PSNR. They are neighbours, or at most CLOSE_DB apart, or more where `MOST_SETTINGS` ran out first.

        Raises:
            MvcError: the peer cannot code a photograph.
        """
        slope = self.peer.db_per_setting
        points = self._enclose(target_db, _psnr_db, slope, on_photograph, close=CLOSE_DB)
        return _between(*points, target_db)

    def at_bytes(self, target_bytes: float, *, on_photograph: OnPhotograph | None = None) -> PeerPoint:
        """The point whose bytes are nearest to `target_bytes`, neighbours measured until there is no nearer one.

        Raises:
            MvcError: the peer cannot code a photograph.
        """
        target, slope = math.log(target_bytes), self.peer.db_per_setting * LOG_BYTES_PER_DB
        points = self._enclose(target, _log_bytes, slope, on_photograph)
        return min((point for point in points if point), key=lambda point: abs(_log_bytes(point) - target))

    def _enclose(
        self,
        target: float,
        value: Value,
        usual_slope: float,
        on_photograph: OnPhotograph | None,
        *,
        close: float = 0.0,
    ) -> tuple[PeerPoint | None, PeerPoint | None]:
        """Points on both sides of a value that rises with the setting, neighbours or nearer than `close`; None on a
        side that the peer does not reach."""
        tried = 0
        while True:
            below, above = self._bracket(target, value)
            setting = self._next_setting(target, value, usual_slope, below, above, at_least=2**tried)
            enclosed = below is not None and above is not None and math.isfinite(value(above))
            if setting is None or (enclosed and (tried >= MOST_SETTINGS or value(above) - value(below) <= close)):
                return below, above
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
        psnrs, similarities, decode_s = [], [], 0.0
        for original in self._photographs:
            start_s = time.monotonic()
            decoded = next(decoder, None)
            decode_s += time.monotonic() - start_s
            if decoded is None:
                raise MvcError(f"{self.peer.description} lost photographs at setting {setting}: leave this peer out")
            psnrs.append(psnr_db(original, decoded))
            similarities.append(_similarity(original, decoded) if self._with_ms_ssim else None)
        return PeerPoint(
            setting=setting,
            bytes=sum(len(file) for file in files),
            psnr_db=float(np.mean(psnrs)),
            ms_ssim=None if None in similarities else float(np.mean(similarities)),
            encode_s=encode_s,
            decode_s=decode_s,
        )

    def _bracket(self, target: float, value: Value) -> tuple[PeerPoint | None, PeerPoint | None]:
        """The highest setting that stays below the target, and the lowest above that which reaches it."""
        reached = [point for point in self.points() if value(point) >= target]
        above = reached[0] if reached else None
        missed = [point for point in self.points() if above is None or point.setting < above.setting]
        return (missed[-1] if missed else None), above

    def _next_setting(
        self,
        target: float,
        value: Value,
        usual_slope: float,
        below: PeerPoint | None,
        above: PeerPoint | None,
        *,
        at_least: int,
    ) -> int | None:
        """The setting to measure next; None when nothing lies between. Unenclosed, go `at_least` so far."""
        settings = self.peer.settings
        low = settings[0] - 1 if below is None else below.setting
        high = settings[-1] + 1 if above is None else above.setting
        if high - low <= 1:
            return None
        near = min(
            (point for point in (below, above) if point is not None),
            key=lambda point: abs(value(point) - target),
            default=None,
        )
        if near is None:
            return self.peer.start
        if below is not None and above is not None:
            slope, at_least = (value(above) - value(below)) / (above.setting - below.setting), 1
        else:
            slope = usual_slope
        away = abs(target - value(near))
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


def _psnr_db(point: PeerPoint) -> float:
    return point.psnr_db


def _log_bytes(point: PeerPoint) -> float:
    return math.log(point.bytes)


def _similarity(original: np.ndarray, decoded: np.ndarray) -> float | None:
    try:
        return ms_ssim(original, decoded)
    except ShapeError:
        return None  # too small for five scales


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
