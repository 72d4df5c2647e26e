"""A folder that appears all at once: filled under a hidden name on the same disk, then moved into place.

What goes into it is the caller's business.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nerfstudio_mvc.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows: what a killed run left stays there
    fcntl = None

SUFFIX = ".mvc-partial"


@contextmanager
def output_folder(target: Path, *, force: bool = False) -> Iterator[Path]:
    """A context manager: yields an empty folder to fill, which becomes `target` when the block ends well.

    When the block fails or is interrupted, nothing of it stays; what killed runs left goes away now. A `target` that is
    there is filled where it is, a mount point and what a link leads to too. One that is not empty, at the start or by
    now, needs `force`: files of the same name are then replaced, all others in it are left alone, and links in it are
    not followed.

    Raises:
        OutputError: `target` is in the way, cannot be written, or the disk is full.
    """
    check_output_folder(target, force=force)
    place = Path(os.path.realpath(target))
    with writing_folder(target):
        beside = place if place.is_dir() else place.parent
        beside.mkdir(parents=True, exist_ok=True)
        _remove_left_behind(beside, place.name)
        partial, lock = _locked_folder(beside, place.name)
        try:
            yield partial
            move_into_place(partial, target, force=force)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            if lock is not None:
                os.close(lock)


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
    if not force and any(_others(target)):
        raise OutputError(
            f"{target} exists already and is not empty: choose another --output-dir, or replace its files with --force"
        )


def tells_case_apart(folder: Path) -> bool:
    """Whether names that differ only in case are two names in the file system of `folder`, which exists."""
    return not folder.with_name(folder.name.swapcase()).exists()


def _others(folder: Path) -> Iterator[Path]:
    """What is in a folder, but for what runs under way or killed have there."""
    own = f".{Path(os.path.realpath(folder)).name}."
    return (path for path in folder.iterdir() if not (path.name.startswith(own) and path.name.endswith(SUFFIX)))


def move_into_place(partial: Path, target: Path, *, force: bool) -> None:
    """Let the folder `partial`, on the same disk, become `target`, or what is in it appear there; see `output_folder`.

    Raises:
        OutputError: `target` has been filled meanwhile, or something in it is in the way.
        OSError: the system refuses.
    """
    place = Path(os.path.realpath(target))
    partial.chmod(0o777 & ~_umask())  # mkdtemp makes folders that only their owner can read
    if not place.is_dir():
        try:
            os.rename(partial, place)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
    _fill(place, partial, shown=target, force=force)


def _fill(place: Path, partial: Path, *, shown: Path, force: bool) -> None:
    """Move what is in `partial` into a folder that is there, all of it or, without `force`, nothing."""
    if not place.is_dir() or (not force and any(_others(place))):
        raise OutputError(f"{shown} has been filled by others meanwhile: choose another --output-dir, or add --force")
    if not force:
        moved: list[Path] = []
        try:
            for source in sorted(partial.iterdir()):
                _move_without_replacing(source, place / source.name)
                moved.append(source)
        except BaseException:
            for source in moved:
                os.rename(place / source.name, source)
            raise
        return
    sources = sorted(path for path in partial.rglob("*") if not path.is_dir())
    for source in sources:
        relative = source.relative_to(partial)
        folders = [place / parent for parent in relative.parents if parent.parts]
        in_the_way = [folder for folder in folders if os.path.lexists(folder) and not _is_real_folder(folder)]
        if _is_real_folder(place / relative):
            in_the_way.append(place / relative)
        if in_the_way:
            raise OutputError(
                f"{in_the_way[0]} is a link, or a file where a folder is needed or the reverse: move it away, or "
                "choose another --output-dir"
            )
    for source in sources:
        destination = place / source.relative_to(partial)
        destination.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, destination)


def _move_without_replacing(source: Path, destination: Path) -> None:
    if source.is_dir():
        os.rename(source, destination)  # over an empty folder at most
        return
    try:
        os.link(source, destination)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(destination):
            raise
        os.rename(source, destination)
    else:
        source.unlink()


def _is_real_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _remove_left_behind(folder: Path, name: str) -> None:
    """Remove partial folders of `name` whose runs are gone: nobody holds their locks."""
    if fcntl is None:
        return
    for path in folder.glob(f".{_literal(name)}.????????{SUFFIX}"):
        with suppress(OSError):  # a run that goes on holds it
            if _is_real_folder(path):
                lock = _locked(path)
                if lock is not None:
                    shutil.rmtree(path, ignore_errors=True)
                    os.close(lock)


def _locked_folder(beside: Path, name: str) -> tuple[Path, int | None]:
    """A new partial folder of `name`, and its lock; another one where a run that cleans up was there first."""
    while True:
        partial = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=SUFFIX, dir=beside))
        with suppress(BlockingIOError, FileNotFoundError):
            lock = _locked(partial)
            if lock is None or partial.is_dir():
                return partial, lock
            os.close(lock)


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _locked(folder: Path) -> int | None:
    """A descriptor that locks a folder; None where folders cannot be locked.

    Raises:
        BlockingIOError: another holds it.
    """
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise
        return None
    return descriptor


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _output_error(target: Path, error: OSError) -> OutputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"no space left for {target}: free some, or choose another --output-dir")
    return OutputError(f"{target} cannot be written ({error.strerror or error}): choose another --output-dir")
