"""Rate, quality and speed of archives of one capture, beside the peers on the same photographs.

Archives are made and decoded by `pipeline`; writing the results down is `result_files`', showing them `html_report`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from nerfstudio_mvc.archive.reader import ArchiveReader
from nerfstudio_mvc.archive.summary import ArchiveSummary, summarize
from nerfstudio_mvc.benchmarking.curves import BdRate, CurvePoint, bd_rates
from nerfstudio_mvc.benchmarking.peer_points import PeerPoints, points_key
from nerfstudio_mvc.benchmarking.peers import Peer, ViewOrder
from nerfstudio_mvc.benchmarking.rate_curve import EqualQuality, OnPhotograph, RateCurve
from nerfstudio_mvc.benchmarking.side_by_side import CropSpec, Rendition, ViewCrops, choose_crops, coded_by
from nerfstudio_mvc.benchmarking.splat_quality import SplatBenchmark, SplatQuality
from nerfstudio_mvc.capture.image_files import read_image
from nerfstudio_mvc.codecs.catalog import CODECS_WITHOUT_WEIGHTS
from nerfstudio_mvc.errors import MvcError
from nerfstudio_mvc.pipeline.compress import compress_capture
from nerfstudio_mvc.pipeline.evaluate import evaluate_archive
from nerfstudio_mvc.pipeline.options import CompressOptions
from nerfstudio_mvc.pipeline.progress import OnEvent, StepProgress, ignore_event
from nerfstudio_mvc.pipeline.reports import EvaluateReport

if TYPE_CHECKING:
    from nerfstudio_mvc.codecs.interface import MultiViewCodec


@dataclass(frozen=True)
class ViewResult:
    """One view of an archive: its bytes, PSNR in dB (inf when equal), MS-SSIM (None for a view too small for it)."""

    name: str
    bytes: int
    psnr_db: float
    ms_ssim: float | None


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
        view_results: in capture order.
        peers: by name.
        splats: held-out views as splats draw them that were trained on its photographs; None where not asked for.
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
    view_results: tuple[ViewResult, ...]
    peers: Mapping[str, PeerResult]
    splats: SplatQuality | None = None


@dataclass(frozen=True)
class CaptureResult:
    """All archives of one capture.

    Attributes:
        capture: name of its folder.
        archives: in the order they were measured.
        peer_curves: peer -> everything it was measured at, rate rising.
        bd_rates: our codecs, where three archives or more make a curve, against the peers and each other.
        splats: trained on the photographs as they are; None where not asked for.
    """

    capture: str
    archives: tuple[ArchiveResult, ...]
    peer_curves: Mapping[str, tuple[CurvePoint, ...]]
    bd_rates: tuple[BdRate, ...]
    splats: SplatQuality | None = None

    def own_curves(self) -> dict[str, tuple[CurvePoint, ...]]:
        """Codec -> its archives as a curve, rate rising."""
        curves: dict[str, list[CurvePoint]] = {}
        for archive in self.archives:
            point = CurvePoint(archive.quality, archive.coded_bytes, archive.bpp, archive.psnr_db, archive.ms_ssim)
            curves.setdefault(archive.codec, []).append(point)
        return {codec: _by_rate(points) for codec, points in curves.items()}


class CaptureBenchmark:
    """Measures archives of one capture; what the peers were measured at is kept from one archive to the next.

    "Our coding order", which some peers take the photographs in, is that of the first archive measured.

    Args:
        data: the capture's folder.
        peers: whom to compare with.
        options: how archives are made and decoded, their quality aside; `weights` go to the codecs that have some.
        peer_points: keeps what peers were measured at beyond this benchmark.
        with_pictures: measure MS-SSIM of the peers too, and keep crops for `side_by_side`.
        splats: also train splats on the photographs of every archive.
    """

    def __init__(
        self,
        data: Path,
        *,
        peers: Sequence[Peer],
        options: CompressOptions | None = None,
        peer_points: PeerPoints | None = None,
        with_pictures: bool = False,
        splats: SplatBenchmark | None = None,
    ) -> None:
        self.data = data
        self._peers = peers
        self._options = options or CompressOptions()
        self._peer_points = peer_points
        self._with_pictures = with_pictures
        self._splats = splats
        self._splats_of_originals: SplatQuality | None = None
        self._names: dict[ViewOrder, tuple[str, ...]] = {}
        self._curves: dict[str, RateCurve] = {}
        self._results: list[ArchiveResult] = []
        self._crop_specs: tuple[CropSpec, ...] = ()
        self._renditions: list[Rendition] = []

    def measure_quality(
        self, quality: float, *, codec: str | MultiViewCodec | None = None, on_event: OnEvent | None = None
    ) -> ArchiveResult:
        """Make an archive in a temporary folder, with `codec` instead of the options', and measure it.

        Raises:
            MvcError: see `compress_capture`, `evaluate_archive` and `RateCurve.at_psnr`.
        """
        options = self._options if codec is None else replace(self._options, codec=codec)
        with TemporaryDirectory(prefix="ns-mvc-eval-") as folder:
            report = compress_capture(
                self.data,
                Path(folder) / "capture.mvc",
                options,
                quality=quality,
                weights=self._weights_of(options.codec),
                on_event=on_event,
            )
            return self._measure(
                report.archive, name="", codec=options.codec, encode_s=report.elapsed_s, on_event=on_event
            )

    def measure_archive(self, archive: Path, *, on_event: OnEvent | None = None) -> ArchiveResult:
        """Measure a finished archive.

        Raises:
            MvcError: it holds other views than those measured before; else see `evaluate_archive` and
                `RateCurve.at_psnr`.
        """
        return self._measure(archive, name=archive.name, codec=self._options.codec, encode_s=None, on_event=on_event)

    def result(self) -> CaptureResult:
        """Everything measured so far."""
        pixels = self._results[0].pixels if self._results else 1
        peers = {
            name: _by_rate(
                CurvePoint(point.setting, point.bytes, 8 * point.bytes / pixels, point.psnr_db, point.ms_ssim)
                for point in curve.points()
            )
            for name, curve in self._curves.items()
        }
        result = CaptureResult(self.data.resolve().name, tuple(self._results), peers, (), self._splats_of_originals)
        return replace(result, bd_rates=bd_rates(result.own_curves(), peers))

    def side_by_side(self, *, on_event: OnEvent | None = None) -> ViewCrops:
        """The same crops as every codec shows them, peers at the bytes nearest to those of the archive in the middle.

        Raises:
            MvcError: nothing was measured with pictures, or a peer cannot code a photograph.
        """
        if not self._renditions:
            raise MvcError(f"{self.data}: no archive was measured with pictures")
        first = self._results[0].codec
        own = sorted((each for each in self._renditions if each.codec == first), key=lambda each: each.bytes)
        middle = own[len(own) // 2]
        shown = [middle]
        for codec in dict.fromkeys(each.codec for each in self._renditions if each.codec != first):
            others = (each for each in self._renditions if each.codec == codec)
            shown.append(min(others, key=lambda each: abs(each.bytes - middle.bytes)))
        for peer in self._peers:
            progress = _peer_progress(peer.name, len(self._names["file"]), on_event or ignore_event)
            curve = self._curve(peer)
            point = curve.at_bytes(middle.bytes, on_photograph=progress)
            self._keep_points(peer, curve)
            photographs = self._photographs(peer.order)
            shown.append(coded_by(peer, photographs, self._names[peer.order], point.setting, self._crop_specs))
        return ViewCrops(self._crop_specs, tuple(self._original(spec) for spec in self._crop_specs), tuple(shown))

    def _measure(
        self,
        archive: Path,
        *,
        name: str,
        codec: str | MultiViewCodec,
        encode_s: float | None,
        on_event: OnEvent | None,
    ) -> ArchiveResult:
        summary = summarize(archive)
        self._check_views(archive, summary)
        rendition = Rendition(summary.manifest.codec, f"quality {summary.manifest.quality:g}", {}, {}, 0)

        def keep(view: str, pixels: np.ndarray) -> None:
            rendition.keep_crops(view, pixels, self._crop_specs)
            if self._splats is not None:
                self._splats.keep(view, pixels)

        evaluation = evaluate_archive(
            archive,
            self.data,
            device=self._options.device,
            weights=self._weights_of(summary.manifest.codec),
            codec=None if isinstance(codec, str) else codec,
            on_event=on_event,
            on_pixels=keep,
        )
        coded_bytes = summary.file_bytes - summary.attachment_bytes
        if self._with_pictures:
            psnrs = {view.name: view.psnr_db for view in evaluation.views}
            self._renditions.append(replace(rendition, view_psnr_db=psnrs, bytes=coded_bytes))
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
            coded_bytes=coded_bytes,
            attachment_bytes=summary.attachment_bytes,
            bpp=summary.bpp,
            psnr_db=evaluation.psnr_db,
            ms_ssim=evaluation.ms_ssim,
            encode_s=encode_s,
            decode_s=evaluation.decode_s,
            encode_mp_per_s=None if encode_s is None else _per_second(megapixels, encode_s),
            decode_mp_per_s=_per_second(megapixels, evaluation.decode_s),
            view_results=_view_results(archive, evaluation),
            peers=peers,
            splats=self._trained_splats(
                name or f"{summary.manifest.codec} quality {summary.manifest.quality:g}", on_event
            ),
        )
        self._results.append(result)
        return result

    def _trained_splats(self, trained_on: str, on_event: OnEvent | None) -> SplatQuality | None:
        if self._splats is None:
            return None
        if self._splats_of_originals is None:
            self._splats_of_originals = self._splats.of_originals(on_event=on_event or ignore_event)
        return self._splats.of_restored(trained_on, on_event=on_event or ignore_event)

    def _weights_of(self, codec: str | MultiViewCodec) -> Path | None:
        return None if codec in CODECS_WITHOUT_WEIGHTS else self._options.weights

    def _check_views(self, archive: Path, summary: ArchiveSummary) -> None:
        names = tuple(sorted(view.name for view in summary.manifest.views))
        if self._names and names != self._names["file"]:
            raise MvcError(
                f"{archive} holds other views of {self.data} than the archive before it: measure it in a run of its own"
            )
        if self._names:
            return
        in_order = (summary.manifest.views[idx].name for group in summary.manifest.groups for idx in group)
        self._names = {"file": names, "coding": tuple(in_order)}
        if self._with_pictures:
            self._crop_specs = choose_crops(self._names["coding"], lambda view: read_image(self.data / view).pixels)

    def _measure_peer(self, peer: Peer, target_db: float, summary: ArchiveSummary, on_event: OnEvent) -> PeerResult:
        curve = self._curve(peer)
        progress = _peer_progress(peer.name, len(self._names["file"]), on_event)
        equal = curve.at_psnr(target_db, on_photograph=progress)
        self._keep_points(peer, curve)
        return _peer_result(equal, coded_bytes=summary.file_bytes - summary.attachment_bytes, pixels=summary.pixels)

    def _curve(self, peer: Peer) -> RateCurve:
        if peer.name not in self._curves:
            known = self._peer_points.get(self._points_key(peer)) if self._peer_points is not None else ()
            self._curves[peer.name] = RateCurve(
                peer, self._photographs(peer.order), with_ms_ssim=self._with_pictures, known=known
            )
        return self._curves[peer.name]

    def _keep_points(self, peer: Peer, curve: RateCurve) -> None:
        if self._peer_points is not None:
            self._peer_points.put(self._points_key(peer), curve.points())

    def _photographs(self, order: ViewOrder) -> Photographs:
        return Photographs(self.data, self._names[order])

    def _points_key(self, peer: Peer) -> str:
        # The order is part of the key: another order of the same photographs makes another sequence.
        return points_key(peer, [self.data / name for name in self._names[peer.order]])

    def _original(self, spec: CropSpec) -> np.ndarray:
        return spec.cut(read_image(self.data / spec.view).pixels)


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


def _by_rate(points: Iterable[CurvePoint]) -> tuple[CurvePoint, ...]:
    return tuple(sorted(points, key=lambda point: (point.bytes, point.psnr_db)))


def _view_results(archive: Path, evaluation: EvaluateReport) -> tuple[ViewResult, ...]:
    """Bytes of each view's strings; the records around them belong to no view."""
    coded: dict[int, int] = {}
    with ArchiveReader(archive) as reader:
        names = [view.name for view in reader.manifest.views]
        for group_idx in range(len(reader.manifest.groups)):
            for view in reader.group_header(group_idx).views:
                coded[view.view_idx] = sum(string.payload_bytes for string in view.strings)
    sizes = {names[view_idx]: size for view_idx, size in coded.items()}
    return tuple(ViewResult(view.name, sizes[view.name], view.psnr_db, view.ms_ssim) for view in evaluation.views)


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
