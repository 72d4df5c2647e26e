"""ns-mvc-compress: a capture folder to one `.mvc` file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nerfstudio_mvc.cli.console import format_bytes, format_saving, format_seconds, print_json, print_table, psnr_rows
from nerfstudio_mvc.cli.flags import (
    DeviceChoice,
    OptionalFloat,
    OptionalInt,
    OptionalPath,
    OptionalQuality,
    OptionalText,
    parse_bytes,
)
from nerfstudio_mvc.cli.main import run_command
from nerfstudio_mvc.effort import Effort
from nerfstudio_mvc.pipeline.options import (
    DEFAULT_GROUP_SIZE,
    DEFAULT_ORDER,
    AttachmentChoice,
    CompressOptions,
    DepthChoice,
    PictureCoding,
)

if TYPE_CHECKING:
    from nerfstudio_mvc.pipeline.reports import CompressReport


@dataclass(frozen=True)
class Compress:
    """Compress a capture (photographs and cameras) into one .mvc file."""

    data: Path
    """A nerfstudio or COLMAP folder, Polycam's raw export, or bare photographs, whose cameras are then estimated."""
    output: Path
    """The file to make, e.g. garden.mvc. It appears when it is complete and verified."""
    codec: Literal["auto", "lmvic", "av1", "parahydra"] = "auto"
    """How the photographs are coded: each predicted through the geometry of the scene (lmvic, which auto means), or as
    a video (av1)."""
    pictures: PictureCoding = "av1"
    """What codes the pictures of lmvic: AV1, restored by a network; or a network alone (learned), slower and larger."""
    quality: OptionalQuality = None
    """1 (smallest file) to 8 (best photographs); 5 when neither this nor a target is given. Where the originals are to
    be deleted and nothing may be lost, lossless: every file comes back bit for bit, JPEG about a fifth smaller."""
    target_bpp: OptionalFloat = None
    """Find the quality for this rate in bits per pixel, everything but attached files counted, within about 2 %."""
    target_psnr: OptionalFloat = None
    """Find the quality for this PSNR in dB, mean of the views, within about 0.1 dB."""
    target_size: OptionalText = None
    """Find the quality for a file of this size, attached files included, or up to 3 % less: 800kB, 5MB, 1.2GB."""
    group_size: int = DEFAULT_GROUP_SIZE
    """About how many views are coded together; a group decodes without the others."""
    order: Literal["distance", "overlap", "file", "random"] = DEFAULT_ORDER
    """Which view follows which: the nearest camera, the most points in common, as they come, or at random."""
    depth: DepthChoice = "auto"
    """Where depth comes from: fitted 3D Gaussians, the sparse points, or nowhere; auto takes the best possible."""
    depth_effort: Effort = "default"
    """How long fitting 3D Gaussians may take."""
    effort: Effort = "default"
    """How long encoding may take: about half the time for some 5 % more bytes (fast), or more of it for a slightly
    smaller file (high). Restoring takes as long with either."""
    gaussians: OptionalPath = None
    """Trained Gaussians to take the depth from: splatfacto's config.yml or output folder, or a .ply file."""
    colmap_model: OptionalPath = None
    """Where structure from motion left several models: the one to take, such as sparse/1, not that of most images."""
    attachments: AttachmentChoice = "lean"
    """Other files carried along, restored byte for byte: all but what can be made again (lean), all, cameras and points
    to train from (points; EXIF without maker notes), or none."""
    device: DeviceChoice = "auto"
    """Where the networks run."""
    jobs: OptionalInt = None
    """Groups that are coded at once; as many as cores and memory allow when not given."""
    resume: bool = False
    """Go on with what a stopped run with the same data and settings has left."""
    force: bool = False
    """Replace the output file when it exists."""
    weights: OptionalPath = None
    """A weights file to use instead of the one that ships with the package."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Do it."""
        options = CompressOptions(
            codec=self.codec,
            pictures=self.pictures,
            quality=self.quality,
            target_bpp=self.target_bpp,
            target_psnr_db=self.target_psnr,
            target_size_bytes=None if self.target_size is None else parse_bytes(self.target_size, flag="--target-size"),
            group_size=self.group_size,
            order=self.order,
            depth=self.depth,
            depth_effort=self.depth_effort,
            effort=self.effort,
            gaussians=self.gaussians,
            colmap_model=self.colmap_model,
            attachments=self.attachments,
            device=self.device,
            jobs=self.jobs,
            resume=self.resume,
            force=self.force,
            weights=self.weights,
        )
        # torch and the rest arrive only now: --help has answered already.
        from nerfstudio_mvc.cli.progress_view import ProgressView
        from nerfstudio_mvc.pipeline.compress import compress_capture

        with ProgressView("compressing") as view:
            report = compress_capture(self.data, self.output, options, on_event=view.on_event)
        if self.json:
            print_json(report)
        else:
            _print_report(report)
        return 0


def _print_report(report: CompressReport) -> None:
    coded_bytes = report.file_bytes - report.attachment_bytes
    saved = f"  ({format_saving(coded_bytes, report.source_bytes)})" if report.source_bytes else ""
    rows = [
        ("archive", f"{report.archive}  {format_bytes(report.file_bytes)}"),
        ("photographs on disk", format_bytes(report.source_bytes)),
        ("photographs, cameras and depth in the archive", f"{format_bytes(coded_bytes)}{saved}"),
        ("attached files in the archive", format_bytes(report.attachment_bytes)),
        ("rate, attached files not counted", f"{report.bpp:.4f} bpp"),
    ]
    rows += psnr_rows(report.psnr_db, report.file_psnr_db)
    if report.target is not None:
        rows.append(("target", report.target))
    rows.append(("depth", report.depth))
    rows.append(("time", format_seconds(report.elapsed_s)))
    rows += [("left out", f"{item.path}  {format_bytes(item.bytes)}  {item.reason}") for item in report.left_out]
    print_table(rows)


def main() -> None:
    """Entry point of `ns-mvc-compress`."""
    run_command(Compress, "ns-mvc-compress")
