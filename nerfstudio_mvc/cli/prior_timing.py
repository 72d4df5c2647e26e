"""python -m nerfstudio_mvc.cli.prior_timing: how long the depth prior takes, beside estimating cameras."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nerfstudio_mvc.cli.console import format_seconds, print_json, print_table
from nerfstudio_mvc.cli.main import UsageError, run_command

if TYPE_CHECKING:
    from nerfstudio_mvc.benchmarking.prior_timing import PriorTiming

MODULE = "python -m nerfstudio_mvc.cli.prior_timing"
HEADER = ("capture", "views", "prior", "CPU", "cameras", "CPU", "prior / cameras", "how")


@dataclass(frozen=True)
class TimePrior:
    """Time the depth prior of captures, and estimating their cameras from the photographs alone (pycolmap).

    Give it an idle machine. The first run on a machine also compiles kernels: run it twice.
    """

    data: tuple[Path, ...]
    """Captures with cameras."""
    depth_effort: Literal["fast", "default", "high"] = "default"
    """How long fitting 3D Gaussians may take."""
    threads: int | None = None
    """Threads of the fit; all cores when not given."""
    prior_only: bool = False
    """Do not estimate the cameras again."""
    json: bool = False
    """Print the results as JSON."""

    def run(self) -> int:
        """Do it."""
        if not self.data:
            raise UsageError("--data names no capture: give one folder or more")
        # numba and the rest arrive only now: --help has answered already.
        from nerfstudio_mvc.benchmarking.prior_timing import time_prior
        from nerfstudio_mvc.cli.progress_view import ProgressView

        results = []
        for data in self.data:
            with ProgressView(f"timing {data.name}") as view:
                results.append(
                    time_prior(
                        data,
                        effort=self.depth_effort,
                        threads=self.threads,
                        with_cameras=not self.prior_only,
                        on_event=view.on_event,
                    )
                )
        if self.json:
            print_json(results)
        else:
            print_table([_row(result) for result in results], header=HEADER, right=range(1, 7))
        return 0


def _row(result: PriorTiming) -> tuple[str, ...]:
    cameras = [
        "-" if seconds is None else format_seconds(seconds) for seconds in (result.cameras_s, result.cameras_cpu_s)
    ]
    return (
        result.capture,
        str(result.views),
        format_seconds(result.prior_s),
        format_seconds(result.prior_cpu_s),
        *cameras,
        "-" if result.ratio is None else f"{result.ratio:.2f}",
        result.note + (f"; cameras: {result.cameras_note}" if result.cameras_note else ""),
    )


def main() -> None:
    """Run as a module: a developers' measurement, not a command that is installed."""
    run_command(TimePrior, MODULE)


if __name__ == "__main__":
    main()
