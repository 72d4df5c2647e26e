"""Rate, quality and speed of archives of one capture, beside the peers on the same photographs.

Archives are made and decoded by `pipeline`; writing the results down is `result_files`'.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from nerfstudio_mvc.archive.summary import ArchiveSummary, summarize
from nerfstudio_mvc.benchmarking.peer_points import PeerPoints, points_key
from nerfstudio_mvc.benchmarking.peers import Peer
from nerfstudio_mvc.benchmarking.rate_curve import EqualQuality, OnPhotograph, RateCurve
from nerfstudio_mvc.capture.image_files import read_image
from nerfstudio_mvc.errors import MvcError, ShapeError
from nerfstudio_mvc.pipeline.compress import DepthChoice, EffortChoice, compress_capture
from nerfstudio_mvc.pipeline.evaluate import evaluate_archive
from nerfstudio_mvc.pipeline.progress import OnEvent, StepProgress, ignore_event
from nerfstudio_mvc.quality.bd_rate import RatePoint, bd_rate_percent

if TYPE_CHECKING:
    from nerfstudio_mvc.codecs.interface import MultiViewCodec

FEWEST_FOR_BD_RATE = 3


@dataclass(frozen=True)
class CodingOptions:
    """How archives are made and decoded; see `pipeline.compress.compress_capture`."""

    codec: str | MultiViewCodec = "lmvic"
    group_size: int = 16
    depth: DepthChoice = "auto"
    depth_effort: EffortChoice = "default"
    device: str = "auto"
    weights: Path | None = None


@dataclass(frozen=True)
class PeerResult:
    """A peer at an archive's mean PSNR.

    Attributes:
        bytes, bpp: of all photographs; None where the peer does not come to this PSNR.
        saving_percent: how much smaller the archive is (negative: larger).
        settings: of the peer, between which its bytes are interpolated.
        encode_mp_per_s, decode_mp_per_s: million pixels per second at the first of `settings`.
    """

    bytes: float | None
    bpp: float | None
    saving_percent: float | None
    settings: tuple[int, ...]
    encode_mp_per_s: float
    decode_mp_per_s: float


@dataclass(frozen=True)
class ArchiveResult:
    """An archive against its photographs.

    Attributes:
        archive: name of the file; "" when it was made for the measurement.
        codec, fingerprint, quality: how it was coded.
        views, pixels: how many, in all.
        source_bytes: the photographs on disk.
        coded_bytes: the archive without its attachments: what is compared.
        attachment_bytes: the attached files in the archive.
        bpp: 8 x coded_bytes / pixels.
        psnr_db, ms_ssim: means over the views; ms_ssim None when a view is too small for it.
        encode_s: seconds of the whole compression, depth included; None for an archive that was there.
        decode_s: seconds to decode all views, files not written.
        encode_mp_per_s, decode_mp_per_s: million pixels per second.
        peers: by name.
    """

    archive: str
    codec: str
    fingerprint: str
    quality: float
    views: int
    pixels: int
    source_bytes: int
    coded_bytes: int
    attachment_bytes: int
    bpp: float
    psnr_db: float
    ms_ssim: float | None
    encode_s: float | None
    decode_s: float
    encode_mp_per_s: float | None
    decode_mp_per_s: float
    peers: Mapping[str, PeerResult]


@dataclass(frozen=True)
class CaptureResult:
    """All archives of one capture.

    Attributes:
        capture: name of its folder.
        archives: in the order they were measured.
        bd_rate_percent: peer -> rate of the archives against it over the PSNR both reach (-30: 30 % less); empty with
            fewer than three archives, None where the curves share no PSNR.
    """

    capture: str
    archives: tuple[ArchiveResult, ...]
    bd_rate_percent: Mapping[str, float | None]


class CaptureBenchmark:
    """Measures archives of one capture; what the peers were measured at is kept from one archive to the next.

    Args:
        data: the capture's folder.
        peers: whom to compare with.
        options: how archives are made and decoded.
        peer_points: keeps what peers were measured at beyond this benchmark.
    """

    def __init__(
        self,
        data: Path,
        *,
        peers: Sequence[Peer],
        options: CodingOptions | None = None,
        peer_points: PeerPoints | None = None,
    ) -> None:
        self.data = data
        self._peers = peers
        self._options = options or CodingOptions()
        self._peer_points = peer_points
        self._view_names: tuple[str, ...] = ()
        self._curves: dict[str, RateCurve] = {}
        self._results: list[ArchiveResult] = []

    def measure_quality(self, quality: float, *, on_event: OnEvent | None = None) -> ArchiveResult:
        """Make an archive in a temporary folder, and measure it.

        Raises:
            MvcError: see `compress_capture`, `evaluate_archive` and `RateCurve.at_psnr`.
        """
        options = self._options
        with TemporaryDirectory(prefix="ns-mvc-eval-") as folder:
            report = compress_capture(
                self.data,
                Path(folder) / "capture.mvc",
                codec=options.codec,
                quality=quality,
                group_size=options.group_size,
                depth=options.depth,
                depth_effort=options.depth_effort,
                device=options.device,
                weights=options.weights,
                on_event=on_event,
            )
            return self._measure(report.archive, name="", encode_s=report.elapsed_s, on_event=on_event)

    def measure_archive(self, archive: Path, *, on_event: OnEvent | None = None) -> ArchiveResult:
        """Measure a finished archive.

        Raises:
            MvcError: it holds other views than those measured before; else see `evaluate_archive` and
                `RateCurve.at_psnr`.
        """
        return self._measure(archive, name=archive.name, encode_s=None, on_event=on_event)

    def result(self) -> CaptureResult:
        """Everything measured so far."""
        return CaptureResult(
            capture=self.data.resolve().name,
            archives=tuple(self._results),
            bd_rate_percent=self._bd_rates() if len(self._results) >= FEWEST_FOR_BD_RATE else {},
        )

    def _measure(self, archive: Path, *, name: str, encode_s: float | None, on_event: OnEvent | None) -> ArchiveResult:
        summary = summarize(archive)
        self._check_views(archive, summary)
        codec = self._options.codec
        evaluation = evaluate_archive(
            archive,
            self.data,
            device=self._options.device,
            weights=self._options.weights,
            codec=None if isinstance(codec, str) else codec,
            on_event=on_event,
        )
        peers = {
            peer.name: self._measure_peer(peer, evaluation.psnr_db, summary, on_event or ignore_event)
            for peer in self._peers
        }
        megapixels = summary.pixels / 1e6
        result = ArchiveResult(
            archive=name,
            codec=summary.manifest.codec,
            fingerprint=summary.manifest.fingerprint,
            quality=summary.manifest.quality,
            views=len(evaluation.views),
            pixels=summary.pixels,
            source_bytes=summary.source_bytes,
            coded_bytes=summary.file_bytes - summary.attachment_bytes,
            attachment_bytes=summary.attachment_bytes,
            bpp=summary.bpp,
            psnr_db=evaluation.psnr_db,
            ms_ssim=evaluation.ms_ssim,
            encode_s=encode_s,
            decode_s=evaluation.decode_s,
            encode_mp_per_s=None if encode_s is None else _per_second(megapixels, encode_s),
            decode_mp_per_s=_per_second(megapixels, evaluation.decode_s),
            peers=peers,
        )
        self._results.append(result)
        return result

    def _check_views(self, archive: Path, summary: ArchiveSummary) -> None:
        names = tuple(view.name for view in summary.manifest.views)
        if self._view_names and set(names) != set(self._view_names):
            raise MvcError(
                f"{archive} holds other views of {self.data} than the archive before it: measure it in a run of its own"
            )
        self._view_names = self._view_names or names

    def _measure_peer(self, peer: Peer, target_db: float, summary: ArchiveSummary, on_event: OnEvent) -> PeerResult:
        curve = self._curve(peer)
        progress = _peer_progress(peer.name, len(self._view_names), on_event)
        equal = curve.at_psnr(target_db, on_photograph=progress)
        if self._peer_points is not None:
            self._peer_points.put(self._points_key(peer), curve.points())
        return _peer_result(equal, coded_bytes=summary.file_bytes - summary.attachment_bytes, pixels=summary.pixels)

    def _curve(self, peer: Peer) -> RateCurve:
        if peer.name not in self._curves:
            known = self._peer_points.get(self._points_key(peer)) if self._peer_points is not None else ()
            photographs = Photographs(self.data, self._view_names)
            self._curves[peer.name] = RateCurve(peer, photographs, known=known)
        return self._curves[peer.name]

    def _points_key(self, peer: Peer) -> str:
        return points_key(peer, [self.data / name for name in self._view_names])

    def _bd_rates(self) -> dict[str, float | None]:
        ours = sorted({(float(result.coded_bytes), result.psnr_db) for result in self._results})
        return {name: _bd_rate(ours, curve) for name, curve in self._curves.items()}


class Photographs:
    """The photographs of a capture, read anew in every pass: a large capture does not fit into memory.

    Args:
        data: the capture's folder.
        names: of the views, relative to it.
    """

    def __init__(self, data: Path, names: Sequence[str]) -> None:
        self._paths = [data / name for name in names]

    def __iter__(self) -> Iterator[np.ndarray]:
        """One after the other, uint8 [H, W, 3]; raises CaptureError for one that cannot be read."""
        return (read_image(path).pixels for path in self._paths)


def _bd_rate(ours: Sequence[RatePoint], curve: RateCurve) -> float | None:
    try:
        return bd_rate_percent(baseline=curve.rising_points(), tested=ours)
    except ShapeError:
        return None  # the two share no PSNR


def _peer_progress(name: str, views: int, on_event: OnEvent) -> OnPhotograph:
    return lambda setting, done: on_event(StepProgress(f"{name} at setting {setting}", done, views))


def _peer_result(equal: EqualQuality, *, coded_bytes: int, pixels: int) -> PeerResult:
    return PeerResult(
        bytes=equal.bytes,
        bpp=None if equal.bytes is None else 8 * equal.bytes / pixels,
        saving_percent=None if equal.bytes is None else 100 * (1 - coded_bytes / equal.bytes),
        settings=equal.settings,
        encode_mp_per_s=_per_second(pixels / 1e6, equal.encode_s),
        decode_mp_per_s=_per_second(pixels / 1e6, equal.decode_s),
    )


def _per_second(amount: float, elapsed_s: float) -> float:
    # A clock may not have moved on the tiny captures of a test.
    return amount / max(elapsed_s, 1e-9)
