"""ns-mvc-eval: bytes, quality and speed of archives, beside stills and video encoders at the same PSNR."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nerfstudio_mvc.benchmarking.peer_names import PeerName
from nerfstudio_mvc.cli.console import format_bytes, format_seconds, print_json, print_table
from nerfstudio_mvc.cli.flags import DeviceChoice, OptionalInt, OptionalPath
from nerfstudio_mvc.cli.main import UsageError, run_command
from nerfstudio_mvc.effort import Effort
from nerfstudio_mvc.pipeline.options import DEFAULT_GROUP_SIZE, CompressOptions, DepthChoice, check_quality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nerfstudio_mvc.benchmarking.capture_benchmark import ArchiveResult, CaptureResult, PeerResult
    from nerfstudio_mvc.benchmarking.peers import Peer
    from nerfstudio_mvc.benchmarking.splat_quality import SplatBenchmark

DEFAULT_QUALITIES = (3.0, 5.0, 7.0)


@dataclass(frozen=True)
class Eval:
    """Measure archives of a capture: bytes, PSNR, MS-SSIM, speed, and what other codecs take at the same PSNR.

    Bytes are those of the whole archive but the attached files. Every peer codes all photographs of a capture at one
    setting, chosen so that its mean PSNR is the archive's.
    """

    data: tuple[Path, ...]
    """Captures to measure."""
    archive: tuple[Path, ...] = ()
    """Finished archives of the one capture; without them archives are made in a temporary folder."""
    qualities: tuple[float, ...] = ()
    """Qualities to make archives at, 1 to 8; 3 5 7 when neither these nor archives are given."""
    peers: tuple[PeerName, ...] = ("jpeg", "webp", "avif")
    """Codecs to compare with; give the flag alone for none. Video encoders (hevc: x265, av1: libaom, svt: SVT-AV1,
    vvc: vvenc) code all photographs as one sequence in our order; -file: by file name; -intra: key frames only."""
    avif_speed: int = 4
    """0 (smallest files) to 10 (fastest); 6 is several times as fast as 4 and takes a few per cent more bytes."""
    peer_points: OptionalPath = None
    """A JSON file that keeps what the peers were measured at; a second run then has little to code with them."""
    video_effort: Effort = "fast"
    """Of the other video encoders: x265 medium, SVT-AV1 6, vvenc faster; default: slow, 4, medium."""
    av1_speed: OptionalInt = None
    """Of libaom as a peer, 0 (smallest files) to 9 (fastest); that of the archives when not given."""
    peer_threads: int = 1
    """Threads of a video encoder; bytes do not depend on it, seconds do."""
    codecs: tuple[Literal["lmvic", "av1", "parahydra"], ...] = ("lmvic",)
    """Codecs of the archives that are made, each at all qualities."""
    group_size: int = DEFAULT_GROUP_SIZE
    """About how many views are coded together in the archives that are made."""
    depth: DepthChoice = "auto"
    """Where depth comes from in the archives that are made."""
    depth_effort: Effort = "default"
    """How long fitting 3D Gaussians may take."""
    device: DeviceChoice = "auto"
    """Where the networks run."""
    weights: OptionalPath = None
    """A weights file to use instead of the one that ships with the package."""
    splats: bool = False
    """Also train 3D Gaussians on the originals and on the photographs of each archive, every eighth view held out, and
    measure how the held-out originals come out (on the CPU; with gsplat where --device is cuda)."""
    splat_seeds: int = 3
    """Trainings on the same photographs: a loss is told where it is larger than they differ."""
    splat_size: int = 640
    """Longer side, in pixels, that photographs are reduced to for these trainings."""
    splat_iterations: int = 4000
    """Steps of each training."""
    splat_gaussians: int = 40_000
    """How many Gaussians a training may come to."""
    output_dir: OptionalPath = None
    """Also write rate_quality.csv, .md and .json, curves.csv and report.html there, anew after every archive."""
    report: OptionalPath = None
    """Write the page with curves, tables and crops there instead."""
    force: bool = False
    """Replace result files that exist."""
    json: bool = False
    """Print the results as JSON."""

    def run(self) -> int:
        """Do it."""
        qualities = self._checked_qualities()
        options = CompressOptions(
            codec=self.codecs[0],
            group_size=self.group_size,
            depth=self.depth,
            depth_effort=self.depth_effort,
            device=self.device,
            weights=self.weights,
        )
        # torch and the rest arrive only now: --help has answered already.
        from nerfstudio_mvc.benchmarking.capture_benchmark import CaptureBenchmark
        from nerfstudio_mvc.benchmarking.html_report import ReportedCapture, check_report, write_report
        from nerfstudio_mvc.benchmarking.peer_points import PeerPoints
        from nerfstudio_mvc.benchmarking.peers import make_peers
        from nerfstudio_mvc.benchmarking.result_files import REPORT_NAME, check_output_dir, write_results
        from nerfstudio_mvc.cli.progress_view import ProgressView

        if self.output_dir is not None:
            check_output_dir(self.output_dir, force=self.force)
        report = self.report or (self.output_dir / REPORT_NAME if self.output_dir is not None else None)
        if report is not None:
            check_report(report, force=self.force)
        peers = make_peers(
            self.peers,
            avif_speed=self.avif_speed,
            av1_speed=self._archives_speed() if self.av1_speed is None else self.av1_speed,
            video_effort=self.video_effort,
            threads=self.peer_threads,
            on_missing=lambda line: print(line, file=sys.stderr),
        )
        peer_points = None if self.peer_points is None else PeerPoints(self.peer_points)
        settings = {
            "peers": {peer.name: peer.description for peer in peers},
            "codecs": self.codecs,
            "group_size": self.group_size,
            "depth": self.depth,
            "depth_effort": self.depth_effort,
            **self._splat_settings(),
        }
        finished: list[ReportedCapture] = []
        for data in self.data:
            benchmark = CaptureBenchmark(
                data,
                peers=peers,
                options=options,
                peer_points=peer_points,
                with_pictures=report is not None,
                splats=self._splat_benchmark(data) if self.splats else None,
            )
            made = ((codec, quality) for codec in self.codecs for quality in qualities)
            for source in (*self.archive, *made):
                with ProgressView(f"compressing {data.name}") as view:
                    if isinstance(source, Path):
                        benchmark.measure_archive(source, on_event=view.on_event)
                    else:
                        codec, quality = source
                        benchmark.measure_quality(quality, codec=codec, on_event=view.on_event)
                if self.output_dir is not None:
                    results = [*(capture.result for capture in finished), benchmark.result()]
                    write_results(self.output_dir, results, settings)
            crops = None
            if report is not None:
                with ProgressView(f"pictures of {data.name}") as view:
                    crops = benchmark.side_by_side(on_event=view.on_event)
            finished.append(ReportedCapture(benchmark.result(), crops))
            if report is not None:
                write_report(report, finished, settings["peers"])
        results = [capture.result for capture in finished]
        if self.json:
            print_json({"settings": settings, "captures": results})
        else:
            _print_results(results, peers)
            if self.splats:
                _print_splats(results, **self._splat_settings()["splats"])
            if report is not None:
                print(f"\nreport: {report}")
        return 0

    def _splat_settings(self) -> dict[str, dict[str, int]]:
        if not self.splats:
            return {}
        settings = {"long_side": self.splat_size, "iterations": self.splat_iterations, "seeds": self.splat_seeds}
        return {"splats": {**settings, "max_gaussians": self.splat_gaussians}}

    def _splat_benchmark(self, data: Path) -> SplatBenchmark:
        from nerfstudio_mvc.benchmarking.splat_quality import SplatBenchmark
        from nerfstudio_mvc.capture.open_capture import load_capture
        from nerfstudio_mvc.pipeline.device import resolve_device
        from nerfstudio_mvc.splatting.fitting import FittingSettings

        return SplatBenchmark(
            load_capture(data),
            FittingSettings(self.splat_size, self.splat_iterations, self.splat_gaussians),
            seeds=self.splat_seeds,
            device=resolve_device(self.device),
        )

    def _archives_speed(self) -> int:
        """libaom's, at the effort that the first archive says, or that of those that are made."""
        from nerfstudio_mvc.archive.summary import summarize
        from nerfstudio_mvc.video.speeds import SPEEDS

        effort = summarize(self.archive[0]).manifest.parameters.get("effort") if self.archive else None
        return SPEEDS.get(effort, SPEEDS["default"]).stream

    def _checked_qualities(self) -> tuple[float, ...]:
        if self.archive and len(self.data) > 1:
            raise UsageError("--archive goes with one capture: give one folder after --data")
        if not self.data:
            raise UsageError("--data names no capture: give one or more folders")
        for quality in self.qualities:
            check_quality("qualities", quality)
        if not self.codecs:
            raise UsageError("--codecs names no codec: give one or more, e.g. lmvic av1")
        for flag in ("splat_seeds", "splat_size", "splat_iterations", "splat_gaussians"):
            if (value := getattr(self, flag)) < 1:
                raise UsageError(f"--{flag.replace('_', '-')} {value} is out of range: give 1 or more")
        if self.peer_threads < 1:
            raise UsageError(f"--peer-threads {self.peer_threads} is out of range: give 1 or more")
        return self.qualities or (() if self.archive else DEFAULT_QUALITIES)


