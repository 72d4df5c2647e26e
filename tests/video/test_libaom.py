"""libaom called directly: what one side puts in and codes, the other decodes; damage ends in an ArchiveError."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.video import libaom
from nerfstudio_mvc.video.libaom import Decoder, Encoder, LibaomError, version
from nerfstudio_mvc.video.obu import check_unit, without_delimiter
from nerfstudio_mvc.video.sequence import decode_sequence, encode_sequence

OPTIONS = {"enable-global-motion": 0, "enable-ref-frame-mvs": 0, "sb-size": 128}
WIDTH, HEIGHT = 91, 70


def picture(shift: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Planes with texture that moves. uint16 [3, H, W]"""
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin((columns + shift) / a) * np.cos(rows / b) for a, b in ((3, 4), (5, 3), (7, 6))]
    return (np.stack(waves) * 300 + 512).astype(np.uint16)


def error(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other).mean())


def encoder(threads: int = 1, size=(WIDTH, HEIGHT)) -> Encoder:
    return Encoder(*size, speed=7, quantizer=30, threads=threads, options=OPTIONS)


def test_a_reference_from_outside_is_what_the_next_frame_is_predicted_from():
    sender, receiver = encoder(), Decoder(WIDTH, HEIGHT)
    unit = sender.encode(picture(0), refresh=range(8))
    assert error(receiver.decode(unit), picture(0)) < 20
    wanted = picture(1000)  # nothing like the first one
    for side in (sender, receiver):
        side.put_reference(0, wanted)
    unit = sender.encode(wanted, references=[0], refresh=[])
    assert len(unit) < 60
    assert error(receiver.decode(unit), wanted) == 0
    # Where the decoder has another reference, it shows that one: it was used, and decoding goes on.
    receiver.put_reference(0, picture(3))
    sender.put_reference(0, wanted)
    assert error(receiver.decode(sender.encode(wanted, references=[0], refresh=[])), picture(3)) < 1


def test_a_frame_nobody_hangs_on_can_be_left_out():
    sender, receiver = encoder(), Decoder(WIDTH, HEIGHT)
    receiver.decode(sender.encode(picture(0), refresh=range(8)))
    sender.encode(picture(5), references=[0], refresh=[3])
    wanted = sender.encode(picture(1), references=[0], refresh=[])
    assert error(receiver.decode(wanted), picture(1)) < 25


@pytest.mark.parametrize("size", [(1, 1), (16, 5), (65, 130)])
def test_any_size(size):
    sender, receiver = encoder(size=size), Decoder(*size)
    for idx in range(3):
        unit = without_delimiter(sender.encode(picture(idx, *size), references=[0] if idx else [], refresh=[0]))
        check_unit(unit, width=size[0], height=size[1], first=idx == 0)
        assert receiver.decode(unit).shape == (3, size[1], size[0])


def test_bytes_do_not_depend_on_threads():
    coded = []
    for threads in (1, 3):
        sender = encoder(threads, size=(400, 300))
        units = [sender.encode(picture(0, 400, 300), refresh=range(8))]
        units += [sender.encode(picture(idx, 400, 300), references=[0], refresh=[idx]) for idx in (1, 2)]
        coded.append(units)
    assert coded[0] == coded[1]


def test_a_sequence_decodes_from_its_front():
    pictures = [picture(3 * idx) for idx in range(5)]
    counts = []
    units = encode_sequence(pictures, width=WIDTH, height=HEIGHT, quantizer=30, speed=8, on_units=counts.append)
    assert counts[-1] == len(units) == 5
    shown = list(decode_sequence(units[:3], width=WIDTH, height=HEIGHT))
    assert all(error(one, other) < 40 for one, other in zip(shown, pictures, strict=False))


def test_units_of_another_size_or_kind_are_refused_before_they_are_decoded():
    unit = without_delimiter(encoder().encode(picture(0), refresh=range(8)))
    check_unit(unit, width=WIDTH, height=HEIGHT, first=True)
    for width, height, first in ((WIDTH + 1, HEIGHT, True), (WIDTH, HEIGHT - 1, True), (WIDTH, HEIGHT, False)):
        with pytest.raises(ArchiveError):
            check_unit(unit, width=width, height=height, first=first)
    for damaged in (b"", unit[:5], unit[:-1], unit + unit, b"\x2a\x00" + unit, b"\xff" * 40):
        with pytest.raises(ArchiveError):
            check_unit(damaged, width=WIDTH, height=HEIGHT, first=True)


def test_mutated_units_decode_or_are_refused():
    """In a process of its own, so that a crash of the library is a failure of this test alone."""
    done = subprocess.run(
        [sys.executable, __file__, "400"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 100  # of the mutated ones are refused


def test_what_is_missing_is_said(monkeypatch):
    libaom._library.cache_clear()
    monkeypatch.setenv(libaom.VARIABLE, "/nowhere/libaom.so")
    try:
        assert not libaom.has_libaom()
        with pytest.raises(LibaomError, match="pip install imagecodecs"):
            version()
    finally:
        libaom._library.cache_clear()


def mutate(count: int) -> int:
    """Decode so many damaged pairs of a key frame and the frame after it; how many were refused."""
    rng, refused = np.random.default_rng(0), 0
    sender = encoder()
    units = [
        without_delimiter(sender.encode(picture(0), refresh=range(8))),
        without_delimiter(sender.encode(picture(1), references=[0], refresh=[1])),
    ]
    for _ in range(count):
        damaged = [bytearray(unit) for unit in units]
        for _ in range(rng.integers(1, 6)):
            target = damaged[rng.integers(2)]
            place = rng.integers(min(len(target), 24 if rng.random() < 0.5 else len(target)))
            target[place] ^= 1 << rng.integers(8)
        receiver = Decoder(WIDTH, HEIGHT)
        try:
            for idx, unit in enumerate(damaged):
                check_unit(bytes(unit), width=WIDTH, height=HEIGHT, first=idx == 0)
                receiver.decode(bytes(unit))
                receiver.put_reference(0, picture(2))
        except (ArchiveError, LibaomError):
            refused += 1
    return refused


if __name__ == "__main__":
    print(mutate(int(sys.argv[1])))
