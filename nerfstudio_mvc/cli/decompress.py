"""ns-mvc-decompress: an `.mvc` file back to a capture folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nerfstudio_mvc.cli.console import format_seconds, print_json, print_table
from nerfstudio_mvc.cli.flags import DeviceChoice, OptionalInt, OptionalPath, OptionalText
from nerfstudio_mvc.cli.main import EXIT_FAILED, UsageError, run_command


@dataclass(frozen=True)
class Decompress:
    """Restore a capture folder, or single photographs of it, from an .mvc file."""

    archive: Path
    """The .mvc file."""
    output_dir: Path
    """The folder to make. It appears when it is complete."""
    views: tuple[str, ...] = ()
    """Restore only these photographs and no other file; whole names (images/a.jpg) or their last part."""
    explain: OptionalText = None
    """Restore nothing; write pictures that say which other views helped this photograph where, and by how much. Of
    archives of codec parahydra."""
    image_format: Literal["keep", "png", "jpg"] = "keep"
    """keep the names, JPEG again at quality 95; or png, which loses nothing; or jpg."""
    device: DeviceChoice = "auto"
    """Where the networks run."""
    jobs: OptionalInt = None
    """Groups that are decoded at once; as many as cores and memory allow when not given."""
    skip_damaged: bool = False
    """Restore what is whole of a damaged archive. The exit code is 1 when views were lost."""
    force: bool = False
    """Write into an existing folder; files of the same name are replaced, others stay."""
    weights: OptionalPath = None
    """A weights file to use instead of the one that ships with the package."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Do it."""
        if self.explain is not None:
            return self._explain(self.explain)
        # torch and the rest arrive only now: --help has answered already.
        from nerfstudio_mvc.cli.progress_view import ProgressView
        from nerfstudio_mvc.pipeline.decompress import decompress_archive

        with ProgressView("restoring") as view:
            report = decompress_archive(
                self.archive,
                self.output_dir,
                views=self.views or None,
                image_format=self.image_format,
                device=self.device,
                jobs=self.jobs,
                skip_damaged=self.skip_damaged,
                force=self.force,
                weights=self.weights,
                on_event=view.on_event,
            )
        if self.json:
            print_json(report)
        else:
            rows = [
                ("restored", str(report.output_dir)),
                ("photographs", str(len(report.views))),
                ("attached files, byte for byte", str(report.attachments)),
                ("files made again", str(report.remade)),
                ("time", format_seconds(report.elapsed_s)),
            ]
            print_table(rows + [("lost", name) for name in report.lost_views])
        return EXIT_FAILED if report.lost_views else 0

    def _explain(self, name: str) -> int:
        from nerfstudio_mvc.pipeline.explain import explain_view

        if self.views:
            raise UsageError("--explain restores nothing: leave out --views")
        pictures = explain_view(self.archive, name, self.output_dir, weights=self.weights, force=self.force)
        if self.json:
            print_json({"output_dir": str(self.output_dir), "pictures": pictures})
        else:
            print_table([("explained", str(self.output_dir)), *(("picture", picture) for picture in pictures)])
        return 0


def main() -> None:
    """Entry point of `ns-mvc-decompress`."""
    run_command(Decompress, "ns-mvc-decompress")
