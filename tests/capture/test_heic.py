"""HEIC photographs, as phones make them: read with pillow-heif, restored under their names."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_codec import RawCodec
from small_captures import tree, write_nerfstudio_capture

from nerfstudio_mvc import compress_capture, decompress_archive
from nerfstudio_mvc.capture.image_files import read_image
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.errors import CaptureError

pillow_heif = pytest.importorskip("pillow_heif")


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    pillow_heif.register_heif_opener()
    root = write_nerfstudio_capture(tmp_path / "capture", views=3, suffix=".png", size=(64, 64))
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    for path in (root / "images").iterdir():
        Image.open(path).convert("RGB").save(path.with_suffix(".HEIC"), quality=90, exif=exif)
        path.unlink()
    transforms = root / "transforms.json"
    transforms.write_text(transforms.read_text().replace(".png", ".HEIC"))
    return root


def test_pictures_and_exif_come_back_under_their_names(capture: Path, tmp_path: Path) -> None:
    compress_capture(capture, tmp_path / "a.mvc", codec=RawCodec(), depth="none")
    decompress_archive(tmp_path / "a.mvc", tmp_path / "out", codec=RawCodec())
    given = sorted((capture / "images").iterdir())
    assert [path.name for path in sorted((tmp_path / "out/images").iterdir())] == [path.name for path in given]
    for path in given:
        before, after = read_image(path), read_image(tmp_path / "out/images" / path.name)
        assert np.abs(before.pixels.astype(float) - after.pixels).max() <= 8
        assert Image.open(tmp_path / "out/images" / path.name).getexif()[0x010F] == "Maker"


def test_files_come_back_bit_for_bit_without_pillow_heif(
    capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compress_capture(capture, tmp_path / "a.mvc", quality="lossless", attachments="all")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    decompress_archive(tmp_path / "a.mvc", tmp_path / "out")
    assert tree(tmp_path / "out") == tree(capture)


def test_what_is_missing_is_said_once_for_all(capture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(CaptureError) as found:
        load_capture(capture)
    assert str(found.value).count("pip install 'nerfstudio-mvc[heic]'") == 1
    assert "3 of 3 photographs" in str(found.value)
