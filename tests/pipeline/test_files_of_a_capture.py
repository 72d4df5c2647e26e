"""What goes into an archive is what was there when the run began: no other bytes, nothing from out of the folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from PIL import Image
from raw_codec import RawCodec
from small_captures import tree, write_nerfstudio_capture

from colmap_io.errors import ModelError
from colmap_io.model_folder import read_model
from colmap_io.regular_files import open_regular, read_regular
from nerfstudio_mvc import compress_capture, decompress_archive
from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.capture.view_order import coding_groups
from nerfstudio_mvc.errors import CaptureError, OutputError
from nerfstudio_mvc.pipeline.capture_tasks import prepare_capture
from nerfstudio_mvc.pipeline.encode_view import encode_view
from nerfstudio_mvc.pipeline.options import CompressOptions
from nerfstudio_mvc.pipeline.progress import StepProgress, ViewDone

NEVER_ENDS = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "huge": lambda path: (path.touch(), os.truncate(path, 20 << 30)),
    "folder": lambda path: path.mkdir(),
}


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return write_nerfstudio_capture(tmp_path / "capture", views=4)


def compressed(capture: Path, **options) -> Path:
    archive = capture.parent / "capture.mvc"
    compress_capture(capture, archive, codec=options.pop("codec", RawCodec()), depth="none", group_size=2, **options)
    return archive


@pytest.mark.parametrize("kind", NEVER_ENDS)
def test_what_is_no_file_of_a_size_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    NEVER_ENDS[kind](tmp_path / "images.bin")
    (tmp_path / "cameras.bin").write_bytes(b"\0" * 8)
    with pytest.raises(OSError, match=r"images\.bin"):
        read_regular(tmp_path / "images.bin", limit=1 << 30)
    with pytest.raises(ModelError, match=r"images\.bin"):
        read_model(tmp_path)


def test_a_path_that_was_resolved_leads_nowhere_else_later(tmp_path: Path) -> None:
    for folder in ("mine", "others"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a").write_text(folder)
    real = (tmp_path / "mine" / "a").resolve()
    with open_regular(real, real=True) as file:
        assert file.read() == b"mine"
    (tmp_path / "mine").rename(tmp_path / "away")
    (tmp_path / "mine").symlink_to(tmp_path / "others")
    with pytest.raises(OSError, match="link"):
        open_regular(real, real=True)


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_photographs_that_are_none_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "a.jpg")
    NEVER_ENDS[kind](tmp_path / "b.jpg")
    with pytest.raises(CaptureError, match=r"b\.jpg.*no regular file"):
        load_capture(tmp_path)


def test_points_that_are_no_file_are_left_out(capture: Path) -> None:
    transforms = json.loads((capture / "transforms.json").read_text())
    (capture / "transforms.json").write_text(json.dumps({**transforms, "ply_file_path": "/dev/zero"}))
    loaded = load_capture(capture)
    assert not len(loaded.points)
    assert any("/dev/zero" in note for note in loaded.notes) or not loaded.named_files


def test_a_photograph_that_changes_stops_the_run_and_resume_has_the_old_one(capture: Path) -> None:
    loaded = load_capture(capture)
    photograph = loaded.views[coding_groups(loaded, "distance", group_size=2)[1][0]].image_path
    before = photograph.read_bytes()

    def replace_it(event: object) -> None:
        if isinstance(event, ViewDone):
            Image.new("RGB", (48, 32)).save(photograph)

    with pytest.raises(CaptureError, match=f"{photograph.name}: changed"):
        compressed(capture, on_event=replace_it)
    photograph.write_bytes(before)
    codec = RawCodec()
    resumed = compressed(capture, resume=True, codec=codec).read_bytes()
    assert codec.encoded_groups == [1]
    assert resumed == compressed(capture, force=True).read_bytes()


def into_a_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def into_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [into_a_link, into_a_pipe, Path.unlink])
def test_an_attached_file_that_becomes_something_else_stops_the_run(capture: Path, change) -> None:
    notes = next((capture / "masks").iterdir())

    def change_it(event: object) -> None:
        if isinstance(event, StepProgress) and event.step == "packing and verifying":
            change(notes)

    with pytest.raises(CaptureError, match="notes with"):
        compressed(capture, on_event=change_it)
    assert not (capture.parent / "capture.mvc").exists()


def test_links_inside_the_capture_and_those_that_transforms_json_names_are_followed(capture: Path) -> None:
    store = capture.parent / "store"
    (capture / "images").rename(store)
    (capture / "images").symlink_to(store)
    (capture / "mask.png").symlink_to(capture.parent / "elsewhere.png")
    Image.new("L", (4, 4)).save(capture.parent / "elsewhere.png")
    (capture / "again.txt").symlink_to("masks/notes with ünïcode.txt")
    (capture / "passwd").symlink_to("/etc/passwd")
    transforms = json.loads((capture / "transforms.json").read_text())
    transforms["frames"][0]["mask_path"] = "mask.png"
    (capture / "transforms.json").write_text(json.dumps(transforms))
    decompress_archive(compressed(capture), capture.parent / "out", codec=RawCodec())
    out = capture.parent / "out"
    assert (out / "mask.png").read_bytes() == (capture.parent / "elsewhere.png").read_bytes()
    assert (out / "again.txt").read_bytes() == (capture / "masks" / "notes with ünïcode.txt").read_bytes()
    assert len(list((out / "images").iterdir())) == 4
    assert not (out / "passwd").exists()


@pytest.mark.parametrize(
    "target", ["images/frame_00002.png", "transforms.json", "link.mvc", "dots", "store.png", "old.mvc"]
)
def test_no_output_takes_the_place_of_a_file_that_is_read(capture: Path, target: str) -> None:
    """Forced, through a link, by way of another folder, where it lies elsewhere, where it is called .mvc."""
    (capture / "images" / "frame_00001.png").rename(capture.parent / "store.png")
    (capture / "images" / "frame_00001.png").symlink_to(capture.parent / "store.png")
    (capture / "old.mvc").write_bytes(b"a mask, says transforms.json")
    transforms = json.loads((capture / "transforms.json").read_text())
    transforms["frames"][0]["mask_path"] = "old.mvc"
    (capture / "transforms.json").write_text(json.dumps(transforms))
    (capture.parent / "link.mvc").symlink_to(capture / "images" / "frame_00002.png")
    outside = {"dots": capture / "masks" / ".." / "images" / "frame_00003.png"}
    outside |= {name: capture.parent / name for name in ("link.mvc", "store.png")}
    output, before = outside.get(target, capture / target), tree(capture.parent)
    with pytest.raises(OutputError, match="is a file of the capture"):
        compress_capture(capture, output, codec=RawCodec(), depth="none", force=True)
    with pytest.raises(OutputError, match="is a file of the capture"):
        prepare_capture(capture, output, CompressOptions(codec=RawCodec(), depth="none", force=True))
    assert tree(capture.parent) == before


@pytest.mark.parametrize("mode", ["lean", "all"])
def test_an_archive_in_the_folder_is_replaced_and_not_carried(capture: Path, mode: str) -> None:
    expected = compressed(capture, attachments=mode).read_bytes()
    options = {"codec": RawCodec(), "depth": "none", "group_size": 2, "attachments": mode}
    for _ in range(2):
        compress_capture(capture, capture / "in.mvc", **options, force=True)
        assert (capture / "in.mvc").read_bytes() == expected


@pytest.mark.parametrize("name", ["frame_00001.png", "frame_00002.png"])
def test_a_view_is_not_encoded_over_a_photograph(capture: Path, name: str) -> None:
    before = tree(capture)
    with pytest.raises(OutputError, match="is a file of the capture"):
        encode_view(capture / "images" / "frame_00001.png", capture / "images" / name, force=True)
    assert tree(capture) == before


@pytest.mark.parametrize("start", [compress_capture, prepare_capture])
def test_a_file_too_large_is_told_before_cameras_are_looked_for(capture: Path, monkeypatch, start) -> None:
    for module in ("compress", "capture_tasks"):
        monkeypatch.setattr(f"nerfstudio_mvc.pipeline.{module}.load_capture", lambda *_, **__: pytest.fail("too late"))
    monkeypatch.setattr(layout, "MAX_LARGE_FILE_BYTES", 9999)
    (capture / "film.mp4").write_bytes(bytes(10_000))
    with pytest.raises(CaptureError, match=r"film\.mp4 has 10000 bytes"):
        start(capture, capture.parent / "a.mvc", CompressOptions(codec=RawCodec()))


def test_a_photograph_that_changed_since_its_smaller_copy_was_compared(tmp_path: Path) -> None:
    """The copy could not be remade from what is archived."""
    root = write_nerfstudio_capture(tmp_path / "capture")
    capture = load_capture(root)
    (copies,) = capture.smaller_copies
    assert len(copies.copies) == len(capture.views)
    photographs = sorted((root / "images").iterdir())
    photographs[0].write_bytes(photographs[1].read_bytes())
    with pytest.raises(CaptureError, match=r"frame_00001.png: changed while the capture was read"):
        compress_capture(capture, tmp_path / "a.mvc", codec=RawCodec(), depth="none")
    assert not (tmp_path / "a.mvc").exists()
