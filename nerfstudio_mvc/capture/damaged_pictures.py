"""Photographs that cannot be read: found before anything that takes time, and all of them named at once.

What makes a file unreadable is said by `image_files`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from nerfstudio_mvc.capture.checks import listed
from nerfstudio_mvc.capture.image_files import REMEDY, check_picture, read_size
from nerfstudio_mvc.cores import available_cores
from nerfstudio_mvc.errors import CaptureError

Progress = Callable[[str, int, int], None]
Look = Callable[[Mapping[str, Path]], dict[str, CaptureError]]
"""`damaged_pictures`, with it said how much is decoded."""
_NAMED = 50


def damaged_pictures(
    files: Mapping[str, Path], *, whole: bool, on_progress: Progress | None = None
) -> dict[str, CaptureError]:
    """What is wrong with those of the photographs `files` (by name) that cannot be read.

    Args:
        whole: whether all of each is decoded; headers alone otherwise, which takes no time.
        on_progress: called with (stage, done, total).
    """

    def problem(path: Path) -> CaptureError | None:
        try:
            (check_picture if whole else read_size)(path)
        except CaptureError as error:
            return error
        return None

    found = {}
    with ThreadPoolExecutor(available_cores()) as pool:
        for done, (name, error) in enumerate(zip(files, pool.map(problem, files.values()), strict=True), start=1):
            if error is not None:
                found[name] = error
            if whole and on_progress is not None:
                on_progress("looking through the photographs", done, len(files))
    return found


headers_alone: Look = partial(damaged_pictures, whole=False)


def refuse_damaged(root: Path, files: Mapping[str, Path], look: Look) -> None:
    """Do nothing where all photographs can be read.

    Raises:
        CaptureError: naming all that cannot, and why.
    """
    found = look(files)
    if len(found) == 1:
        raise next(iter(found.values()))
    if found:
        raise CaptureError(
            f"{root}: {len(found)} of {len(files)} photographs cannot be used: {reasons(found, files)}{REMEDY}"
        )


def reasons(found: Mapping[str, CaptureError], files: Mapping[str, Path]) -> str:
    """``a.jpg, b.jpg: unreadable image (image file is truncated)``: names by what is wrong with them."""
    names = defaultdict(list)
    for name, error in found.items():
        names[str(error).removeprefix(f"{files[name]}: ").partition(REMEDY)[0]].append(name)
    return "; ".join(f"{listed(own, _NAMED)}: {reason}" for reason, own in names.items())
