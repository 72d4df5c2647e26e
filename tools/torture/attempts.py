"""Something tried in a process of its own, with limits, and what came of it."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import selectors
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nerfstudio_mvc.errors import MvcError

MEMORY_BYTES = 2 << 30
"""That an attempt may take on top of what the interpreter has when it begins."""
LIMIT_S = 60.0
DONE, REFUSED, BAD = 0, 1, 70
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Attempt:
    """How it ended: `code` DONE, REFUSED (an error of ours, its line in `text`), BAD, or less than 0 for a signal."""

    code: int
    text: str

    @property
    def well(self) -> bool:
        return self.code in (DONE, REFUSED) and "\n" not in self.text


def attempt_here(work: Callable[[], object]) -> Attempt:
    """Try something in this process; its result is kept as text."""
    try:
        return Attempt(DONE, repr(work()))
    except (MvcError, OSError) as error:  # the commands print either as one line
        return Attempt(REFUSED, str(error))
    except KeyboardInterrupt:
        return Attempt(REFUSED, "interrupted")
    except BaseException:
        return Attempt(BAD, traceback.format_exc())


class Started:
    """An attempt under way.

    Args:
        work: what is tried; its result is kept as text.
        file_bytes: larger files cannot be written (EFBIG, as a full disk says ENOSPC).
    """

    def __init__(self, work: Callable[[], object], *, file_bytes: int | None = None) -> None:
        self._reader, writer = os.pipe()
        held = signal.pthread_sigmask(
            signal.SIG_BLOCK, STOPS
        )  # none before it can be told from the end of our own work
        self.pid = os.fork()
        if self.pid:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
            os.close(writer)
            return
        try:
            os.close(self._reader)
            os.setsid()  # stopped by nobody but us
            faulthandler.enable(writer)
            for number in STOPS:  # as the commands do
                signal.signal(number, signal.default_int_handler)
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
            size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MEMORY_BYTES
            resource.setrlimit(resource.RLIMIT_AS, (size, size))
            if file_bytes is not None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
            null = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(null, stream)
            ended = attempt_here(work)
        except BaseException:
            ended = Attempt(BAD, traceback.format_exc())
        finally:
            with contextlib.suppress(OSError):
                os.write(writer, ended.text.encode(errors="replace")[:60_000])
            os._exit(ended.code)

    def wait(self, limit_s: float = LIMIT_S) -> Attempt:
        """Its end; one that takes longer than `limit_s` is killed, and bad."""
        deadline, parts = time.monotonic() + limit_s, []
        with selectors.DefaultSelector() as selector:
            selector.register(self._reader, selectors.EVENT_READ)
            while selector.select(max(0.0, deadline - time.monotonic())):
                data = os.read(self._reader, 1 << 16)
                if not data:
                    break
                parts.append(data)
            else:
                parts.append(f"\nnot done after {limit_s:g} s\n".encode())
                os.kill(self.pid, signal.SIGABRT)  # says where it is
                if selector.select(10.0):
                    parts.append(os.read(self._reader, 1 << 16))
                os.kill(self.pid, signal.SIGKILL)
        os.close(self._reader)
        _, status = os.waitpid(self.pid, 0)
        return Attempt(os.waitstatus_to_exitcode(status), b"".join(parts).decode(errors="replace"))


def attempt(work: Callable[[], object], *, file_bytes: int | None = None) -> Attempt:
    """Try something and wait for its end."""
    return Started(work, file_bytes=file_bytes).wait()
