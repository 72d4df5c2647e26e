"""Every file comes back bit for bit, whatever it is; what is not that file is refused."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_captures import SAMPLE

from nerfstudio_mvc.capture.image_files import read_image, read_size
from nerfstudio_mvc.capture.views import SourceView, View
from nerfstudio_mvc.codecs.lossless.codec import JPEG_XL, LosslessCodec
from nerfstudio_mvc.codecs.lossless.jpeg_xl import jpeg_of_jxl, jxl_of_jpeg
from nerfstudio_mvc.coded import CodedGroup, CodedView, Substream
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.xz import XZ

PHOTOGRAPH = SAMPLE / "images/frame_00001.jpg"
PICTURE = Image.open(PHOTOGRAPH).crop((400, 300, 784, 556))
NOISE = np.random.default_rng(2).bytes(3000)


def encoded(image: Image.Image = PICTURE, form: str = "JPEG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


FILES = {
    "plain.jpg": (encoded(), JPEG_XL),
    "progressive.jpg": (encoded(progressive=True, subsampling=0, exif=b"Exif\0\0" + NOISE), JPEG_XL),
    "grey.JPG": (encoded(PICTURE.convert("L")), None),
    "film behind.jpg": (encoded() + NOISE, JPEG_XL),
    "two pictures.mpo": (encoded(form="MPO", save_all=True, append_images=[PICTURE]), JPEG_XL),
    "cmyk.jpg": (encoded(PICTURE.convert("CMYK")), XZ),
    "no end.jpg": (encoded()[:-2], XZ),
    "a.png": (encoded(form="PNG") + NOISE, None),
    "a.bmp": (encoded(form="BMP"), XZ),
    "sixteen.png": (encoded(Image.fromarray(np.arange(96 * 144, dtype=np.uint16).reshape(96, 144)), "PNG"), None),
}


def group_of(folder: Path, files: dict[str, bytes]) -> tuple[CodedGroup, list[View]]:
    sources = []
    for name, content in files.items():
        (folder / name).write_bytes(content)
        width, height = read_size(folder / name)
        pixels = np.zeros((height, width, 3), np.uint8)  # what they show is not the codec's concern
        view = View(len(sources), name, None, width, height, None, None)
        sources.append(SourceView(view, pixels, file=content))
    coded = LosslessCodec().encode_group(0, sources, quality=0.0)
    for source in sources:
        np.testing.assert_array_equal(coded.reconstructions[source.view.view_idx], source.pixels)
    return coded.coded, [source.view for source in sources]


def test_files_come_back(tmp_path: Path) -> None:
    coded, views = group_of(tmp_path, {name: content for name, (content, _) in FILES.items()})
    codec = LosslessCodec()
    files = codec.files_of_group(coded, views)
    pixels = codec.decode_group(coded, views, quality=0.0, wanted={0, 3})
    assert set(pixels) == {0, 3}
    for view, coded_view, (name, (content, method)) in zip(views, coded.views, FILES.items(), strict=True):
        assert files[view.view_idx] == content, name
        assert coded_view.payload_bytes <= len(content) + 41, name
        if method is not None:
            assert coded_view.substreams[0].payload[0] == method, name
        if view.view_idx in pixels:
            np.testing.assert_array_equal(pixels[view.view_idx], read_image(tmp_path / name).pixels)


def test_jpeg_files_become_smaller() -> None:
    content = PHOTOGRAPH.read_bytes()
    packed = jxl_of_jpeg(content)
    assert packed is not None
    assert len(packed) < 0.8 * len(content)


def test_what_is_not_the_file_is_refused(tmp_path: Path) -> None:
    coded, (view,) = group_of(tmp_path, {"a.jpg": FILES["plain.jpg"][0]})
    payload = coded.views[0].substreams[0].payload
    other = bytes([payload[0]]) + payload[1:9] + bytes(32) + payload[41:]
    huge = payload[:1] + (1 << 40).to_bytes(8, "little") + payload[9:]
    for damaged in (b"", payload[:30], payload[:-20], other, huge, bytes([7]) + payload[1:], b"\0" + payload[1:]):
        group = CodedGroup(0, (CodedView(0, (Substream("original", damaged),)),))
        with pytest.raises(ArchiveError):
            LosslessCodec().files_of_group(group, [view])
    with pytest.raises(ArchiveError, match="383x256"):
        LosslessCodec().files_of_group(coded, [replace(view, width=383)])
    with pytest.raises(ArchiveError):
        LosslessCodec().files_of_group(CodedGroup(0, (CodedView(0, ()),)), [view])


@pytest.mark.parametrize("size", [(8, 8), (256, 256), (257, 300), (1024, 600), (1600, 1200), (20000, 1)])
def test_the_header_of_jpeg_xl_is_read_whatever_the_size(size: tuple[int, int]) -> None:
    content = encoded(Image.new("RGB", size, (9, 80, 200)))
    packed = jxl_of_jpeg(content)
    assert packed is not None
    assert jpeg_of_jxl(packed, width=size[0], height=size[1], what="it") == content
    boxless = packed.replace(b"jxlc", b"abcd").replace(b"jxlp", b"abcd")
    for wrong in (b"", packed[:13], packed[4:], b"\xff\x0a", boxless):
        with pytest.raises(ArchiveError):
            jpeg_of_jxl(wrong, width=size[0], height=size[1], what="it")
