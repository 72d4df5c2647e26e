"""The first string of a stream, taken while the rest is still to come."""

import threading

import pytest

from nerfstudio_mvc.video.av1_sequence import IVF_FRAME, IVF_HEADER, TEMPORAL_DELIMITER
from nerfstudio_mvc.video.early_unit import EarlyUnit

UNITS = (b"first unit", b"second")


def stream() -> bytes:
    frames = [TEMPORAL_DELIMITER + unit for unit in UNITS]
    header = IVF_HEADER.pack(b"DKIF", 0, IVF_HEADER.size, b"AV01", 16, 16, 25, 1, len(frames), 0)
    return header + b"".join(IVF_FRAME.pack(len(frame), idx) + frame for idx, frame in enumerate(frames))


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_it_is_whole_however_the_stream_comes(step):
    early = EarlyUnit()
    first_end = stream().index(UNITS[0]) + len(UNITS[0])
    for start in range(0, len(stream()), step):
        assert (early.wait(0) is not None) == (start >= first_end)
        early.feed(stream()[start : start + step])
    early.feed(b"")
    assert early.wait(0) == UNITS[0]


def test_a_stream_that_ends_before_keeps_nobody_waiting():
    early = EarlyUnit()
    early.feed(stream()[: IVF_HEADER.size + 5])
    ended = threading.Timer(0.05, early.feed, args=(b"",))
    ended.start()
    assert early.wait(60) is None
    ended.join()


def test_a_stream_that_does_not_come_is_not_waited_for():
    assert EarlyUnit().wait(0.01) is None
