"""ns-mvc-process-data: photographs, a video or an `.mvc` file to a folder that `ns-train` takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from nerfstudio_mvc.cli.console import format_bytes, format_seconds, print_json, print_table
from nerfstudio_mvc.cli.flags import DeviceChoice, OptionalInt, OptionalPath
from nerfstudio_mvc.cli.main import run_command
from nerfstudio_mvc.errors import OutputError
from nerfstudio_mvc.processing.settings import CameraType, MatchingMethod, ProcessSettings

if TYPE_CHECKING:
    from nerfstudio_mvc.cli.progress_view import ProgressView
    from nerfstudio_mvc.processing.scene import ProcessReport


@dataclass(frozen=True)
class _Process:
    data: Path
    """The folder of the photographs; of `video`, the video."""
    output_dir: Path
    """The folder to make. It appears when it is complete; a run that was stopped goes on where it was."""
    eval_data: OptionalPath = None
    """Photographs (or a video) to evaluate on; transforms.json then says which are which."""
    camera_type: CameraType = "perspective"
    """The kind of camera that is fitted, one per image size."""
    matching_method: MatchingMethod = "auto"
    """Which photographs are compared: every pair (exhaustive), or each with its neighbours in the order of names
    (sequential). auto: neighbours in a video and among more than 60 photographs, every pair otherwise."""
    refine_intrinsics: bool = True
    """Adjust the principal point too, at the end."""
    num_downscales: int = 3
    """How often the photographs are halved: 3 makes images_2, images_4 and images_8."""
    max_image_size: int = 1600
    """Features are found on photographs reduced to so many pixels on the longer side."""
    archive: OptionalPath = None
    """Compress the folder at once, into this .mvc file, with the defaults of ns-mvc-compress."""
    force: bool = False
    """Write into an existing folder; files of the same name are replaced, others stay. Begins anew."""
    json: bool = False
    """Print the result as JSON."""

    def _settings(self, **more: int) -> ProcessSettings:
        if self.archive is not None and self.archive.exists() and not self.force:
            raise OutputError(f"{self.archive} exists already: choose another --archive, or replace it with --force")
        return ProcessSettings(
            eval_data=self.eval_data,
            camera_type=self.camera_type,
            matching_method=self.matching_method,
            refine_intrinsics=self.refine_intrinsics,
            num_downscales=self.num_downscales,
            max_image_size=self.max_image_size,
            force=self.force,
            **more,
        )

    def _finish(self, report: ProcessReport, view: ProgressView) -> int:
        compressed = None
        if self.archive is not None:
            from nerfstudio_mvc.pipeline.compress import compress_capture

            compressed = compress_capture(
                self.output_dir, self.archive, resume=report.done_before, force=self.force, on_event=view.on_event
            )
        if self.json:
            print_json({"scene": report, "archive": compressed})
            return 0
        posed = report.photographs - len(report.without_camera)
        rows = [
            ("made before" if report.done_before else "made", str(report.output_dir)),
            ("photographs with a camera", f"{posed} of {report.photographs}"),
            *(("no camera", name) for name in report.without_camera),
            ("sparse points", str(report.points)),
            ("time", format_seconds(report.elapsed_s)),
        ]
        if compressed is not None:
            rows.append(("archive", f"{compressed.archive}  {format_bytes(compressed.file_bytes)}"))
        print_table(rows)
        return 0


@dataclass(frozen=True)
class ProcessImages(_Process):
    """Photographs: as ns-process-data images, but they stay as they are, and neither COLMAP nor ffmpeg is needed."""

    def run(self) -> int:
        """Do it."""
        settings = self._settings()
        from nerfstudio_mvc.cli.progress_view import ProgressView
        from nerfstudio_mvc.processing.scene import process_images

        with ProgressView("compressing") as view:
            return self._finish(process_images(self.data, self.output_dir, settings, on_event=view.on_event), view)


@dataclass(frozen=True)
class ProcessVideo(_Process):
    """A video: the sharpest frame of each of many parts, then as with photographs."""

    num_frames_target: int = 300
    """About how many frames are taken."""

    def run(self) -> int:
        """Do it."""
        settings = self._settings(num_frames_target=self.num_frames_target)
        from nerfstudio_mvc.cli.progress_view import ProgressView
        from nerfstudio_mvc.processing.scene import process_video

        with ProgressView("compressing") as view:
            return self._finish(process_video(self.data, self.output_dir, settings, on_event=view.on_event), view)


@dataclass(frozen=True)
class RestoreArchive:
    """An .mvc file: what ns-mvc-decompress restores, and the smaller copies that nerfstudio trains on."""

    data: Path
    """The .mvc file."""
    output_dir: Path
    """The folder to make. It appears when it is complete."""
    num_downscales: int = 3
    """How often the photographs are halved: 3 makes images_2, images_4 and images_8."""
    image_format: Literal["keep", "png", "jpg"] = "keep"
    """keep the names, JPEG again at quality 95; or png, which loses nothing; or jpg."""
    device: DeviceChoice = "auto"
    """Where the networks run."""
    jobs: OptionalInt = None
    """Groups that are decoded at once; as many as cores and memory allow when not given."""
    force: bool = False
    """Write into an existing folder; files of the same name are replaced, others stay."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Do it."""
        num_downscales = ProcessSettings(num_downscales=self.num_downscales).num_downscales
        from nerfstudio_mvc.cli.progress_view import ProgressView
        from nerfstudio_mvc.processing.restored_scene import restore_scene

        with ProgressView("restoring") as view:
            report = restore_scene(
                self.data,
                self.output_dir,
                num_downscales=num_downscales,
                image_format=self.image_format,
                device=self.device,
                jobs=self.jobs,
                force=self.force,
                on_event=view.on_event,
            )
        if self.json:
            print_json(report)
        else:
            print_table([("made", str(report.output_dir)), ("photographs", str(len(report.views)))])
        return 0


Commands = (
    Annotated[ProcessImages, tyro.conf.subcommand("images")]
    | Annotated[ProcessVideo, tyro.conf.subcommand("video")]
    | Annotated[RestoreArchive, tyro.conf.subcommand("mvc")]
)


def main() -> None:
    """Entry point of `ns-mvc-process-data`."""
    run_command(Commands, "ns-mvc-process-data")
