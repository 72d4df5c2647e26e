"""The first string of an AV1 sequence, as soon as the encoder has written it: what follows may depend on it.

An encoder that looks at no picture ahead writes each before it asks for the next one. One that does not keeps nobody
waiting for ever: `wait` gives up.
"""

from __future__ import annotations

import threading

from nerfstudio_mvc.video.av1_sequence import first_unit


class EarlyUnit:
    """Collects the beginning of a stream in one thread, `feed`, for another one, `wait`."""

    def __init__(self) -> None:
        self._stream = bytearray()
        self._unit: bytes | None = None
        self._decided = threading.Event()

    def feed(self, part: bytes) -> None:
        """Take the next bytes of the stream; none when it has ended."""
        if self._decided.is_set():
            return
        self._stream += part
        self._unit = first_unit(bytes(self._stream))
        if self._unit is not None or not part:
            self._decided.set()

    def wait(self, limit_s: float) -> bytes | None:
        """The string; None where the stream ended before, or nothing of it came within `limit_s` seconds."""
        self._decided.wait(limit_s)
        return self._unit
