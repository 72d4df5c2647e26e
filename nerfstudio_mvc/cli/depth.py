"""ns-mvc-depth: depth maps of a capture, as nerfstudio reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nerfstudio_mvc.cli.console import format_seconds, print_json, print_table
from nerfstudio_mvc.cli.flags import DeviceChoice, OptionalPath
from nerfstudio_mvc.cli.main import run_command
from nerfstudio_mvc.effort import Effort


@dataclass(frozen=True)
class Depth:
    """Write a depth map for every photograph of a capture, for depth-supervised training or to look at."""

    data: Path
    """A nerfstudio folder, a COLMAP folder, or bare photographs, whose cameras are then estimated."""
    output_dir: Path
    """The folder to make: depths/, previews/ and a transforms.json that names them. It appears when it is complete."""
    method: Literal["auto", "gaussians", "sparse"] = "auto"
    """Fitted 3D Gaussians, the sparse points, or the best possible."""
    gaussians: OptionalPath = None
    """Trained Gaussians to take the depth from: splatfacto's config.yml or output folder, or a .ply file."""
    depth_effort: Effort = "default"
    """How long fitting may take."""
    format: Literal["npy", "png"] = "npy"
    """npy: float, in nerfstudio's default unit of 0.001; png: 16 bit, in a unit that is printed."""
    device: DeviceChoice = "auto"
    """Where Gaussians are fitted."""
    force: bool = False
    """Write into an existing folder; files of the same name are replaced, others stay."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Do it."""
        # torch and the rest arrive only now: --help has answered already.
        from nerfstudio_mvc.cli.progress_view import ProgressView
        from nerfstudio_mvc.pipeline.export_depth import DEFAULT_UNIT, export_depth

        with ProgressView("depth maps") as view:
            report = export_depth(
                self.data,
                self.output_dir,
                method=self.method,
                gaussians=self.gaussians,
                effort=self.depth_effort,
                file_format=self.format,
                device=self.device,
                force=self.force,
                on_event=view.on_event,
            )
        if self.json:
            print_json(report)
            return 0
        rows = [
            ("depth maps", f"{report.views} in {report.output_dir}"),
            ("method", f"{report.method}: {report.note}"),
            ("unit", f"{report.unit:g} world units per step; 0 is unknown"),
        ]
        if report.transforms is not None:
            scale = "" if report.unit == DEFAULT_UNIT else f" nerfstudio-data --depth-unit-scale-factor {report.unit:g}"
            rows.append(("train", f"ns-train depth-nerfacto --data {report.transforms}{scale}"))
        print_table([*rows, ("time", format_seconds(report.elapsed_s))])
        return 0


def main() -> None:
    """Entry point of `ns-mvc-depth`."""
    run_command(Depth, "ns-mvc-depth")