def _print_results(results: Sequence[CaptureResult], peers: Sequence[Peer]) -> None:
    print("Archives, everything but attached files counted:")
    header = ("capture", "archive", "views", "bytes", "bpp", "PSNR dB", "MS-SSIM")
    speeds = ("encode", "MP/s", "decode", "MP/s")
    rows = [_archive_row(result.capture, archive) for result in results for archive in result.archives]
    print_table(rows, header=(*header, *speeds), right=range(2, len(header) + len(speeds)))
    if not peers:
        return
    print("\nBytes of the same photographs at the same mean PSNR, and how much less (-) or more (+) the archive takes:")
    peer_rows = [_peer_row(result.capture, archive, peers) for result in results for archive in result.archives]
    names = tuple(peer.name for peer in peers)
    print_table(peer_rows, header=("capture", "archive", "PSNR dB", "ours", *names), right=range(2, 4 + len(peers)))
    _print_bd_rates(results)
    print()
    for peer in peers:
        print(f"{peer.name}: {peer.description}")


def _print_splats(
    results: Sequence[CaptureResult], *, long_side: int, iterations: int, seeds: int, max_gaussians: int
) -> None:
    from nerfstudio_mvc.benchmarking.splat_table import HEADER, splat_rows

    size = f"{long_side} pixels, {iterations} iterations, {max_gaussians} Gaussians at most"
    print(f"\nSplats on held-out originals ({size}; {seeds} trainings each):")
    rows = [(result.capture, *row) for result in results for row in splat_rows(result)]
    print_table(rows, header=("capture", *HEADER), right=range(2, 1 + len(HEADER)))


