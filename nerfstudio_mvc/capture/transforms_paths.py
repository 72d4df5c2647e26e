"""The paths in a transforms.json: which files it names, and what they are called in the archive.

Paths are followed as people's tools write them: with backslashes, without endings, absolute, behind links, out of the
folder. In the archive a file has a path below the capture folder; one that lies elsewhere gets one below `OUTSIDE`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from nerfstudio_mvc.capture.coded_photographs import CodedPhotograph
from nerfstudio_mvc.capture.image_files import IMAGE_SUFFIXES

OUTSIDE = "outside"
"""Folder of the archive with files that transforms.json names and that lie out of the capture folder."""

TRIED_SUFFIXES = (".png", ".jpg", ".jpeg", ".JPG", ".webp")
"""Endings that some programs leave out."""


@dataclass
class NamedPaths:
    """Paths of the transforms.json in `root`, as they are asked for one by one.

    Attributes:
        coded: photographs without an image file, as of `PhotographFiles`.
        files: path in the archive -> where the file lies.
        written: path as it stands in the file -> path in the archive, where the two differ.
    """

    root: Path
    coded: Mapping[str, CodedPhotograph] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)

    def find(self, text: str, *, image: bool = False) -> str | None:
        """The path in the archive of the file that `text` leads to; None where there is none.

        Args:
            image: the ending may be left out.
        """
        if not text or "\0" in text:
            return None
        if text in self.written:
            return self.written[text]
        for candidate in _candidates(text, image=image):
            path = self.root / candidate
            try:
                found = path.is_file()
                name = self._archived(path) if found or image else ""
            except (OSError, ValueError):  # longer than the system allows
                found, name = False, ""
            if found or name in self.coded:
                self.files[name] = path if found else self.coded[name].path
                if PurePosixPath(text).as_posix() != name:
                    self.written[text] = name
                return name
        return None

    def _archived(self, path: Path) -> str:
        """Below `root` as it is written; elsewhere by where the file is, so that no two files get one name."""
        plain = Path(os.path.normpath(path))
        for root in (self.root, self.root.absolute(), self.root.resolve()):
            if plain.is_relative_to(Path(os.path.normpath(root))):
                return plain.relative_to(Path(os.path.normpath(root))).as_posix()
        parts = [part for part in plain.absolute().parts[1:] if part != ".."]
        for count in range(min(2, len(parts)), len(parts) + 1):
            name = PurePosixPath(OUTSIDE, *parts[-count:]).as_posix()
            if self.files.get(name, path) == path and not (self.root / name).exists():
                break
        return name


def _candidates(text: str, *, image: bool) -> Iterator[str]:
    """What a path may mean on this machine."""
    slashed = text.replace("\\", "/")
    for way in dict.fromkeys((text, slashed)):
        yield way
        if image and PurePosixPath(way).suffix.lower() not in IMAGE_SUFFIXES:
            yield from (way + suffix for suffix in TRIED_SUFFIXES)


def other_files_named(transforms: Mapping[str, Any]) -> Iterator[str]:
    """Texts in a transforms.json that may be paths of files beside the photographs: masks, depth, points, whatever."""
    yield from (value for key, value in transforms.items() if isinstance(value, str) and key != "camera_model")
    frames = transforms.get("frames")
    for frame in frames if isinstance(frames, list) else ():
        if isinstance(frame, dict):
            for key, value in frame.items():
                if key != "file_path":
                    yield from (
                        text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)
                    )


def is_path_like(text: str) -> bool:
    """Whether a text that leads to no file looks as if it should: it has an ending, or says where it lies."""
    windows = PureWindowsPath(text)
    return "\n" not in text and len(text) < 4096 and bool(windows.suffix) and " " not in windows.suffix
