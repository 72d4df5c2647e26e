"""ns-mvc-verify: is every byte of an archive still what was written. Imports no torch unless it is to decode."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nerfstudio_mvc.cli.console import format_bytes, format_count, print_json, print_table
from nerfstudio_mvc.cli.flags import DeviceChoice, OptionalInt, OptionalPath, OptionalText
from nerfstudio_mvc.cli.main import EXIT_FAILED, UsageError, run_command
from nerfstudio_mvc.errors import MvcError
from nerfstudio_mvc.pipeline.options import check_jobs

if TYPE_CHECKING:
    from nerfstudio_mvc.pipeline.archive_check import ArchiveCheck


@dataclass(frozen=True)
class Verify:
    """Read every byte of an .mvc file and hold it against its checksums. The exit code is 1 when it is damaged."""

    archive: OptionalPath = None
    """The .mvc file."""
    data: OptionalPath = None
    """Instead of --archive: a folder; all .mvc files at and below it are checked, several at once where Dask is
    installed (the extra cluster)."""
    scheduler: OptionalText = None
    """With --data: address of a Dask scheduler whose workers are to check, such as tcp://host:8786."""
    decode: bool = False
    """Also unpack every attached file and decode every photograph, and compare contents and pixels; loads the model,
    as slow as decompressing."""
    device: DeviceChoice = "auto"
    """Where the networks run with --decode."""
    jobs: OptionalInt = None
    """Groups that --decode decodes at once, with --data archives that are checked at once; as many as cores and memory
    allow when not given."""
    weights: OptionalPath = None
    """A weights file to use with --decode instead of the one that ships with the package."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Do it."""
        if (self.archive is None) == (self.data is None):
            raise UsageError("give --archive FILE, or --data FOLDER")
        check_jobs(self.jobs)
        if self.data is not None:
            return self._check_all(self.data)
        if self.scheduler is not None:
            raise UsageError("--scheduler goes with --data")
        check = self._check(self.archive)
        report, decoding, ok = check.bytes, check.decoding, check.ok
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
            if decoding.differing:
                views = format_count(len(decoding.differing), "view")
                rows.append(("decoded, single grey levels off", f"{views}: this machine rounds otherwise"))
            rows += [("not decoded", name) for name in decoding.lost]
        rows.append(("verdict", "everything is as it was written" if ok else "damaged"))
        print_table(rows)
        return 0 if ok else EXIT_FAILED

    def _check(self, archive: Path) -> ArchiveCheck:
        # NumPy arrives only now: --help has answered already.
        from nerfstudio_mvc.pipeline.archive_check import check_archive

        if not self.decode:
            return check_archive(archive)
        from nerfstudio_mvc.cli.progress_view import ProgressView

        with ProgressView("decoding") as view:
            return check_archive(
                archive,
                decode=True,
                device=self.device,
                weights=self.weights,
                jobs=self.jobs,
                on_event=view.on_event,
            )

    def _check_all(self, folder: Path) -> int:
        from nerfstudio_mvc.cluster.check_archives import check_archives, find_archives

        archives = find_archives(folder)
        if not archives:
            raise MvcError(f"{folder}: there is no .mvc file")
        outcomes = check_archives(
            archives,
            scheduler=self.scheduler,
            jobs=self.jobs,
            decode=self.decode,
            device=self.device,
            weights=self.weights,
        )
        found = sorted(outcomes, key=lambda outcome: outcome.archive)
        bad = [outcome for outcome in found if outcome.problems]
        if self.json:
            print_json({"ok": not bad, "archives": found})
        else:
            lines = [line for outcome in found for line in outcome.problems or ("everything is as it was written",)]
            names = [str(outcome.archive) for outcome in found for _ in outcome.problems or ("",)]
            print_table([*zip(names, lines, strict=True)])
            whole = f"{len(found) - len(bad)} of {format_count(len(found), 'archive')} as written"
            print_table([("verdict", f"{whole}, {len(bad)} damaged" if bad else whole)])
        return EXIT_FAILED if bad else 0


def main() -> None:
    """Entry point of `ns-mvc-verify`."""
    run_command(Verify, "ns-mvc-verify")
