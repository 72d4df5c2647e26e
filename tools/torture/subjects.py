"""What is tortured: a tiny capture, and archives of it by every codec that is quick."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from attempts import attempt
from small_captures import write_nerfstudio_capture

from nerfstudio_mvc import compress_capture, decompress_archive

WAYS: dict[str, dict[str, Any]] = {
    "av1": {"codec": "av1", "effort": "fast"},
    "lmvic": {"codec": "lmvic", "effort": "fast", "depth": "sparse"},
    "lossless": {"quality": "lossless"},
}

LARGE_BYTES = 1 << 25
"""Files beyond are not read to find out whether they have changed."""


@dataclass(frozen=True)
class Subjects:
    """Archives by name, and what each is restored to: path -> SHA-256."""

    capture: Path
    archives: dict[str, Path] = field(default_factory=dict)
    restored: dict[str, dict[str, str]] = field(default_factory=dict)


def compress(capture: Path, archive: Path, way: str = "av1", **settings: Any) -> None:
    """A compression as the cases make it."""
    compress_capture(capture, archive, device="cpu", jobs=1, group_size=2, **WAYS[way], **settings)


def make_subjects(folder: Path) -> Subjects:
    """Make them below `folder`."""
    subjects = Subjects(write_nerfstudio_capture(folder / "capture", views=4, suffix=".jpg"))
    for way in WAYS:
        archive, restored = folder / f"{way}.mvc", folder / f"restored-{way}"
        for work in (
            lambda archive=archive, way=way: compress(subjects.capture, archive, way),
            lambda archive=archive, restored=restored: decompress_archive(archive, restored, device="cpu", jobs=1),
        ):
            made = attempt(work)
            assert made.code == 0, made.text
        subjects.archives[way], subjects.restored[way] = archive, digests(restored)
    return subjects


def digests(root: Path) -> dict[str, str]:
    """Every file at and below `root`; links, pipes, devices and large ones by what they are."""
    found = {}
    for folder, subfolders, names in os.walk(root):
        for name in [*names, *(name for name in subfolders if os.path.islink(os.path.join(folder, name)))]:
            path = Path(folder, name)
            if path.is_symlink() or not path.is_file():
                found[os.path.relpath(path, root)] = f"special {os.lstat(path).st_mode:o}"
            elif path.stat().st_size > LARGE_BYTES:
                found[os.path.relpath(path, root)] = f"large {path.stat().st_size} {path.stat().st_mtime_ns}"
            else:
                found[os.path.relpath(path, root)] = sha256(path.read_bytes()).hexdigest()
    return found
