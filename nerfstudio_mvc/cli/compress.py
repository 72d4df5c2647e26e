"""ns-mvc-compress: a capture folder to one `.mvc` file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import OmitArgPrefixes

from nerfstudio_mvc.cli.coding_flags import CodingFlags
from nerfstudio_mvc.cli.console import format_bytes, format_saving, format_seconds, print_json, print_table, psnr_rows
from nerfstudio_mvc.cli.flags import OptionalFloat, OptionalInt, OptionalText, parse_bytes
from nerfstudio_mvc.cli.main import run_command

if TYPE_CHECKING:
    from nerfstudio_mvc.pipeline.reports import CompressReport


@dataclass(frozen=True)
class Compress:
    """Compress a capture (photographs and cameras) into one .mvc file."""

    data: Path
    """A nerfstudio or COLMAP folder, Polycam's raw export, or bare photographs, whose cameras are then estimated;
    for parahydra also .mvcv files of ns-mvc-encode-view in the place of photographs."""
    output: Path
    """The file to make, e.g. garden.mvc. It appears when it is complete and verified."""
    target_bpp: OptionalFloat = None
    """Find the quality for this rate in bits per pixel, everything but attached files counted, within about 2 %."""
    target_psnr: OptionalFloat = None
    """Find the quality for this PSNR in dB, mean of the views, within about 0.1 dB."""
    target_size: OptionalText = None
    """Find the quality for a file of this size, attached files included, or up to 3 % less: 800kB, 5MB, 1.2GB."""
    jobs: OptionalInt = None
    """Groups that are coded at once; as many as cores and memory allow when not given."""
    resume: bool = False
    """Go on with what a stopped run with the same data and settings has left."""
    force: bool = False
    """Replace the output file when it exists."""
    json: bool = False
    """Print the result as JSON."""
    coding: OmitArgPrefixes[CodingFlags] = field(default_factory=CodingFlags)

    def run(self) -> int:
        """Do it."""
        options = self.coding.options(
            target_bpp=self.target_bpp,
            target_psnr_db=self.target_psnr,
            target_size_bytes=None if self.target_size is None else parse_bytes(self.target_size, flag="--target-size"),
            jobs=self.jobs,
            resume=self.resume,
            force=self.force,
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
