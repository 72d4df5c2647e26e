"""Captures with files, links, pipes and numbers in them that nobody would expect."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

from archives import WORDS, mutated_bytes
from attempts import attempt
from subjects import LARGE_BYTES, Subjects, compress, digests

from nerfstudio_mvc import decompress_archive
from nerfstudio_mvc.archive.integrity import verify

NAMES = ("a\nb.jpg", "\x1b[31m.jpg", "ü" * 80 + ".jpg", ".jpg", "a:b.jpg", "con.jpg", "x.mvc", " .jpg")
KEYS = ("ply_file_path", "mask_path", "depth_file_path", "camera_model", "applied_transform", "applied_scale", "k4")


def try_capture(number: int, subjects: Subjects, folder: Path) -> str | None:
    """Case `number`: what is bad about its outcome, None where nothing is."""
    rng = random.Random(f"capture {number}")
    capture, archive = folder / "capture", folder / "a.mvc"
    shutil.copytree(subjects.capture, capture)
    for _ in range(rng.choice((1, 1, 2, 3))):
        _spoil(rng, capture)
    before = digests(capture)
    ended = attempt(lambda: compress(capture, archive, attachments=rng.choice(("lean", "all", "points", "none"))))
    if not ended.well:
        return f"code {ended.code}: {ended.text[-1500:]}"
    if digests(capture) != before:
        return "the capture was changed"
    strays = {entry.name for entry in folder.iterdir()} - {"capture", "a.mvc", ".a.mvc.mvc-partial"}
    if strays:
        return f"left {sorted(strays)}"
    if ended.code:
        return "an archive after an error" if archive.exists() else None
    if b"root:x:0:0" in archive.read_bytes():
        return "a file from elsewhere is in the archive"
    restored = attempt(lambda: (verify(archive, unpack=True), decompress_archive(archive, folder / "out", jobs=1)))
    return None if restored.code == 0 else f"what was written does not come back: {restored.text[-1500:]}"


def _spoil(rng: random.Random, capture: Path) -> None:
    regular = (path for path in capture.rglob("*") if path.is_file() and not path.is_symlink())
    files = sorted(path for path in regular if path.stat().st_size <= LARGE_BYTES)
    transforms = capture / "transforms.json"
    path = transforms if transforms in files and rng.random() < 0.5 else rng.choice(files)
    match rng.randrange(9):
        case 0:
            path.write_bytes(mutated_bytes(rng, path.read_bytes() or b"x"))
        case 1:
            path.unlink(missing_ok=True)
            target = rng.choice(("/dev/zero", "/etc/passwd", "/dev/full", "nowhere", path.name, "/proc/self/mem", ".."))
            path.symlink_to(target)
        case 2:
            path.unlink(missing_ok=True)
            os.mkfifo(path)
        case 3:
            path.unlink(missing_ok=True)
            path.mkdir()
        case 4:
            name = rng.choice(NAMES)
            (capture / rng.choice(("images", ".")) / name).write_bytes(files[0].read_bytes())
        case 5:
            with open(path, "ab") as stream:
                stream.truncate(rng.choice((*(0, 1, 1 << 20) * 3, 1 << 25, *[20 << 30] * 3)))
        case _:
            _spoil_transforms(rng, transforms)


def _spoil_transforms(rng: random.Random, path: Path) -> None:
    usual = path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 20
    try:
        document = json.loads(path.read_bytes()) if usual else None
    except ValueError:
        return
    if not isinstance(document, dict):
        return
    at: Any = document
    if rng.random() < 0.6 and isinstance(document.get("frames"), list) and document["frames"]:
        at = rng.choice(document["frames"])
    if not isinstance(at, dict) or not at:
        return
    key = rng.choice([*at, *KEYS])
    if key == "transform_matrix" and rng.random() < 0.5:
        at[key] = [[rng.choice((0, 1, 1e300, -1, 1e-300)) for _ in range(4)] for _ in range(4)]
    else:
        at[key] = rng.choice((*WORDS, "/dev/zero", "../../x", "images/frame_00001.jpg", "FISHEYE", "EQUIRECTANGULAR"))
    path.write_bytes(json.dumps(document).encode("utf-8", "replace"))
