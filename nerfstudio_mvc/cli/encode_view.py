"""ns-mvc-encode-view: one photograph to a `.mvcv` file, for codec parahydra."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from nerfstudio_mvc.cli.console import format_bytes, print_json
from nerfstudio_mvc.cli.main import run_command
from nerfstudio_mvc.effort import Effort
from nerfstudio_mvc.pipeline.options import DEFAULT_QUALITY


@dataclass(frozen=True)
class EncodeView:
    """Encode one photograph that knows nothing of others; ns-mvc-compress --codec parahydra joins such files."""

    image: Path
    """The photograph."""
    output: Path
    """The file to make, e.g. IMG_0001.mvcv. It appears when it is complete and verified."""
    quality: float = DEFAULT_QUALITY
    """1 (smallest file) to 8 (best photograph); the same for all that are to be joined."""
    effort: Effort = "default"
    """How long encoding may take; the same for all that are to be joined."""
    force: bool = False
    """Replace the output file when it exists."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Do it."""
        from nerfstudio_mvc.pipeline.encode_view import encode_view

        report = encode_view(self.image, self.output, quality=self.quality, effort=self.effort, force=self.force)
        for warning in report.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        if self.json:
            print_json(report)
        else:
            print(
                f"{report.output}  {format_bytes(report.file_bytes)} for {format_bytes(report.source_bytes)}, "
                f"{report.width} x {report.height}, {report.psnr_db:.2f} dB before others help"
            )
        return 0


def main() -> None:
    """Entry point of `ns-mvc-encode-view`."""
    run_command(EncodeView, "ns-mvc-encode-view")
