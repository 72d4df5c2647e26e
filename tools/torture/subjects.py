"""What is tortured: a tiny capture, and archives of it by every codec that is quick."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from small_archive import colmap_model
from small_captures import write_nerfstudio_capture

from nerfstudio_mvc import compress_capture, decompress_archive
from nerfstudio_mvc.pipeline import compress as compressing
from nerfstudio_mvc.pipeline import open_archive

WAYS: dict[str, dict[str, Any]] = {
    "av1": {"codec": "av1", "effort": "fast"},
    "lmvic": {"codec": "lmvic", "effort": "fast", "depth": "sparse"},
    "lossless": {"quality": "lossless"},
    "parahydra": {"codec": "parahydra", "effort": "fast"},
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
    """Make them below `folder`; what this process has loaded then, its forks need not load again."""
    compressing.open_codec = open_archive.open_codec = lru_cache(open_archive.open_codec)
    capture = write_nerfstudio_capture(folder / "capture", views=4, suffix=".jpg")
    colmap_model(capture / "colmap" / "sparse" / "0")
    rows = np.random.default_rng(3).normal(size=(50, 3)).astype("<f4").tobytes()
    properties = b"property float x\nproperty float y\nproperty float z\n"
    head = b"ply\nformat binary_little_endian 1.0\nelement vertex 50\n" + properties + b"end_header\n"
    (capture / "scan.ply").write_bytes(head + rows)
    subjects = Subjects(capture)
    for way in WAYS:
        archive, restored = folder / f"{way}.mvc", folder / f"restored-{way}"
        compress(capture, archive, way)
        decompress_archive(archive, restored, device="cpu", jobs=1)
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
