"""`quality="lossless"`: from folder to archive to folder, every photograph's file the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_captures import tree, write_nerfstudio_capture

from nerfstudio_mvc import compress_capture, decompress_archive, open_archive
from nerfstudio_mvc.archive.reader import ArchiveReader
from nerfstudio_mvc.archive.summary import summarize
from nerfstudio_mvc.errors import OptionError
from nerfstudio_mvc.nerfstudio_plugin.restored_capture import restored_capture
from nerfstudio_mvc.pipeline.decode_check import check_decoding
from nerfstudio_mvc.pipeline.options import CompressOptions


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs with EXIF, captions and a film behind them; one of them with 16 bits that no codec here has."""
    root = write_nerfstudio_capture(tmp_path_factory.mktemp("lossless") / "capture", views=4, suffix=".jpg")
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    for path in (root / "images").iterdir():
        Image.open(path).save(path, exif=exif, quality=85, comment=b"a caption")
        path.write_bytes(path.read_bytes() + b"a film")
    (root / "images/frame_00004.jpg").write_bytes(_sixteen_bits(root / "images/frame_00004.jpg"))
    return root


def _sixteen_bits(path: Path) -> bytes:
    grey = np.asarray(Image.open(path).convert("L")).astype(np.uint16) * 256 + 77
    target = path.with_suffix(".tmp.png")
    Image.fromarray(grey).save(target)
    content = target.read_bytes()
    target.unlink()
    return content


@pytest.fixture(scope="module")
def archive(capture: Path) -> Path:
    path = capture.parent / "a.mvc"
    report = compress_capture(capture, path, quality="lossless", attachments="all")
    assert report.warnings == ()
    assert (report.codec, report.psnr_db) == ("lossless", np.inf)
    return path


def test_the_folder_comes_back_bit_for_bit(capture: Path, archive: Path, tmp_path: Path) -> None:
    report = decompress_archive(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(capture)
    assert report.warnings == ()
    check = check_decoding(archive)
    assert (len(check.exact), check.differing, check.lost) == (4, (), ())
    summary = summarize(archive)
    assert summary.metadata_bytes == 0
    assert summary.group_sizes == (1, 1, 1, 1)


def test_pixels_and_other_formats(capture: Path, archive: Path, tmp_path: Path) -> None:
    with open_archive(archive) as source:
        pixels = source.read_view("frame_00002.jpg")
    np.testing.assert_array_equal(pixels, np.asarray(Image.open(capture / "images/frame_00002.jpg")))
    decompress_archive(archive, tmp_path / "out", image_format="png")
    image = Image.open(tmp_path / "out/images/frame_00002.png")
    np.testing.assert_array_equal(np.asarray(image), pixels)
    assert image.getexif()[0x010F] == "Maker"
    report = decompress_archive(archive, tmp_path / "one", views=["frame_00003.jpg"])
    assert report.views == ("images/frame_00003.jpg",)
    name = "images/frame_00003.jpg"
    assert tree(tmp_path / "one") == {name: (capture / name).read_bytes()}


def test_smaller_copies_are_made_again(capture: Path, tmp_path: Path) -> None:
    compress_capture(capture, tmp_path / "a.mvc", quality="lossless")
    decompress_archive(tmp_path / "a.mvc", tmp_path / "out")
    given, restored = tree(capture), tree(tmp_path / "out")
    assert given.keys() == restored.keys()
    assert {name for name in given if given[name] != restored[name]} <= {n for n in given if n.startswith("images_2/")}


def test_one_damaged_photograph_takes_no_other(capture: Path, archive: Path, tmp_path: Path) -> None:
    with ArchiveReader(archive) as reader:
        payload = reader.read_group(1).views[0].substreams[0].payload
        lost = reader.manifest.views[reader.manifest.groups[1][0]].name
    content = archive.read_bytes()
    at = content.index(payload) + len(payload) // 2
    (tmp_path / "b.mvc").write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    report = decompress_archive(tmp_path / "b.mvc", tmp_path / "out", skip_damaged=True)
    assert report.lost_views == (lost,)
    left = {name: data for name, data in tree(capture).items() if name != lost}
    assert tree(tmp_path / "out") == left


def test_a_stopped_run_goes_on(capture: Path, archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "c.mvc"

    def stop(event) -> None:
        if getattr(event, "group_idx", 0) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compress_capture(capture, path, quality="lossless", attachments="all", on_event=stop, jobs=1)
    report = compress_capture(capture, path, quality="lossless", attachments="all", resume=True, jobs=2)
    assert report.groups_reused >= 1
    assert path.read_bytes() == archive.read_bytes()


def test_a_photograph_cut_short_is_kept_with_a_warning(tmp_path: Path) -> None:
    root = write_nerfstudio_capture(tmp_path / "capture", views=2, suffix=".jpg")
    cut = root / "images/frame_00002.jpg"
    cut.write_bytes(cut.read_bytes()[:-40])
    report = compress_capture(root, tmp_path / "a.mvc", quality="lossless", attachments="all")
    (warning,) = report.warnings
    assert "frame_00002.jpg" in warning
    assert "truncated" in warning
    decompress_archive(tmp_path / "a.mvc", tmp_path / "out")
    assert tree(tmp_path / "out") == tree(root)


def test_training_takes_the_files_where_it_can_read_them(capture: Path, archive: Path, tmp_path: Path) -> None:
    folder = restored_capture(archive, tmp_path / "cache")
    assert tree(folder).items() >= tree(capture).items()


def test_which_qualities_there_are() -> None:
    assert CompressOptions(quality="lossless").codec_name == "lossless"
    with pytest.raises(OptionError, match="lossless"):
        CompressOptions(quality="losless")
    with pytest.raises(OptionError, match="exclude each other"):
        CompressOptions(quality="lossless", codec="av1")
    with pytest.raises(OptionError, match="exclude each other"):
        CompressOptions(quality="lossless", target_psnr_db=40)
