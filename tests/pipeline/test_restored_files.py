"""Files are restored as much like the originals as that costs nothing, and the archive says how good they are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin
from raw_codec import RawCodec
from small_captures import SAMPLE, write_nerfstudio_capture

from nerfstudio_mvc import compress_capture, decompress_archive
from nerfstudio_mvc.archive.manifest import decode_manifest, encode_manifest
from nerfstudio_mvc.archive.reader import ArchiveReader
from nerfstudio_mvc.archive.summary import summarize
from nerfstudio_mvc.capture.image_files import read_image, shown_pixels, with_jpeg_likeness, write_image
from nerfstudio_mvc.errors import ArchiveError
from nerfstudio_mvc.pipeline.view_notes import COST_DB, ViewNote, note_of_view, pack_notes, unpack_notes
from nerfstudio_mvc.quality.psnr import psnr_db

PICTURE = Image.open(SAMPLE / "images/frame_00001.jpg").crop((300, 300, 556, 492))
CODINGS = {
    "like a camera's": ({"quality": 93, "subsampling": "4:2:0"}, "4:2:0"),
    "4:2:2": ({"quality": 97, "subsampling": "4:2:2"}, "4:2:2"),
    "own tables": ({"qtables": [[3] * 64, [4] * 64, [5] * 64], "subsampling": 0}, ""),
    "one table": ({"qtables": [[2] * 64]}, "4:2:0"),
    "progressive": ({"quality": 90, "progressive": True, "subsampling": 0}, ""),
}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_file_is_written_as_the_original_was(coding: str, mode: str, tmp_path: Path) -> None:
    options, subsampling = CODINGS[coding]
    if mode == "L":
        options = {key: value[:1] if key == "qtables" else value for key, value in options.items()}
    PICTURE.convert(mode).save(tmp_path / "a.jpg", **options)
    image = read_image(tmp_path / "a.jpg")
    assert image.metadata.jpeg_subsampling == ("" if mode == "L" else subsampling)
    write_image(tmp_path / "b.jpg", image.pixels, image.metadata)
    given, written = Image.open(tmp_path / "a.jpg"), Image.open(tmp_path / "b.jpg")
    assert written.mode == mode
    for layer, other in zip(written.layer, given.layer, strict=True):
        assert layer[1:3] == other[1:3] or mode == "L"
        assert written.quantization[layer[3]] == given.quantization[other[3]]
    np.testing.assert_array_equal(
        shown_pixels(tmp_path / "b.jpg", image.pixels, image.metadata), read_image(tmp_path / "b.jpg").pixels
    )
    for likeness, sampling in (("subsampling", image.metadata.jpeg_subsampling or "4:4:4"), ("none", "4:4:4")):
        write_image(tmp_path / "c.jpg", image.pixels, with_jpeg_likeness(image.metadata, likeness))
        plain = Image.open(tmp_path / "c.jpg")
        assert plain.quantization[0][:4] == [2, 1, 1, 2]
        if mode == "RGB":
            assert JpegImagePlugin.get_sampling(plain) == {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}[sampling]


def test_codings_that_cannot_be_written_are_not_taken(tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "a.jpg", qtables=[[300] * 64], subsampling=0)
    PICTURE.convert("CMYK").save(tmp_path / "b.jpg")
    PICTURE.save(tmp_path / "c.png")
    for name in ("a.jpg", "b.jpg", "c.png"):
        assert read_image(tmp_path / name).metadata.jpeg_tables == b""


def test_tables_and_subsampling_are_taken_where_they_cost_little(tmp_path: Path) -> None:
    """The less noise a codec leaves, the more a coarse table on top costs."""
    PICTURE.save(tmp_path / "a.jpg", quality=80, subsampling="4:2:0")
    image = read_image(tmp_path / "a.jpg")
    rng = np.random.default_rng(5)
    found = set()
    for noise in (0.5, 1.5, 4.0, 12.0):
        decoded = np.clip(image.pixels + rng.normal(0, noise, image.pixels.shape), 0, 255).round().astype(np.uint8)
        note = note_of_view("a.jpg", image.pixels, decoded, image.metadata)
        write_image(tmp_path / "plain.jpg", decoded, with_jpeg_likeness(image.metadata, "none"))
        write_image(tmp_path / "noted.jpg", decoded, with_jpeg_likeness(image.metadata, note.jpeg))
        plain = psnr_db(image.pixels, read_image(tmp_path / "plain.jpg").pixels)
        noted = psnr_db(image.pixels, read_image(tmp_path / "noted.jpg").pixels)
        assert noted == note.file_psnr_db >= plain - COST_DB
        assert note.psnr_db == psnr_db(image.pixels, decoded)
        found.add(note.jpeg)
    assert "coding" in found
    without = note_of_view("a.jpg", image.pixels, decoded, None)
    assert (without.jpeg, without.file_psnr_db) == ("none", plain)


def test_the_archive_says_how_good_its_files_are(tmp_path: Path) -> None:
    """Also after a run that was stopped, with photographs that come back as PNG, and without metadata."""
    capture = write_nerfstudio_capture(tmp_path / "capture", views=5, suffix=".jpg")
    for number, path in enumerate(sorted((capture / "images").iterdir())):
        PICTURE.resize((48, 32)).rotate(number).save(path, quality=85 + number, subsampling=number % 3)
    archive = tmp_path / "a.mvc"
    with pytest.raises(KeyboardInterrupt):
        compress_capture(capture, archive, codec=RawCodec(stop_after=1), depth="none", group_size=2)
    for attachments in ("lean", "none"):
        resumed = attachments == "lean"
        report = compress_capture(
            capture,
            archive,
            codec=RawCodec(),
            depth="none",
            group_size=2,
            attachments=attachments,
            resume=resumed,
            force=not resumed,
        )
        assert report.groups_reused == resumed
        out = tmp_path / attachments
        decompress_archive(archive, out, codec=RawCodec())
        decompress_archive(archive, tmp_path / f"{attachments} png", codec=RawCodec(), image_format="png")
        with ArchiveReader(archive) as reader:
            manifest = reader.manifest
        for view, (decoded, file) in zip(manifest.views, manifest.view_psnr_db, strict=True):
            original = read_image(capture / view.name).pixels
            assert file == round(psnr_db(original, read_image(out / view.name).pixels), 2)
            png = (tmp_path / f"{attachments} png" / view.name).with_suffix(".png")
            assert decoded == round(psnr_db(original, read_image(png).pixels), 2)
        assert report.file_psnr_db == pytest.approx(summarize(archive).file_psnr_db, abs=0.01)


def test_what_the_manifest_says_of_it_is_checked() -> None:
    document = json.loads(encode_manifest(_manifest()))
    assert decode_manifest(json.dumps(document).encode(), what="a") == _manifest()
    assert document["psnr"] == [[31.25, None]]
    for wrong in ([[1.0]], [[1.0, 2.0]] * 2, [["a", 2.0]], [[-1.0, 2.0]], 7):
        with pytest.raises(ArchiveError, match="psnr"):
            decode_manifest(json.dumps({**document, "psnr": wrong}).encode(), what="a")
    del document["psnr"]
    assert decode_manifest(json.dumps(document).encode(), what="a") == replace(_manifest(), view_psnr_db=())


def _manifest():
    from nerfstudio_mvc.archive.manifest import Manifest, ViewEntry

    views = (ViewEntry("a.jpg", 4, 4, 100),)
    return Manifest(
        2, "w", "c", "f", 1.0, {}, "k", views, ((0,),), (), "lean", 0, 0, (), (), view_psnr_db=((31.25, np.inf),)
    )


def test_notes_come_back() -> None:
    notes = {3: ViewNote(30.0, 29.5, "subsampling"), 1: ViewNote(np.inf, np.inf, "none")}
    assert unpack_notes(pack_notes(notes)) == notes
    assert unpack_notes(None) == unpack_notes(b"{") == unpack_notes(b"[[1]]") == {}
