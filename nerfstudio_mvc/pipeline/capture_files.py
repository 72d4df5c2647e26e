"""Files of a capture: which go into the archive besides photographs, that none is another by now or written over.

What is left out and why is `archive.attachments`' business.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from nerfstudio_mvc.archive.attachments import AttachmentPlan, plan_attachments
from nerfstudio_mvc.archive.writer import PhotographFile
from nerfstudio_mvc.capture.nerfstudio_source import TRANSFORMS_FILE
from nerfstudio_mvc.capture.ply_points import ply_of_points
from nerfstudio_mvc.capture.views import Capture
from nerfstudio_mvc.errors import CaptureError, OutputError

POINTS_NAME = "sparse_pc{}.ply"


def files_of_capture(capture: Capture, *, mode: str, exclude: Collection[Path]) -> AttachmentPlan:
    """The plan for a capture; `mode` and `exclude` as of `plan_attachments`, and so are the errors.

    A capture without transforms.json is restored with one; its sparse points then go along, for training starts there.
    """
    plan = plan_attachments(
        capture.root,
        view_names=[view.name for view in capture.views],
        mode=mode,
        exclude=exclude,
        smaller_copies=capture.smaller_copies,
        named_files=capture.named_files,
        written_paths=capture.written_paths,
    )
    if plan.mode == "none" or not len(capture.points) or any(map(TRANSFORMS_FILE.fullmatch, plan.files)):
        return plan
    names = (POINTS_NAME.format(number) for number in ("", *range(1, len(plan.files) + 2)))
    name = next(name for name in names if name not in plan.files)
    return replace(plan, points=(name, ply_of_points(capture.points, capture.point_colors)))


def files_read(capture: Capture) -> list[Path]:
    """Photographs and what transforms.json names, wherever they lie."""
    photographs = [view.image_path for view in capture.views if view.image_path is not None]
    return [*photographs, *capture.named_files.values()]


def check_copied(capture: Capture, photographs: Sequence[PhotographFile]) -> None:
    """Smaller copies can be remade only from what they were compared with: `photographs` must be these files.

    Raises:
        CaptureError: one has changed since.
    """
    files = {view.name: file for view, file in zip(capture.views, photographs, strict=True)}
    for copies in capture.smaller_copies:
        for name, digest in copies.sha256.items():
            if name in files and files[name].sha256 != digest:
                raise CaptureError(f"{name}: changed while the capture was read; start again")


def refuse_source(output: Path, *, root: Path | None = None, files: Iterable[Path] = ()) -> None:
    """Let no output take the place of what it is made from, whatever `force` says; links count as what they lead to.

    Args:
        output: the file to make.
        root: the capture folder: nothing in it is replaced but an .mvc, which may be that of an earlier run.
        files: that are read, wherever they lie.

    Raises:
        OutputError: it is one of them.
    """
    if not output.is_file():
        return
    places = _places(output)
    inside = root is not None and any(
        place.suffix.lower() != ".mvc" and place.is_relative_to(root.resolve()) for place in places
    )
    if inside or not places.isdisjoint(place for file in files for place in _places(file)):
        raise OutputError(f"{output} is a file of the capture, which stays as it is: choose another --output")


def _places(path: Path) -> set[Path]:
    """Where a path lies and where it leads."""
    return {path.parent.resolve() / path.name, path.resolve()}
