"""compress_capture and decompress_archive around a codec without a network: files, names, groups, events."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_codec import OtherPixelsCodec, RawCodec
from small_captures import tree, write_nerfstudio_capture

from nerfstudio_mvc import compress_capture, decompress_archive, evaluate_archive, open_archive
from nerfstudio_mvc.archive.cell_means import cell_means, shows_the_same
from nerfstudio_mvc.errors import ArchiveError, CaptureError, MvcError, OutputError
from nerfstudio_mvc.pipeline.decode_check import check_decoding
from nerfstudio_mvc.pipeline.progress import Planned, ViewDone, Warned


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return write_nerfstudio_capture(tmp_path / "capture")


def compressed(capture: Path, **settings) -> Path:
    archive = capture.parent / "capture.mvc"
    compress_capture(capture, archive, codec=RawCodec(), depth="none", **settings)
    return archive


def coded_pixels(path: Path) -> np.ndarray:
    """What RawCodec makes of a photograph."""
    return (np.asarray(Image.open(path).convert("RGB")) >> 4 << 4) | 8


def test_everything_comes_back(capture: Path, tmp_path: Path) -> None:
    archive = compressed(capture, group_size=2)
    report = decompress_archive(archive, tmp_path / "out", codec=RawCodec())
    before, after = tree(capture), tree(tmp_path / "out")
    assert set(after) == set(before)
    for name in before:
        if not name.startswith("images"):
            assert after[name] == before[name], name
    for name in (name for name in before if name.startswith("images/")):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / name)), coded_pixels(capture / name))
    assert {Image.open(tmp_path / "out" / name).size for name in before if name.startswith("images_2/")} == {(24, 16)}
    assert len(report.views) == 5
    assert (report.attachments, report.remade) == (2, 5)
    assert not report.lost_views
    assert not report.differing_views


def test_attachments_none_restores_cameras_alone(capture: Path, tmp_path: Path) -> None:
    archive = compressed(capture, attachments="none")
    decompress_archive(archive, tmp_path / "out", codec=RawCodec())
    names = {name for name in tree(tmp_path / "out") if not name.startswith("images_2/")}
    assert names == {"transforms.json", *(name for name in tree(capture) if name.startswith("images/"))}
    made = json.loads((tmp_path / "out" / "transforms.json").read_text())
    given = json.loads((capture / "transforms.json").read_text())
    assert {key: made[key] for key in ("fl_x", "cx", "k1", "w", "h")} == {
        key: given[key] for key in ("fl_x", "cx", "k1", "w", "h")
    }
    for frame, given_frame in zip(made["frames"], given["frames"], strict=True):
        assert frame["file_path"] == given_frame["file_path"]
        np.testing.assert_allclose(frame["transform_matrix"], given_frame["transform_matrix"], atol=1e-12)


def test_single_view_decodes_only_its_group(capture: Path, tmp_path: Path) -> None:
    archive = compressed(capture, group_size=2)
    decompress_archive(archive, tmp_path / "one", codec=RawCodec(), views=["frame_00002.png"])
    assert set(tree(tmp_path / "one")) == {"images/frame_00002.png"}
    with open_archive(archive, codec=RawCodec()) as opened:
        pixels = opened.read_view("images/frame_00004.png")
        assert len(opened.views) == 5
        with pytest.raises(ArchiveError, match="nowhere"):
            opened.read_view("nowhere.png")
    np.testing.assert_array_equal(pixels, coded_pixels(capture / "images" / "frame_00004.png"))


def test_other_image_format_renames_the_frames(capture: Path, tmp_path: Path) -> None:
    archive = compressed(capture)
    report = decompress_archive(archive, tmp_path / "out", codec=RawCodec(), image_format="jpg")
    frames = json.loads((tmp_path / "out" / "transforms.json").read_text())["frames"]
    assert all((tmp_path / "out" / frame["file_path"]).is_file() for frame in frames)
    assert {Path(frame["file_path"]).suffix for frame in frames} == {".jpg"}
    assert any("transforms.json" in warning for warning in report.warnings)


def test_resume_codes_only_what_is_missing(capture: Path, tmp_path: Path) -> None:
    archive = tmp_path / "capture.mvc"
    events = []
    with pytest.raises(KeyboardInterrupt):
        compress_capture(
            capture, archive, codec=RawCodec(stop_after=1), depth="none", group_size=2, on_event=events.append
        )
    assert not archive.exists()
    assert "--resume" in events[-1].message
    codec = RawCodec()
    report = compress_capture(capture, archive, codec=codec, depth="none", group_size=2, resume=True)
    assert report.groups_reused == 1
    assert len(codec.encoded_groups) == report.groups - 1
    uninterrupted = tmp_path / "again.mvc"
    compress_capture(capture, uninterrupted, codec=RawCodec(), depth="none", group_size=2)
    assert archive.read_bytes() == uninterrupted.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"capture", "capture.mvc", "again.mvc"}


def test_interrupted_restore_leaves_nothing(capture: Path, tmp_path: Path) -> None:
    archive = compressed(capture)

    def stop(event: object) -> None:
        if isinstance(event, ViewDone):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decompress_archive(archive, tmp_path / "out", codec=RawCodec(), on_event=stop)
    assert {path.name for path in tmp_path.iterdir()} == {"capture", "capture.mvc"}


def test_existing_output_needs_force(capture: Path, tmp_path: Path) -> None:
    archive = compressed(capture)
    with pytest.raises(OutputError, match="--force"):
        compress_capture(capture, archive, codec=RawCodec(), depth="none")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="--force"):
        decompress_archive(archive, tmp_path / "out", codec=RawCodec())
    decompress_archive(archive, tmp_path / "out", codec=RawCodec(), force=True)
    restored = tree(tmp_path / "out")
    assert restored["mine.txt"] == b"mine"
    assert restored["transforms.json"] == (capture / "transforms.json").read_bytes()
    with pytest.raises(OutputError, match="is a file"):
        decompress_archive(archive, tmp_path / "out" / "mine.txt", codec=RawCodec())


def test_pixels_of_another_machine_are_named_not_refused(capture: Path, tmp_path: Path) -> None:
    archive = compressed(capture)
    warnings = []
    report = decompress_archive(
        archive,
        tmp_path / "out",
        codec=OtherPixelsCodec(),
        on_event=lambda event: warnings.append(event.message) if isinstance(event, Warned) else None,
    )
    assert len(report.differing_views) == 5
    assert "frame_00001.png" in warnings[0]
    check = check_decoding(archive, codec=OtherPixelsCodec())
    assert (len(check.exact), len(check.differing)) == (0, 5)
    assert len(check_decoding(archive, codec=RawCodec()).exact) == 5


def test_another_picture_is_no_rounding(capture: Path, tmp_path: Path) -> None:
    class Exchanging(RawCodec):
        def decode_group(self, coded, views, **settings):
            pixels = super().decode_group(coded, views, **settings)
            return dict(zip(pixels, reversed(pixels.values()), strict=True))

    archive = compressed(capture, group_size=4)
    with pytest.raises(ArchiveError, match="another picture"):
        decompress_archive(archive, tmp_path / "out", codec=Exchanging())
    check = check_decoding(archive, codec=Exchanging())
    assert (len(check.exact), check.differing, len(check.lost)) == (1, (), 4)


@pytest.mark.parametrize("size", [(1, 1), (3, 9), (64, 48), (101, 67)])
def test_rounding_is_told_from_another_picture(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    pixels, other = rng.integers(1, 255, (2, *size, 3), np.uint8)
    rounded = pixels + rng.integers(-1, 2, pixels.shape).astype(np.int8).astype(np.uint8)
    assert len(cell_means(pixels)) <= 16
    assert shows_the_same(rounded, cell_means(pixels))
    if min(size) > 8:
        assert not shows_the_same(other // 2, cell_means(pixels))
    assert not shows_the_same(pixels, b"")


def test_damaged_view_is_lost_alone(capture: Path, tmp_path: Path) -> None:
    archive = compressed(capture, group_size=5)
    content = bytearray(archive.read_bytes())
    start = content.index(b"MVCG\x01")
    content[start + 400] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(ArchiveError):
        decompress_archive(archive, tmp_path / "out", codec=RawCodec())
    assert not (tmp_path / "out").exists()
    report = decompress_archive(archive, tmp_path / "out", codec=RawCodec(), skip_damaged=True)
    assert len(report.lost_views) == 1
    assert len(report.views) == 4
    assert len(check_decoding(archive, codec=RawCodec()).lost) == len(report.lost_views)


def test_plan_is_reported_before_the_first_view(capture: Path, tmp_path: Path) -> None:
    events = []
    compress_capture(capture, tmp_path / "a.mvc", codec=RawCodec(), depth="none", group_size=3, on_event=events.append)
    kinds = [type(event) for event in events]
    assert kinds.index(Planned) < kinds.index(ViewDone)
    plan = events[kinds.index(Planned)]
    assert (plan.codec, plan.views, plan.groups, plan.sizes) == ("raw", 5, 2, ((48, 32),))
    done = [event for event in events if isinstance(event, ViewDone)]
    assert sorted(event.view_idx for event in done) == [0, 1, 2, 3, 4]
    assert all(event.payload_bytes > 0 and event.source_bytes > 0 for event in done)


def test_report_adds_up(capture: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.mvc"
    report = compress_capture(capture, archive, codec=RawCodec(), depth="none")
    assert report.file_bytes == archive.stat().st_size
    parts = report.image_bytes + report.depth_bytes + report.attachment_bytes + report.overhead_bytes
    assert parts == report.file_bytes
    assert report.depth_bytes == 5
    assert report.bpp == pytest.approx(8 * (report.file_bytes - report.attachment_bytes) / (5 * 48 * 32))
    evaluation = evaluate_archive(archive, capture, codec=RawCodec())
    assert evaluation.psnr_db == pytest.approx(report.psnr_db)
    assert evaluation.bpp == report.bpp
    assert evaluation.ms_ssim is None  # 48x32 is too small for five scales
    (capture / "images" / "frame_00001.png").unlink()
    with pytest.raises(CaptureError):
        evaluate_archive(archive, capture, codec=RawCodec())


def test_settings_out_of_range_are_refused(capture: Path, tmp_path: Path) -> None:
    for settings in ({"quality": 0.5}, {"quality": 9}, {"group_size": 0}, {"quality": float("nan")}):
        with pytest.raises(MvcError, match="out of range"):
            compress_capture(capture, tmp_path / "a.mvc", codec=RawCodec(), **settings)
    with pytest.raises(MvcError, match="available: av1, lmvic, lossless, parahydra"):
        compress_capture(capture, tmp_path / "a.mvc", codec="vvc")
    assert not (tmp_path / "a.mvc").exists()


def test_names_that_differ_in_case_only_need_a_place_that_can_hold_them(tmp_path: Path, monkeypatch) -> None:
    capture = write_nerfstudio_capture(tmp_path / "capture", views=2)
    transforms = json.loads((capture / "transforms.json").read_text())
    for frame, name in zip(transforms["frames"], ("images/A.png", "images/a.png"), strict=True):
        (capture / frame["file_path"]).rename(capture / name)
        frame["file_path"] = name
    (capture / "transforms.json").write_text(json.dumps(transforms))
    compress_capture(capture, tmp_path / "a.mvc", codec=RawCodec(), depth="none")
    assert len(decompress_archive(tmp_path / "a.mvc", tmp_path / "out", codec=RawCodec()).views) == 2
    monkeypatch.setattr("nerfstudio_mvc.pipeline.decompress.tells_case_apart", lambda folder: False)
    with pytest.raises(OutputError, match=r"images/a\.png.*--views"):
        decompress_archive(tmp_path / "a.mvc", tmp_path / "other", codec=RawCodec())
    assert not (tmp_path / "other").exists()
    decompress_archive(tmp_path / "a.mvc", tmp_path / "other", codec=RawCodec(), views=["images/a.png"])


def test_what_is_lost_of_many_photographs_is_said_once_and_counted(capture: Path, tmp_path: Path) -> None:
    for path in (capture / "images").iterdir():
        Image.open(path).quantize(8).save(path)
    report = compress_capture(capture, tmp_path / "a.mvc", codec=RawCodec(), depth="none", target_bpp=8.0)
    about_palettes = [warning for warning in report.warnings if "palette" in warning]
    assert len(about_palettes) == 2
    assert about_palettes[0].startswith("frame_0000")
    assert about_palettes[1].startswith("5 photographs in all: ")
