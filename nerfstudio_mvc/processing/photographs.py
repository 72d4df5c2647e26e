"""Which photographs go into images/, under which names, and how they get there: untouched.

nerfstudio looks for smaller copies by the last part of a name alone, so all lie side by side.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from nerfstudio_mvc.capture.image_files import read_image, write_image
from nerfstudio_mvc.capture.photo_source import find_photographs
from nerfstudio_mvc.errors import CaptureError

_NOT_READ_BY_NERFSTUDIO = frozenset((".heic", ".heif"))


def find_sources(folder: Path, *, prefix: str = "", leave_out: Path) -> dict[str, Path]:
    """Name in images/ -> photograph, of all at and below `folder`, in the order of their paths.

    Masks, depth and smaller copies are left out, and so is what lies in `leave_out`.

    Raises:
        CaptureError: there is no such folder, no photograph in it, or two would be called alike.
    """
    if not folder.is_dir():
        hint = f"for a video: ns-mvc-process-data video --data {folder}" if folder.is_file() else "give the photographs"
        what = "is a file, not a folder" if folder.is_file() else "there is no such folder"
        raise CaptureError(f"{folder}: {what}; {hint}")
    found = [name for name in find_photographs(folder)[0] if not (folder / name).resolve().is_relative_to(leave_out)]
    if not found:
        raise CaptureError(f"{folder}: there are no photographs in it; give the folder that holds them")
    sources: dict[str, Path] = {}
    taken: dict[str, str] = {}
    for path in found:
        name = prefix + _name_in_images(path)
        if other := taken.get(name.lower()):
            raise CaptureError(f"{folder}: {other} and {path} would both be called {name}; rename one of them")
        taken[name.lower()] = path
        sources[name] = folder / path
    return sources


def _name_in_images(path: str) -> str:
    name = PurePosixPath("_".join(PurePosixPath(path).parts))
    return f"{name}.png" if name.suffix.lower() in _NOT_READ_BY_NERFSTUDIO else str(name)


def place_photographs(sources: dict[str, Path], folder: Path) -> Sequence[str]:
    """Let every photograph appear in `folder`: the same file where the system can, else a copy of it. Their names.

    What nerfstudio cannot read (HEIC) becomes PNG of the same pixels.

    Raises:
        CaptureError: one cannot be read.
        OSError: `folder` cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in sources.items():
        target = folder / name
        if target.exists():
            continue
        if source.suffix.lower() in _NOT_READ_BY_NERFSTUDIO:
            image = read_image(source)
            write_whole_image(target, image.pixels, image.metadata)
            continue
        with suppress(OSError):  # another disk, or a file system without links
            os.link(source.resolve(), target)
            continue
        copy = target.with_name(f".{name}")
        shutil.copy2(source, copy)
        os.replace(copy, target)
    return list(sources)


def write_whole_image(path: Path, *image) -> None:
    """`write_image` under a temporary name: the file is there as a whole or not at all."""
    temporary = path.with_name(f".{path.name}")
    write_image(temporary, *image)
    os.replace(temporary, path)
