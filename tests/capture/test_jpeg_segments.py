"""What a JPEG file holds besides its picture comes back, byte for byte."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nerfstudio_mvc.capture.image_files import carried_bytes_of, read_file, read_image, write_image
from nerfstudio_mvc.capture.jpeg_segments import CarriedBytes, carried_bytes, with_carried_bytes


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def jpeg(**options) -> bytes:
    pixels = np.random.default_rng(2).integers(0, 256, (40, 56, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", **options)
    return stream.getvalue()


THERMAL = segment(0xE3, b"\xff\xd9 raw temperatures \xff\xda" * 50)
CAPTION = segment(0xED, b"Photoshop 3.0\0caption")
MULTI = segment(0xE2, b"MPF\0II*\0")
EXTENDED = segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(40))
FIRST_COMMENT, LAST_COMMENT = segment(0xFE, b"one"), segment(0xFE, b"two")
KNOWN = segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0") + segment(0xE2, b"ICC_PROFILE\0\1\1abc")
TRAILER = b"\0\0\0\x18ftypmp42" + bytes(range(256))


@pytest.mark.parametrize("progressive", [False, True])
def test_they_are_found_among_what_others_carry(progressive: bool) -> None:
    plain = jpeg(progressive=progressive, restart_marker_blocks=2)
    data = plain[:2] + THERMAL + KNOWN + MULTI + CAPTION + EXTENDED + FIRST_COMMENT + LAST_COMMENT + plain[2:] + TRAILER
    found = carried_bytes(data)
    assert found.segments == THERMAL + MULTI + CAPTION + EXTENDED + FIRST_COMMENT
    assert found.trailer == TRAILER
    assert not carried_bytes(plain)


def test_every_cut_file_gives_something() -> None:
    data = jpeg()
    data = data[:2] + THERMAL + data[2:] + TRAILER
    for length in range(0, len(data), 7):
        found = carried_bytes(data[:length])
        assert found.segments in (b"", THERMAL)
        assert TRAILER.startswith(found.trailer)
    assert not carried_bytes(b"\x89PNG")


def test_put_into_another_file_they_do_not_disturb_its_picture() -> None:
    carried = CarriedBytes(THERMAL + CAPTION, TRAILER)
    other = jpeg(exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0", comment=b"hello")
    data = with_carried_bytes(other, carried)
    assert carried_bytes(data) == carried
    with Image.open(io.BytesIO(data)) as image, Image.open(io.BytesIO(other)) as expected:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))
        assert image.info["comment"] == b"hello"
        assert image.info["exif"] == expected.info["exif"]


def test_a_restored_jpeg_has_them_and_another_format_says_that_it_has_not(tmp_path: Path) -> None:
    plain = jpeg()
    (tmp_path / "a.JPG").write_bytes(plain[:2] + THERMAL + plain[2:] + TRAILER)
    image, carried = read_image(tmp_path / "a.JPG"), carried_bytes_of(read_file(tmp_path / "a.JPG"))
    assert image.warnings == ()
    assert write_image(tmp_path / "b.JPG", image.pixels, image.metadata, carried) == ()
    assert carried_bytes_of(read_file(tmp_path / "b.JPG")) == carried
    (warning,) = write_image(tmp_path / "b.png", image.pixels, image.metadata, carried)
    assert f"{len(THERMAL) + len(TRAILER)} bytes" in warning


def test_the_second_picture_of_a_phone_follows_the_first(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (32, 24), color) for color in ("red", "blue"))
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    image = read_image(tmp_path / "a.jpg")
    assert image.warnings == ()
    write_image(tmp_path / "b.jpg", image.pixels, image.metadata, carried_bytes_of(read_file(tmp_path / "a.jpg")))
    data = (tmp_path / "b.jpg").read_bytes()
    with Image.open(io.BytesIO(data[data.rindex(b"\xff\xd8\xff") :])) as last:
        assert last.getpixel((3, 3))[2] > 200
    np.testing.assert_allclose(read_image(tmp_path / "b.jpg").pixels, image.pixels, atol=3)
