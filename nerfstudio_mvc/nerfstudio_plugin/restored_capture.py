"""An archive as a capture folder, restored once and kept in a cache under what its bytes say.

A restored folder appears when it is complete, so that one that is there need not be looked into. Photographs are PNG
files, or those that a lossless archive keeps: training sees exactly what the archive holds. What the cache may hold at
most is `cache_bound`'s business.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path, PurePosixPath

from nerfstudio_mvc.archive.reader import ArchiveReader
from nerfstudio_mvc.errors import ArchiveError, OutputError
from nerfstudio_mvc.nerfstudio_plugin.cache_bound import (
    DIGITS,
    cache_limit_bytes,
    folder_restored_from,
    mark_used,
    shrink_cache,
)
from nerfstudio_mvc.pipeline.options import LOSSLESS
from nerfstudio_mvc.pipeline.progress import OnEvent, Warned, ignore_event

CACHE_VARIABLE = "NERFSTUDIO_MVC_CACHE"
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
    on_event: OnEvent = ignore_event,
) -> Path:
    """The capture folder of an archive, in `cache`; restored now where it is not there yet.

    It stays there until this process ends; then it may make room for others. Where the file has gone since its folder
    was restored, the folder is taken, with a warning.

    Args:
        archive: the `.mvc` file.
        cache: made where it does not exist; folders in it that no process uses may be deleted at any time.
        device, weights, on_event: as for `decompress_archive`.

    Raises:
        ArchiveError: there is no such file, it is not an archive, or damaged.
        WeightsError: the weights it was written with are not here.
        OutputError: `cache` cannot be written, the disk is full, or the bound of the cache is no number.
    """
    limit_bytes = cache_limit_bytes()
    if not archive.exists():
        left = folder_restored_from(archive, cache)
        if left is None:
            raise ArchiveError(f"{archive}: there is no such file: give an .mvc file or a capture folder")
        on_event(Warned(f"{archive} is not there any more: taking what was restored from it, {left}"))
        mark_used(left, None)
        return left
    folder = cache / f"{archive.stem}-{_digest(archive)}"
    mark_used(folder, archive)
    if folder.is_dir():
        return folder
    # torch and the codec arrive only where there is something to decode.
    from nerfstudio_mvc.pipeline.decompress import decompress_archive

    try:
        decompress_archive(
            archive,
            folder,
            image_format="keep" if _holds_readable_files(archive) else "png",
            device=device,
            weights=weights,
            on_event=on_event,
        )
    except OutputError:
        # Another process may have restored it meanwhile.
        if not folder.is_dir():
            raise
    shrink_cache(cache, limit_bytes)
    return folder


def _holds_readable_files(archive: Path) -> bool:
    """Whether its photographs are kept as files, of formats that nerfstudio reads."""
    with ArchiveReader(archive) as reader:
        suffixes = {PurePosixPath(view.name).suffix.lower() for view in reader.manifest.views}
        return reader.manifest.codec == LOSSLESS and suffixes <= {".jpg", ".jpeg", ".png"}


def _digest(archive: Path) -> str:
    found = sha256()
    try:
        with archive.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                found.update(chunk)
    except OSError as error:
        raise ArchiveError(f"{archive} cannot be read ({error.strerror or error}): give an .mvc file") from error
    return found.hexdigest()[:DIGITS]
