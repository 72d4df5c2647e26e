"""Which other files of a capture go into the archive: those that are there, and the sparse points to train from.

What is left out and why is `archive.attachments`' business.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from nerfstudio_mvc.archive.attachments import AttachmentPlan, plan_attachments
from nerfstudio_mvc.capture.nerfstudio_source import TRANSFORMS_FILE
from nerfstudio_mvc.capture.ply_points import ply_of_points
from nerfstudio_mvc.capture.views import Capture

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
