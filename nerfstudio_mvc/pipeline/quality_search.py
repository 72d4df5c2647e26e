"""Which quality reaches a wanted rate, PSNR or file size: tried on a few views, corrected once all are coded.

Coding all views and writing the file is the business of `compress.py`; any codec behind the interface will do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nerfstudio_mvc.archive.group_entry import encode_group
from nerfstudio_mvc.capture.views import SourceView
from nerfstudio_mvc.codecs.interface import MultiViewCodec
from nerfstudio_mvc.errors import MvcError
from nerfstudio_mvc.pipeline.options import CompressOptions
from nerfstudio_mvc.quality.psnr import psnr_db

SAMPLE_VIEWS = 6  # coded at every quality that is tried
SAMPLE_GROUPS = 3
MAX_TRIALS = 5
MAX_CORRECTIONS = 2
QUALITIES = np.arange(16, 129) / 16  # sixteenths: finer steps change nothing in the codecs there are
FIRST_TRIAL = 5.0
SIZE_MARGIN = 0.015  # relative
HIGHEST_PSNR_DB = 100.0  # stands for infinite
NEAR = 0.25  # of a tried quality: no need to try again


@dataclass(frozen=True)
class QualityTarget:
    """What the archive should come to.

    Attributes:
        kind: "bpp" (everything but the attached files), "psnr" (mean of the views) or "size" (the whole file).
        value: bit per pixel, dB, or bytes.
    """

    kind: Literal["bpp", "psnr", "size"]
    value: float

    @property
    def goal(self) -> float:
        """Aimed at, as a `level`; of a file size a little less, because it should rather not be exceeded."""
        return self.level(self.value) - (SIZE_MARGIN if self.kind == "size" else 0.0)

    @property
    def tolerance(self) -> float:
        """Levels that do not differ by more are as good as equal."""
        return {"bpp": 0.02, "psnr": 0.1, "size": SIZE_MARGIN}[self.kind]

    @property
    def usual_slope(self) -> float:
        """Levels per step of quality, before anything is known."""
        return 1.6 if self.kind == "psnr" else 0.45

    def level(self, value: float) -> float:
        """A value on the scale where quality acts about linearly: dB, or the logarithm of bytes."""
        return min(value, HIGHEST_PSNR_DB) if self.kind == "psnr" else math.log(value)

    def text(self, value: float) -> str:
        """A value with its unit."""
        if self.kind == "size":
            return f"{value / 1e6:.3f} MB" if value >= 1e6 else f"{value / 1e3:.1f} kB"
        return f"{value:.2f} dB" if self.kind == "psnr" else f"{value:.4f} bpp"


def target_of(options: CompressOptions) -> QualityTarget | None:
    """The target that the options give; None where they give none."""
    if options.target_bpp is not None:
        return QualityTarget("bpp", options.target_bpp)
    if options.target_psnr_db is not None:
        return QualityTarget("psnr", options.target_psnr_db)
    return None if options.target_size_bytes is None else QualityTarget("size", options.target_size_bytes)


class QualitySearch:
    """Proposes qualities, is told what came of them.

    The curve of the sample runs through what was tried, linear between and beyond; all views together are taken to run
    beside it, at the distance seen where all were coded, and straight between a quality known to be too low and one
    known to be too high.
    """

    def __init__(self, target: QualityTarget) -> None:
        self.target = target
        self._tried: dict[float, float] = {}
        self._coded: dict[float, float] = {}

    @property
    def trials(self) -> int:
        """How many qualities were tried on the sample."""
        return len(self._tried)

    def next_trial(self) -> float | None:
        """The quality to try on the sample next; None when the curve is known well enough."""
        if not self._tried:
            return FIRST_TRIAL
        best = self.best()
        nearest = min(abs(best - quality) for quality in self._tried)
        return None if nearest < NEAR or len(self._tried) == MAX_TRIALS else best

    def tell_trial(self, quality: float, value: float) -> None:
        """What the sample came to, as an estimate for all views."""
        self._tried[quality] = self.target.level(value)

    def best(self) -> float:
        """The quality at which the sample meets the goal."""
        return self._meeting(self._curve(self._tried, QUALITIES))

    def correction(self, quality: float, value: float) -> float | None:
        """A quality better than `quality`, at which all views came to `value`; None when there is no better one."""
        level = self.target.level(value)
        self._coded[quality] = level
        if abs(level - self.target.goal) <= self.target.tolerance or len(self._coded) > MAX_CORRECTIONS:
            return None
        below = [known for known, level in self._coded.items() if level <= self.target.goal]
        above = [known for known, level in self._coded.items() if level > self.target.goal]
        if below and above:
            around = {known: self._coded[known] for known in (max(below), min(above))}
            better = self._meeting(self._curve(around, QUALITIES))
        else:
            distance = level - self._curve(self._tried, np.array([quality]))
            better = self._meeting(self._curve(self._tried, QUALITIES) + distance)
        return None if better in self._coded else better

    def _meeting(self, levels: np.ndarray) -> float:
        return float(QUALITIES[np.argmin(np.abs(levels - self.target.goal))])

    def _curve(self, points: Mapping[float, float], qualities: np.ndarray) -> np.ndarray:
        known = np.array(sorted(points))
        # Better quality never costs less: what a codec's small steps say otherwise is noise.
        levels = np.maximum.accumulate([points[quality] for quality in known])
        if len(known) == 1:
            return levels[0] + self.target.usual_slope * (qualities - known[0])
        segment = np.clip(np.searchsorted(known, qualities) - 1, 0, len(known) - 2)
        slopes = np.diff(levels) / np.diff(known)
        return levels[segment] + slopes[segment] * (qualities - known[segment])


def outcome(target: QualityTarget, quality: float, value: float) -> tuple[str, str]:
    """What was reached, in one line, and why it is not what was wanted ("" when it is)."""
    miss = target.level(value) - target.goal
    line = f"{target.text(value)} reached, {target.text(target.value)} wanted, quality {quality:g}"
    if abs(miss) <= target.tolerance:
        return line, ""
    if miss > 0 and quality == QUALITIES[0]:
        return line, "the codec goes no lower"
    if miss < 0 and quality == QUALITIES[-1]:
        return line, "the codec goes no higher"
    return line, "as near as this codec's steps come"


def sample_groups(groups: Sequence[Sequence[int]]) -> list[list[int]]:
    """The first views of a few groups, spread over the capture: `SAMPLE_VIEWS` in all, two of each group or more."""
    count = min(len(groups), SAMPLE_GROUPS)
    chosen = [groups[(2 * idx + 1) * len(groups) // (2 * count)] for idx in range(count)]
    return [list(group[: max(2, SAMPLE_VIEWS // count)]) for group in chosen]


@dataclass(frozen=True)
class Sample:
    """A few views to try qualities on, and how many pixels they stand for.

    Attributes:
        groups: the views, in coding order.
        group_pixels: per group of the capture, pixels of each view in coding order.
        rest_bytes: of the archive besides its groups, where bytes are the target.
    """

    groups: Sequence[Sequence[SourceView]]
    group_pixels: Sequence[Sequence[int]]
    rest_bytes: int = 0

    def value(self, codec: MultiViewCodec, quality: float, target: QualityTarget) -> float:
        """Code the sample and estimate what the whole capture comes to.

        The first view of a group has no neighbours to be predicted from, so firsts stand for firsts and others for
        others.
        """
        firsts, others = _Sums(), _Sums()
        header_bytes, views = 0, 0
        for group_idx, sources in enumerate(self.groups):
            encoded = codec.encode_group(group_idx, sources, quality=quality)
            checks = dict.fromkeys(encoded.reconstructions, 0)
            header_bytes += len(encode_group(encoded.coded, pixel_checks=checks)) - encoded.coded.payload_bytes
            views += len(sources)
            pixels = {source.view.view_idx: source.pixels for source in sources}
            for position, coded in enumerate(encoded.coded.views):
                original = pixels[coded.view_idx]
                psnr = psnr_db(original, encoded.reconstructions[coded.view_idx])
                sums = others if position else firsts
                sums.add(coded.payload_bytes, original.shape[0] * original.shape[1], min(psnr, HIGHEST_PSNR_DB))
        if target.kind == "psnr":
            counts = len(self.group_pixels), sum(len(pixels) - 1 for pixels in self.group_pixels)
            return (firsts.psnr_db * counts[0] + others.psnr_db * counts[1]) / sum(counts)
        first_pixels = sum(pixels[0] for pixels in self.group_pixels)
        all_pixels = sum(map(sum, self.group_pixels))
        payload = firsts.bytes_per_pixel * first_pixels + others.bytes_per_pixel * (all_pixels - first_pixels)
        total = payload + header_bytes / views * sum(map(len, self.group_pixels)) + self.rest_bytes
        return total if target.kind == "size" else 8 * total / all_pixels


class _Sums:
    def __init__(self) -> None:
        self._views, self._bytes, self._pixels, self._psnr_db = 0, 0, 0, 0.0

    def add(self, payload_bytes: int, pixels: int, psnr: float) -> None:
        self._views += 1
        self._bytes += payload_bytes
        self._pixels += pixels
        self._psnr_db += psnr

    @property
    def bytes_per_pixel(self) -> float:
        return self._bytes / self._pixels if self._pixels else 0.0

    @property
    def psnr_db(self) -> float:
        return self._psnr_db / self._views if self._views else 0.0


OnTrial = Callable[[int, int], None]
"""Called with (qualities tried, at most so many)."""


def search_on_sample(
    target: QualityTarget, sample: Sample, codec: MultiViewCodec, *, on_trial: OnTrial
) -> QualitySearch:
    """Try qualities on the sample until `QualitySearch.best` is worth coding all views with.

    Raises:
        MvcError: the wanted size is less than what the archive holds besides photographs.
    """
    if target.kind == "size" and sample.rest_bytes >= target.value:
        raise MvcError(
            f"{target.text(target.value)} is too small: cameras and attached files alone take "
            f"{target.text(sample.rest_bytes)}; give a larger --target-size, or leave files out with --attachments none"
        )
    search = QualitySearch(target)
    on_trial(0, MAX_TRIALS)
    while (quality := search.next_trial()) is not None:
        search.tell_trial(quality, sample.value(codec, quality, target))
        on_trial(search.trials, MAX_TRIALS)
    on_trial(MAX_TRIALS, MAX_TRIALS)
    return search
