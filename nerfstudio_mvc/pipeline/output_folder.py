"""A folder that appears all at once: filled beside its target under a hidden name, then moved into place.

What goes into it is the caller's business.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nerfstudio_mvc.errors import OutputError


@contextmanager
def output_folder(target: Path, *, force: bool = False) -> Iterator[Path]:
    """A context manager: yields an empty folder to fill, which becomes `target` when the block ends well.

    When the block fails or is interrupted, nothing of it stays. An existing `target` that is not empty needs `force`:
    files of the same name are then replaced, all others in it are left alone.

    Raises:
        OutputError: `target` is in the way, cannot be written, or the disk is full.
    """
    check_output_folder(target, force=force)
    with writing_folder(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".mvc-partial", dir=target.parent))
        try:
            yield partial
            move_into_place(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def writing_folder(target: Path) -> Iterator[None]:
    """Turn what the system says about a full disk or a forbidden folder into an `OutputError` of one line."""
    try:
        yield
    except OSError as error:
        raise _output_error(target, error) from error


def check_output_folder(target: Path, *, force: bool) -> None:
    """Raise OutputError where `output_folder` would have to refuse `target`."""
    if not target.exists():
        return
    if not target.is_dir():
        raise OutputError(f"{target} is a file, not a folder: choose another --output-dir")
    if not force and any(target.iterdir()):
        raise OutputError(
            f"{target} exists already and is not empty: choose another --output-dir, or replace its files with --force"
        )


def tells_case_apart(folder: Path) -> bool:
    """Whether names that differ only in case are two names in the file system of `folder`, which exists."""
    return not folder.with_name(folder.name.swapcase()).exists()


def move_into_place(partial: Path, target: Path) -> None:
    """Let the files of `partial` appear in `target`, which may exist, replacing those of the same name."""
    partial.chmod(0o777 & ~_umask())  # mkdtemp makes folders that only their owner can read
    if not target.exists() or not any(target.iterdir()):
        os.replace(partial, target)
        return
    for source in sorted(path for path in partial.rglob("*") if not path.is_dir()):
        destination = target / source.relative_to(partial)
        destination.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, destination)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _output_error(target: Path, error: OSError) -> OutputError:
    if error.errno == errno.ENOSPC:
        return OutputError(f"no space left for {target}: free some, or choose another --output-dir")
    return OutputError(f"{target} cannot be written ({error.strerror or error}): choose another --output-dir")
