"""Which folders below a folder are captures.

What is in one is the business of the modules called `.._source`.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from colmap_io.model_folder import find_models
from nerfstudio_mvc.capture.checks import is_image_name
from nerfstudio_mvc.capture.coded_photographs import CODED_SUFFIX
from nerfstudio_mvc.capture.nerfstudio_source import find_transforms

DEEPEST = 12
"""Folders between the one that is searched and a capture."""
_PHOTOGRAPH_FOLDERS = ("images", "input")


def find_captures(root: Path, *, skip: Collection[Path] = (), coded: bool = False) -> list[Path]:
    """The capture folders at and below `root`, sorted; what lies in one is part of it.

    A folder is one for its transforms.json or its COLMAP model, or for the photographs in it or in its ``images``
    where no folder below has cameras. Hidden folders, and with them work that is under way, are left out.

    Args:
        root: the folder.
        skip: folders that are not looked into.
        coded: whether files of ns-mvc-encode-view count as photographs.

    Raises:
        OSError: a folder cannot be read.
    """
    return _find(root, {path.resolve() for path in skip}, coded, DEEPEST)[0]


def _find(folder: Path, skip: Collection[Path], coded: bool, deep: int) -> tuple[list[Path], bool]:
    """Captures, and whether there is one that has cameras among them."""
    if folder.resolve() in skip:
        return [], False
    if find_transforms(folder) or find_models(folder):
        return [folder], True
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    found: list[Path] = []
    posed = False
    for path in entries:
        # A link may lead to a capture, but not in circles.
        if deep and path.is_dir() and not (path.is_symlink() and not (find_transforms(path) or find_models(path))):
            below, posed_below = _find(path, skip, coded, deep - 1)
            found += below
            posed |= posed_below
    places = [entries, *(list((folder / name).iterdir()) for name in _PHOTOGRAPH_FOLDERS if (folder / name).is_dir())]
    photographs = (
        path
        for place in places
        for path in place
        if is_image_name(path.name) or (coded and path.suffix.lower() == CODED_SUFFIX)
    )
    if not posed and any(path.is_file() for path in photographs):
        return [folder], False
    return found, posed
