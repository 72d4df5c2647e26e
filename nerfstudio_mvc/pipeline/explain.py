"""What other views did for a view of an archive, as a folder of pictures."""

from __future__ import annotations

from pathlib import Path

from nerfstudio_mvc.capture.image_files import write_image
from nerfstudio_mvc.pipeline.open_archive import OpenArchive
from nerfstudio_mvc.pipeline.output_folder import check_output_folder, output_folder


def explain_view(
    archive: str | Path, name: str, output_dir: str | Path, *, weights: Path | None = None, force: bool = False
) -> tuple[str, ...]:
    """Write the pictures that say which side view helped a view where; their names.

    Args:
        archive: the `.mvc` file.
        name: of the view, whole or last part.
        output_dir: the folder to make; it appears only when it is complete.
        weights: a weights file to use instead of those that ship with the package.
        force: write into an existing folder, replacing files of the same name.

    Raises:
        ArchiveError: not an archive, damaged, without such a view, or of a codec that decodes views apart.
        OutputError: `output_dir` exists, cannot be written, or the disk is full.
    """
    output_dir = Path(output_dir)
    check_output_folder(output_dir, force=force)
    with OpenArchive(Path(archive), weights=weights) as source:
        pictures = source.explain_view(name)
    with output_folder(output_dir, force=force) as folder:
        for title, pixels in pictures.items():
            write_image(folder / f"{title}.png", pixels)
    return tuple(f"{title}.png" for title in pictures)
