"""EXIF and the like of more bytes than the solid pack holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_codec import RawCodec
from small_captures import tree, write_nerfstudio_capture

from nerfstudio_mvc import compress_capture, decompress_archive
from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.archive.integrity import verify
from nerfstudio_mvc.archive.reader import ArchiveReader
from nerfstudio_mvc.archive.summary import summarize


def test_maker_notes_that_find_no_room_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capture = write_nerfstudio_capture(tmp_path / "capture", views=6, suffix=".jpg")
    rng = np.random.default_rng(8)
    for path in (capture / "images").iterdir():
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x927C] = rng.bytes(60_000)
        Image.open(path).save(path, exif=exif)
    monkeypatch.setattr(layout, "MAX_PACK_BYTES", 200_000)
    archive = tmp_path / "a.mvc"
    compress_capture(capture, archive, codec=RawCodec(), depth="none")
    assert verify(archive, unpack=True).ok
    assert summarize(archive).metadata_bytes > 360_000
    with ArchiveReader(archive) as reader:
        spilled = [name for name in reader.container.names if name.endswith(".xz")]
    assert 3 <= len(spilled) <= 4
    decompress_archive(archive, tmp_path / "out", codec=RawCodec())
    assert tree(tmp_path / "out").keys() == tree(capture).keys()
    for path in (capture / "images").iterdir():
        with Image.open(path) as given, Image.open(tmp_path / "out/images" / path.name) as restored:
            assert restored.info["exif"] == given.info["exif"]
