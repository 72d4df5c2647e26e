"""Opening files of a capture: regular ones alone, at once, and not more of one than a limit.

A folder from elsewhere may hold pipes, devices and links in place of files; reading one of these waits for ever, never
ends, or is a file that nobody meant. What is refused is an `OSError` like any other, whose `strerror` says why.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MAX_FILE_BYTES = 4 << 30


def open_regular(path: Path, *, real: bool = False) -> BinaryIO:
    """Open a regular file for reading; never waits.

    Args:
        real: `path` has been resolved before: nothing in it may be a link.

    Raises:
        OSError: it is none, or cannot be opened.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)
    # Asked before too: opening a device alone can have an effect.
    _check_regular(os.stat(path), path)
    file = open(os.open(path, flags), "rb")  # noqa: SIM115
    try:
        _check_regular(os.fstat(file.fileno()), path)
        if real and not (
            Path(os.path.realpath(path)) == path and os.path.samestat(os.fstat(file.fileno()), path.lstat())
        ):
            raise OSError(errno.ELOOP, "it has become a link since", str(path))
    except BaseException:
        file.close()
        raise
    return file


def read_regular(path: Path, *, limit: int = MAX_FILE_BYTES, real: bool = False) -> bytes:
    """All bytes of a regular file.

    Raises:
        OSError: as in `open_regular`; of more than `limit` bytes, or growing.
    """
    with open_regular(path, real=real) as file:
        size = os.fstat(file.fileno()).st_size
        # Room is taken for as much as is asked for.
        data = b"" if size > limit else file.read(size + 1)
    if size > limit or len(data) > size:
        problem = f"larger than {limit} bytes" if size > limit else "it grows while it is read"
        raise OSError(errno.EFBIG, problem, str(path))
    return data


def _check_regular(found: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
