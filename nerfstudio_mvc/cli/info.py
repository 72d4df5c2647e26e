"""ns-mvc-info: what an archive holds and where its bytes are. Reads no photograph and imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nerfstudio_mvc.cli.console import (
    format_bytes,
    format_count,
    format_fingerprint,
    format_quality,
    format_saving,
    format_sizes,
    print_json,
    print_table,
    psnr_rows,
)
from nerfstudio_mvc.cli.main import run_command

if TYPE_CHECKING:
    from nerfstudio_mvc.archive.manifest import Manifest
    from nerfstudio_mvc.archive.summary import ArchiveSummary


@dataclass(frozen=True)
class Info:
    """Show what an .mvc file holds and where its bytes are."""

    archive: Path
    """The .mvc file."""
    json: bool = False
    """Print the numbers as JSON."""

    def run(self) -> int:
        """Do it."""
        # NumPy arrives only now: --help has answered already.
        from nerfstudio_mvc.archive.summary import summarize

        summary = summarize(self.archive)
        if self.json:
            print_json(summary.to_json())
        else:
            _print_summary(summary)
        return 0


def _print_summary(summary: ArchiveSummary) -> None:
    manifest = summary.manifest
    sizes = tuple(dict.fromkeys((view.width, view.height) for view in manifest.views))
    group_sizes = ", ".join(map(str, summary.group_sizes)) if max(summary.group_sizes) > 1 else "1"
    attached_note = f"{format_count(manifest.attached_files, 'file')}, {format_bytes(summary.attached_bytes)} on disk"
    files_bytes = summary.attachment_bytes - summary.metadata_bytes
    rows = [
        ("archive", f"{summary.archive}  (format {manifest.version}, written by {manifest.writer})"),
        ("capture", f"{manifest.kind}: {format_count(len(manifest.views), 'view')}, {format_sizes(sizes)}"),
        ("codec", f"{format_quality(manifest.codec, manifest.quality)}, {format_fingerprint(manifest.fingerprint)}"),
        *_without_geometry(manifest),
        ("groups", f"{len(manifest.groups)}, views in each: {group_sizes}"),
        ("file", format_bytes(summary.file_bytes)),
        ("  photographs", format_bytes(summary.image_bytes)),
        ("  depth", format_bytes(summary.depth_bytes)),
        ("  cameras", format_bytes(summary.camera_bytes)),
        ("  manifest and container", format_bytes(summary.container_bytes)),
        ("  attached files", f"{format_bytes(files_bytes)}  ({manifest.attachments}: {attached_note})"),
        ("  EXIF and the like of the photographs", format_bytes(summary.metadata_bytes)),
        *psnr_rows(summary.psnr_db, summary.file_psnr_db),
        ("rate", f"{summary.bpp:.4f} bpp, everything but the attached files counted"),
    ]
    if summary.source_bytes:
        coded_bytes = summary.file_bytes - summary.attachment_bytes
        saving = format_saving(coded_bytes, summary.source_bytes)
        rows.append(("photographs on disk were", f"{format_bytes(summary.source_bytes)}  ({saving})"))
    rows += [("left out", f"{item.path}  {format_bytes(item.bytes)}  {item.reason}") for item in manifest.left_out]
    print_table(rows)


def _without_geometry(manifest: Manifest) -> list[tuple[str, str]]:
    names = [manifest.views[view_idx].name for view_idx in manifest.without_geometry]
    if not names:
        return []
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    return [("coded without geometry", f"{format_count(len(names), 'view')}: {shown}")]


def main() -> None:
    """Entry point of `ns-mvc-info`."""
    run_command(Info, "ns-mvc-info")
