"""Photographs that are there as coded files only: what a source of captures must know of them.

Reading such files is the business of `pipeline.coded_views`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nerfstudio_mvc.capture.checks import image_size
from nerfstudio_mvc.capture.image_files import read_mode
from nerfstudio_mvc.capture.views import View

CODED_SUFFIX = ".mvcv"


@dataclass(frozen=True)
class CodedPhotograph:
    """A file that stands for a photograph.

    Attributes:
        path: of the file.
        width, height, mode: of the photograph; `mode` is Pillow's.
        source_bytes: of the photograph's own file.
    """

    path: Path
    width: int
    height: int
    mode: str
    source_bytes: int


@dataclass(frozen=True)
class PhotographFiles:
    """Where the photographs of a capture are.

    Attributes:
        root: the capture folder.
        coded: those without an image file, by the path below `root` that it would have.
    """

    root: Path
    coded: Mapping[str, CodedPhotograph] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.coded or os.path.isfile(self.root / name)

    def path(self, name: str) -> Path:
        """The file of a photograph: an image, or what stands for it."""
        return self.coded[name].path if name in self.coded else self.root / name

    def size(self, name: str, path: Path | None = None) -> tuple[int, int]:
        """(width, height); errors as of `image_size`. `path`: of an image file that lies elsewhere."""
        own = self.coded.get(name)
        return image_size(path or self.root / name) if own is None else (own.width, own.height)

    def mode(self, name: str, path: Path | None = None) -> str:
        """As of `read_mode`, and so are the errors; `path` as of `size`."""
        return self.coded[name].mode if name in self.coded else read_mode(path or self.root / name)

    def source_bytes(self, name: str) -> int | None:
        """`View.source_bytes` of a photograph."""
        return self.coded[name].source_bytes if name in self.coded else None

    def unposed(self, view_idx: int, name: str) -> View:
        """The view of a photograph without a camera."""
        return View(view_idx, name, self.path(name), *self.size(name), None, None, source_bytes=self.source_bytes(name))
