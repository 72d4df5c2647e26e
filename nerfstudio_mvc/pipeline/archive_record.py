"""What an archive of many was made from: a small hidden file beside it, so that the next run knows what is done.

Everything is compared by content: the archive's own bytes, every file of the capture, the options.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from colmap_io.regular_files import open_regular
from nerfstudio_mvc.archive.work_folder import write_whole, writing
from nerfstudio_mvc.capture.views import Capture
from nerfstudio_mvc.pipeline.capture_files import files_read

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Source:
    """A capture's files.

    Attributes:
        folder: SHA-256 of their paths and bytes, all together.
        elsewhere: path -> SHA-256 of those that it names and that do not lie in it.
    """

    folder: str
    elsewhere: Mapping[str, str]


def digest_of_folder(root: Path) -> str:
    """SHA-256 over the path and the bytes of every file at and below `root`; links to folders are not followed.

    Raises:
        OSError: one cannot be read.
    """
    digest = sha256()
    for folder, subfolders, names in os.walk(root):
        subfolders.sort()
        for path in sorted(Path(folder) / name for name in names):
            # What is no file is not carried either.
            content = _digest(path) if path.is_file() else "-"
            digest.update(f"{os.fsencode(path.relative_to(root)).hex()} {content}\n".encode())
    return digest.hexdigest()


def source_of(capture: Capture, folder: str) -> Source:
    """What a capture was read from, where `folder` is the digest of its own."""
    assert capture.root is not None, "a capture to compress is a folder"
    root = capture.root.resolve()
    elsewhere = sorted({path.resolve() for path in files_read(capture) if not path.resolve().is_relative_to(root)})
    return Source(folder, _digests(map(str, elsewhere)))


def write_record(archive: Path, source: Source, settings: Mapping[str, Any]) -> None:
    """Keep what `archive` was made from, as `settings` say.

    Raises:
        OutputError: it cannot be written.
    """
    document = {"archive": _digest(archive), "source": asdict(source), "settings": settings}
    with writing(archive):
        write_whole(_record_path(archive), json.dumps(document, indent=1).encode())


def is_as_recorded(archive: Path, data: Path, settings: Mapping[str, Any]) -> bool:
    """Whether `archive` is the one that was written, and was made from `data` as it is now, as `settings` say.

    Raises:
        OSError: a file of the capture cannot be read.
    """
    try:
        kept = json.loads(_record_path(archive).read_bytes())
        recorded, made_as = kept["source"], kept["settings"]
        if made_as != json.loads(json.dumps(settings)) or kept["archive"] != _digest(archive):
            return False
        if recorded["elsewhere"] != _digests(recorded["elsewhere"]):
            return False
    except (OSError, ValueError, KeyError, TypeError):  # never written, or by something else
        return False
    return recorded["folder"] == digest_of_folder(data)


def _digests(paths: Iterable[str]) -> dict[str, str]:
    return {path: _digest(Path(path)) for path in paths}


def _digest(path: Path) -> str:
    digest = sha256()
    with open_regular(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _record_path(archive: Path) -> Path:
    return archive.with_name(f".{archive.name}.source")
