"""python -m nerfstudio_mvc.cli.alignment: how well neighbours predict views, by several means of aligning them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from nerfstudio_mvc.cli.console import print_json, print_table
from nerfstudio_mvc.cli.flags import DeviceChoice
from nerfstudio_mvc.cli.main import UsageError, run_command

MODULE = "python -m nerfstudio_mvc.cli.alignment"
SMALLEST_LONG_SIDE = 64


@dataclass(frozen=True)
class Alignment:
    """Predict every view of a capture from its nearest coded neighbour, aligned by several means.

    Quality is that of the aligned photograph, before any correction is coded. Aligners without depth look at the view
    they predict; "side bpp" is about what a decoder would have to be told for it. Needs the [benchmark] extra.
    """

    data: tuple[Path, ...]
    """Captures to measure."""
    long_sides: tuple[int, ...] = (320, 960)
    """Sizes the photographs are reduced to, pixels of the longer side."""
    views: int | None = None
    """Predict only the first so many views of the coding order."""
    depth: Literal["auto", "sparse"] = "auto"
    """What our depth is made from: 3D Gaussians where they can be fitted, or the sparse points."""
    depth_effort: Literal["fast", "default", "high"] = "default"
    """How long fitting 3D Gaussians may take."""
    device: DeviceChoice = "cpu"
    """Where they are fitted: cuda is gsplat, where it works."""
    output_dir: Path | None = None
    """Also write alignment.csv, .md and .json there, anew after every capture."""
    json: bool = False
    """Print the results as JSON."""

    def run(self) -> int:
        """Do it."""
        if not self.data:
            raise UsageError("--data names no capture: give one folder or more")
        if not self.long_sides or min(self.long_sides) < SMALLEST_LONG_SIDE:
            raise UsageError(f"--long-sides takes sizes of {SMALLEST_LONG_SIDE} pixels or more")
        if self.views is not None and self.views < 1:
            raise UsageError(f"--views {self.views}: give 1 or more")
        if find_spec("cv2") is None:
            raise UsageError("OpenCV is not installed, which other aligners come from: pip install '.[benchmark]'")
        # torch and OpenCV arrive only now: --help has answered already.
        from nerfstudio_mvc.benchmarking.alignment import METHODS, AlignmentBenchmark
        from nerfstudio_mvc.benchmarking.alignment_files import TABLE_HEADER, table_rows, title, write_alignment
        from nerfstudio_mvc.capture.open_capture import load_capture
        from nerfstudio_mvc.cli.progress_view import ProgressView
        from nerfstudio_mvc.pipeline.device import resolve_device

        results = []
        for data in self.data:
            with ProgressView(f"aligning {data.name}") as view:
                benchmark = AlignmentBenchmark(
                    load_capture(data),
                    depth=self.depth,
                    effort=self.depth_effort,
                    device=resolve_device(self.device),
                    view_limit=self.views,
                    on_event=view.on_event,
                )
                measured = [benchmark.measure(long_side) for long_side in self.long_sides]
            results += measured
            if self.output_dir is not None:
                write_alignment(self.output_dir, results)
            if not self.json:
                for result in measured:
                    print(title(result))
                    print_table(table_rows(result), header=TABLE_HEADER, right=range(1, len(TABLE_HEADER)))
                    print(flush=True)
        if self.json:
            print_json(results)
        else:
            print_table(list(METHODS.items()), header=("method", "what it is"))
        return 0


def main() -> None:
    """Run as a module: a developers' measurement, not a command that is installed."""
    run_command(Alignment, MODULE)


if __name__ == "__main__":
    main()
