"""Convolutions in whole float32 while pictures are coded, on a GPU as well."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


class _Shared:
    """The setting is the whole process's: the first thread makes it, the last one takes it back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._setting: AbstractContextManager[None] | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        with self._lock:
            if self._inside == 0:
                self._setting = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
                self._setting.__enter__()
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0 and self._setting is not None:
                    self._setting.__exit__(None, None, None)


_shared = _Shared()


def in_full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """cuDNN rounds float32 to TF32's 10 bits unless told otherwise: 2 % of the pixels of an untrained paper model then
    differed from the CPU's by a grey level or two. Symbols are exact either way."""

    @functools.wraps(function)
    def exact(*args: P.args, **kwargs: P.kwargs) -> R:
        with _shared.held():
            return function(*args, **kwargs)

    return exact
