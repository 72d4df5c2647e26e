"""ns-mvc-verify: is every byte of an archive still what was written. Imports no torch unless it is to decode."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nerfstudio_mvc.cli.console import format_bytes, format_count, print_json, print_table
from nerfstudio_mvc.cli.flags import DeviceChoice, OptionalInt, OptionalPath
from nerfstudio_mvc.cli.main import EXIT_FAILED, run_command

if TYPE_CHECKING:
    from nerfstudio_mvc.pipeline.reports import DecodeCheck


@dataclass(frozen=True)
class Verify:
    """Read every byte of an .mvc file and hold it against its checksums. The exit code is 1 when it is damaged."""

    archive: Path
    """The .mvc file."""
    decode: bool = False
    """Also unpack every attached file and decode every photograph, and compare contents and pixels; loads the model,
    as slow as decompressing."""
    device: DeviceChoice = "auto"
    """Where the networks run with --decode."""
    jobs: OptionalInt = None
    """Groups that --decode decodes at once; as many as cores and memory allow when not given."""
    weights: OptionalPath = None
    """A weights file to use with --decode instead of the one that ships with the package."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Do it."""
        # NumPy arrives only now: --help has answered already.
        from nerfstudio_mvc.archive.integrity import verify

        report = verify(self.archive, unpack=self.decode)
        decoding = self._decode() if self.decode else None
        ok = report.ok and (decoding is None or not (decoding.differing or decoding.lost))
        if self.json:
            print_json({"ok": ok, "bytes": report, "decoding": decoding})
            return 0 if ok else EXIT_FAILED
        views, attached = format_count(report.views, "view"), format_count(report.attachments, "attached file")
        rows = [
            ("archive", f"{report.archive}  {format_bytes(report.file_bytes)}"),
            ("whole", f"{views} in {format_count(report.groups, 'group')}, {attached}"),
            *[("damaged", problem) for problem in report.problems],
        ]
        if decoding is not None:
            rows.append(("decoded exactly", format_count(len(decoding.exact), "view")))
            rows += [("decoded to other pixels", name) for name in decoding.differing]
            rows += [("not decoded", name) for name in decoding.lost]
        rows.append(("verdict", "everything is as it was written" if ok else "damaged"))
        print_table(rows)
        return 0 if ok else EXIT_FAILED

    def _decode(self) -> DecodeCheck:
        # torch arrives only where decoding was asked for.
        from nerfstudio_mvc.cli.progress_view import ProgressView
        from nerfstudio_mvc.pipeline.decode_check import check_decoding

        with ProgressView("decoding") as view:
            return check_decoding(
                self.archive, device=self.device, weights=self.weights, jobs=self.jobs, on_event=view.on_event
            )


def main() -> None:
    """Entry point of `ns-mvc-verify`."""
    run_command(Verify, "ns-mvc-verify")