def _print_bd_rates(results: Sequence[CaptureResult]) -> None:
    rates = [(result.capture, rate) for result in results for rate in result.bd_rates]
    if not rates:
        return
    baselines = list(dict.fromkeys(rate.baseline for _, rate in rates))
    print("\nBD-rate over PSNR against each of them, per cent (-30: 30 % fewer bytes on average):")
    percents = {(capture, rate.tested, rate.baseline): rate.psnr_percent for capture, rate in rates}
    rows = [
        (*curve, *(_rate_cell(percents.get((*curve, baseline))) for baseline in baselines))
        for curve in dict.fromkeys((capture, rate.tested) for capture, rate in rates)
    ]
    print_table(rows, header=("capture", "codec", *baselines), right=range(2, 2 + len(baselines)))


def _archive_row(capture: str, archive: ArchiveResult) -> tuple[str, ...]:
    return (
        capture,
        _label(archive),
        str(archive.views),
        format_bytes(archive.coded_bytes),
        f"{archive.bpp:.4f}",
        f"{archive.psnr_db:.2f}",
        "-" if archive.ms_ssim is None else f"{archive.ms_ssim:.4f}",
        "-" if archive.encode_s is None else format_seconds(archive.encode_s),
        "-" if archive.encode_mp_per_s is None else f"{archive.encode_mp_per_s:.2f}",
        format_seconds(archive.decode_s),
        f"{archive.decode_mp_per_s:.2f}",
    )


def _peer_row(capture: str, archive: ArchiveResult, peers: Sequence[Peer]) -> tuple[str, ...]:
    cells = (_peer_cell(archive.peers[peer.name]) for peer in peers)
    return (capture, _label(archive), f"{archive.psnr_db:.2f}", format_bytes(archive.coded_bytes), *cells)


def _label(archive: ArchiveResult) -> str:
    return archive.archive or f"{archive.codec} quality {archive.quality:g}"


def _peer_cell(peer: PeerResult) -> str:
    if peer.bytes is None or peer.saving_percent is None:
        return "not reached"
    return f"{format_bytes(peer.bytes)} {-peer.saving_percent:+.1f} %"


def _rate_cell(rate_percent: float | None) -> str:
    return "-" if rate_percent is None else f"{rate_percent:+.1f}"


def main() -> None:
    """Entry point of `ns-mvc-eval`."""
    run_command(Eval, "ns-mvc-eval")
