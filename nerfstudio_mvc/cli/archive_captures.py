"""ns-mvc-archive: every capture below a folder to an `.mvc` file, on all cores of a machine or many machines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import OmitArgPrefixes

from nerfstudio_mvc.archive.layout import CODEC_PARAHYDRA
from nerfstudio_mvc.cli.coding_flags import CodingFlags
from nerfstudio_mvc.cli.console import format_bytes, format_count, format_seconds, print_json, print_table
from nerfstudio_mvc.cli.flags import OptionalInt, OptionalText
from nerfstudio_mvc.cli.main import EXIT_FAILED, run_command
from nerfstudio_mvc.errors import MvcError
from nerfstudio_mvc.pipeline.options import check_jobs

if TYPE_CHECKING:
    from nerfstudio_mvc.cluster.archive_captures import CaptureOutcome


@dataclass(frozen=True)
class Archive:
    """Compress every capture below a folder into an .mvc file, with Dask: on the cores of this machine or on a cluster.

    The same command goes on where it was stopped, and compresses what has changed or come since. A capture that fails
    is named at the end and costs no other; the exit code is then 1.
    """

    data: Path
    """A folder with captures in it, at any depth; for parahydra also of .mvcv files in the place of photographs."""
    output_dir: Path
    """Where the archives go, by the names of the capture folders; on a cluster, a folder that all workers see."""
    scheduler: OptionalText = None
    """Address of a Dask scheduler whose workers are to do it, such as tcp://host:8786."""
    jobs: OptionalInt = None
    """Without --scheduler: processes of one thread; as many as cores and memory allow when not given."""
    force: bool = False
    """Replace archives that are there and were made of other files, or with other options."""
    json: bool = False
    """Print what became of the captures as JSON."""
    coding: OmitArgPrefixes[CodingFlags] = field(default_factory=CodingFlags)

    def run(self) -> int:
        """Do it."""
        check_jobs(self.jobs)
        options = self.coding.options(force=self.force, jobs=1)
        # NumPy, torch and Dask arrive only now: --help has answered already.
        from nerfstudio_mvc.cli.batch_progress import BatchProgress
        from nerfstudio_mvc.cluster.archive_captures import CaptureOutcome, archive_captures
        from nerfstudio_mvc.cluster.capture_jobs import jobs_of_folder, workers_for
        from nerfstudio_mvc.cluster.connection import cluster_client

        start_s = time.monotonic()
        jobs = jobs_of_folder(self.data, self.output_dir, coded=options.codec_name == CODEC_PARAHYDRA)
        if not jobs:
            raise MvcError(f"{self.data}: there is no capture at or below it")
        workers = self.jobs or (workers_for(jobs, options) if self.scheduler is None else 1)
        outcomes = []
        with cluster_client(self.scheduler, workers=workers) as client, BatchProgress(jobs, self.data) as progress:
            where = self.scheduler or format_count(workers, "worker")
            progress.print_line(f"{format_count(len(jobs), 'capture')}, {where}")
            for event in archive_captures(client, jobs, options):
                progress.show(event)
                if isinstance(event, CaptureOutcome):
                    outcomes.append(event)
        order = {job: idx for idx, job in enumerate(jobs)}
        outcomes.sort(key=lambda outcome: order[outcome.job])
        if self.json:
            print_json(outcomes)
        else:
            _print_outcomes(outcomes, self.data, elapsed_s=time.monotonic() - start_s)
        return EXIT_FAILED if any(outcome.problem for outcome in outcomes) else 0


def _print_outcomes(outcomes: Sequence[CaptureOutcome], root: Path, *, elapsed_s: float) -> None:
    rows = []
    for outcome in outcomes:
        name, report = str(outcome.job.data.relative_to(root.absolute())), outcome.report
        if outcome.problem is not None:
            continue
        if report is None:
            rows.append((name, str(outcome.job.archive), "", "", "done before"))
        else:
            psnr = "" if report.psnr_db is None else f"{report.psnr_db:.2f} dB"
            rows.append((name, str(report.archive), format_bytes(report.file_bytes), psnr, ""))
    if rows:
        print_table(rows, header=("capture", "archive", "bytes", "PSNR", ""), right=(2, 3))
    failed = [outcome for outcome in outcomes if outcome.problem is not None]
    counts = f"{len(outcomes) - len(failed)} of {format_count(len(outcomes), 'capture')} in archives"
    print_table([("result", f"{counts}, {format_seconds(elapsed_s)}")])
    if failed:
        print_table([("failed", str(o.job.data.relative_to(root.absolute())), o.problem or "") for o in failed])


def main() -> None:
    """Entry point of `ns-mvc-archive`."""
    run_command(Archive, "ns-mvc-archive")
