"""An archive as a capture folder, restored once and kept in a cache under what its bytes say.

A restored folder appears when it is complete, so that one that is there need not be looked into. Photographs are PNG
files: training sees exactly what the archive holds.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from nerfstudio_mvc.errors import ArchiveError, OutputError
from nerfstudio_mvc.pipeline.progress import OnEvent

CACHE_VARIABLE = "NERFSTUDIO_MVC_CACHE"
_DIGITS = 16
_CHUNK_BYTES = 1 << 20


def default_cache() -> Path:
    """Where restored captures are kept: what `CACHE_VARIABLE` names, else in the user's cache."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nerfstudio_mvc"


def restored_capture(
    archive: Path,
    cache: Path,
    *,
    device: str = "auto",
    weights: Path | None = None,
    on_event: OnEvent | None = None,
) -> Path:
    """The capture folder of an archive, in `cache`; restored now where it is not there yet.

    Args:
        archive: the `.mvc` file.
        cache: made where it does not exist; folders in it may be deleted at any time.
        device, weights, on_event: as for `decompress_archive`.

    Raises:
        ArchiveError: there is no such file, it is not an archive, or damaged.
        WeightsError: the weights it was written with are not here.
        OutputError: `cache` cannot be written, or the disk is full.
    """
    folder = cache / f"{archive.stem}-{_digest(archive)}"
    if folder.is_dir():
        return folder
    # torch and the codec arrive only where there is something to decode.
    from nerfstudio_mvc.pipeline.decompress import decompress_archive

    try:
        decompress_archive(
            archive,
            folder,
            image_format="png",
            device=device,
            weights=weights,
            on_event=on_event,
        )
    except OutputError:
        # Another process may have restored it meanwhile.
        if not folder.is_dir():
            raise
    return folder


def _digest(archive: Path) -> str:
    found = sha256()
    try:
        with archive.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                found.update(chunk)
    except OSError as error:
        raise ArchiveError(f"{archive} cannot be read ({error.strerror or error}): give an .mvc file") from error
    return found.hexdigest()[:_DIGITS]
