"""An archive -> a folder as ns-process-data leaves it: restored, with the smaller copies that nerfstudio trains on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from nerfstudio_mvc.pipeline.decompress import decompress_archive
from nerfstudio_mvc.pipeline.output_folder import output_folder
from nerfstudio_mvc.pipeline.progress import OnEvent, StepProgress, Warned, ignore_event
from nerfstudio_mvc.pipeline.reports import DecompressReport
from nerfstudio_mvc.pipeline.restored_names import ImageFormat
from nerfstudio_mvc.processing.smaller_pictures import make_smaller_pictures


def restore_scene(
    archive: str | Path,
    output_dir: str | Path,
    *,
    num_downscales: int,
    image_format: ImageFormat = "keep",
    device: str = "auto",
    jobs: int | None = None,
    force: bool = False,
    on_event: OnEvent | None = None,
) -> DecompressReport:
    """Restore a capture folder, and make the smaller copies that the archived one did not have.

    Arguments and errors as of `decompress_archive`; `num_downscales` as of `make_smaller_pictures`.
    """
    report = on_event or ignore_event
    output_dir = Path(output_dir)
    with output_folder(output_dir, force=force) as folder:
        restored = decompress_archive(
            archive, folder, image_format=image_format, device=device, jobs=jobs, on_event=report
        )
        flat = len({PurePosixPath(name).name for name in restored.views}) == len(restored.views)
        if not flat and num_downscales:
            report(
                Warned("photographs of one name in several folders: nerfstudio has no place for smaller copies of them")
            )
        made = make_smaller_pictures(
            folder,
            restored.views,
            num_downscales=num_downscales if flat else 0,
            on_progress=lambda stage, done, total: report(StepProgress(stage, done, total)),
        )
    return replace(restored, output_dir=output_dir, remade=restored.remade + made)
