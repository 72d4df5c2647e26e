"""The hidden folder beside the target that holds an archive under way: finished groups, their key, and a lock.

What the key stands for and what the groups hold is the business of `writer.py`.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from nerfstudio_mvc.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows: two runs with one target are then not told apart
    fcntl = None

KEY_NAME = "key"
LOCK_NAME = "lock"


class OtherInputsError(OutputError):
    """The folder was left by a run with other photographs or settings."""


class WorkFolder:
    """The folder, locked for as long as this object is open.

    Args:
        target: the archive to be.
        key: of inputs and settings; a folder left with another key cannot be resumed.
        resume: take over what a stopped run left; otherwise it is thrown away.

    Raises:
        OtherInputsError: it was left with another key.
        OutputError: another run holds it, or it cannot be made.
    """

    def __init__(self, target: Path, *, key: str, resume: bool) -> None:
        self.target = target
        self.path = work_path(target)
        with writing(target):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = self._locked()
        try:
            with writing(target):
                self._take_over(key, resume)
        except BaseException:
            self.close(remove=not (self.path / KEY_NAME).exists())
            raise

    @classmethod
    def shared(cls, target: Path, *, key: str) -> WorkFolder:
        """The folder that another process has made, open to all who give its key and to nobody else meanwhile.

        Raises:
            OtherInputsError: it has another key, or is gone.
            OutputError: a run that does not share it holds it.
        """
        folder = cls.__new__(cls)
        folder.target, folder.path = target, work_path(target)
        with writing(target):
            if folder._left_key() is not None:
                folder._lock = folder._locked(shared=True)
                if folder._left_key() == key:
                    return folder
                folder._lock.close()
        raise OtherInputsError(f"{target}: another run has taken its work folder {folder.path}; run again.")

    def _left_key(self) -> str | None:
        key = self.read(KEY_NAME)
        return None if key is None else key.decode(errors="replace")

    def _locked(self, *, shared: bool = False) -> IO[str]:
        stream = (self.path / LOCK_NAME).open("a+")
        try:
            if fcntl is not None:
                fcntl.flock(stream, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.seek(0)
            owner = stream.read(20).strip()
            stream.close()
            message = f"{self.target} is being written by another run (process {owner}): wait for it"
            raise OutputError(f"{message}, or choose another --output.") from error
        if not shared:
            stream.truncate(0)
            stream.write(f"{os.getpid()}\n")
            stream.flush()
        return stream

    def _take_over(self, key: str, resume: bool) -> None:
        left = self._left_key()
        if resume and left is not None and left != key:
            raise OtherInputsError(
                f"{self.path}: left by a run with other photographs or settings, so it cannot be resumed; "
                "give the same ones, or leave out --resume to start again."
            )
        for path in self.path.iterdir():
            if path.name != LOCK_NAME and (left != key or not resume):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        write_whole(self.path / KEY_NAME, key.encode())

    def keep(self, name: str, data: bytes) -> None:
        """Write a file that is either there as a whole or not at all."""
        with writing(self.target, needed_bytes=len(data)):
            write_whole(self.path / name, data)

    def read(self, name: str) -> bytes | None:
        """A kept file; None when it is not there."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def size(self, name: str) -> int:
        """Bytes of a kept file."""
        return (self.path / name).stat().st_size

    def drop(self, name: str) -> None:
        """Remove a kept file, if it is there."""
        with writing(self.target):
            (self.path / name).unlink(missing_ok=True)

    def close(self, *, remove: bool) -> None:
        """Give the lock up; `remove` the folder with all that is in it."""
        if remove:
            shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def work_path(target: Path) -> Path:
    """The work folder of an archive to be."""
    return target.with_name(f".{target.name}.mvc-partial")


def write_whole(path: Path, data: bytes) -> None:
    """Write under a temporary name that nobody else has, bring it to the disk, rename."""
    descriptor, temporary = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".new", dir=path.parent)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def writing(target: Path, *, needed_bytes: int = 0) -> Iterator[None]:
    """Turn what the system says about a full disk or a forbidden folder into an `OutputError` of one line."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            needs = f", needs about {max(1, -(-needed_bytes // 1_000_000))} MB" if needed_bytes else ""
            raise OutputError(
                f"no space left on {target.parent}{needs}: free some or choose another --output, then add --resume."
            ) from error
        raise OutputError(f"{target}: cannot be written ({error.strerror}); choose another --output.") from error
