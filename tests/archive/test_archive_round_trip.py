"""Writer and reader together: everything returns, a stopped run goes on, nothing half-written appears."""

import dataclasses
import errno
import os
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
from small_archive import SETTINGS, colmap_model, make_group, make_views, pixel_checks, write_archive

from nerfstudio_mvc.archive import layout, work_folder
from nerfstudio_mvc.archive import writer as writer_module
from nerfstudio_mvc.archive.attachments import plan_attachments
from nerfstudio_mvc.archive.integrity import pixel_check, verify
from nerfstudio_mvc.archive.reader import ArchiveReader
from nerfstudio_mvc.archive.summary import summarize
from nerfstudio_mvc.archive.writer import ArchiveWriter
from nerfstudio_mvc.capture.image_files import ImageMetadata
from nerfstudio_mvc.capture.views import SmallerCopies
from nerfstudio_mvc.errors import ArchiveError, CaptureError, OutputError, ShapeError

GROUPS = [[2, 0], [1, 3]]


@pytest.fixture
def capture(tmp_path):
    root = tmp_path / "capture"
    views = make_views(root)
    colmap_model(root / "colmap/sparse/0", points=20)
    (root / "transforms.json").write_text('{"frames": []}')
    (root / "empty").write_bytes(b"")
    (root / "images_2").mkdir()
    (root / "images_2" / Path(views[0].name).name).write_bytes(b"small")
    return root, views


def left_behind(folder):
    return sorted(path.name for path in folder.iterdir() if "mvc" in path.name)


def test_everything_returns(tmp_path, capture):
    root, views = capture
    path = tmp_path / "a.mvc"
    name = Path(views[0].name).name
    copies = SmallerCopies("images_2", "images", {views[0].name: f"images_2/{name}"}, ((20, 15),))
    groups = write_archive(path, root, views, GROUPS, smaller_copies=[copies])
    with ArchiveReader(path) as reader:
        manifest = reader.manifest
        assert [reader.read_group(idx) for idx in (1, 0)] == [groups[1], groups[0]]
        assert reader.pixel_checks(1) == pixel_checks(groups[1])
        for view, source in zip(reader.views(), views, strict=True):
            assert view.cam_from_world.tobytes() == source.cam_from_world.tobytes()
            assert dataclasses.replace(view, cam_from_world=0, point_idxs=0) == dataclasses.replace(
                source, cam_from_world=0, point_idxs=0, image_path=None
            )
        attached = dict(reader.read_attachments())
        assert reader.attachment_sizes() == {name: len(data) for name, data in attached.items()}
    assert attached == {name: (root / name).read_bytes() for name in attached}
    assert len(attached) == 5 == manifest.attached_files
    assert [(folder.path, folder.sizes) for folder in manifest.downscaled] == [("images_2", ((20, 15),))]
    assert [line.path for line in manifest.left_out] == ["images_2"]
    assert (manifest.codec, manifest.fingerprint, manifest.quality) == ("lmvic", "5b1e07", 3.0)
    assert manifest.parameters == {"group_size": 2}
    assert manifest.groups == ((2, 0), (1, 3))
    assert [manifest.group_of(idx) for idx in range(4)] == [0, 1, 0, 1]
    assert [view.source_bytes for view in manifest.views] == [200, 201, 202, 203]
    report = verify(path)
    assert (report.ok, report.views, report.groups, report.attachments) == (True, 4, 2, 5)
    assert left_behind(tmp_path) == ["a.mvc"]


def test_any_zip_tool_opens_it_and_groups_are_stored(tmp_path, capture):
    path = tmp_path / "a.mvc"
    write_archive(path, *capture, GROUPS)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        kinds = {entry.filename: entry.compress_type for entry in archive.infolist()}
    assert kinds["manifest.json"] == zipfile.ZIP_DEFLATED
    assert kinds["groups/00000.mvg"] == kinds["cameras.bin"] == zipfile.ZIP_STORED


def test_same_input_gives_the_same_bytes(tmp_path, capture):
    for name in ("a.mvc", "b.mvc"):
        write_archive(tmp_path / name, *capture, GROUPS)
    assert (tmp_path / "a.mvc").read_bytes() == (tmp_path / "b.mvc").read_bytes()


def test_what_is_no_payload_stays_small(tmp_path):
    views = make_views(tmp_path / "capture", 12)
    write_archive(tmp_path / "a.mvc", None, views, [list(range(12))])
    summary = summarize(tmp_path / "a.mvc")
    assert summary.attachment_bytes == 0
    assert summary.camera_bytes + summary.container_bytes < 2500


def test_summary_adds_up(tmp_path, capture):
    path = tmp_path / "a.mvc"
    write_archive(path, *capture, GROUPS)
    summary = summarize(path)
    assert summary.file_bytes == path.stat().st_size
    assert summary.image_bytes == 4 * 45
    assert summary.depth_bytes == 4 * 9
    assert summary.substream_bytes == {"depth/z": 36, "image/y/step0": 160, "image/y/step1": 0, "image/z": 20}
    parts = summary.image_bytes + summary.depth_bytes + summary.camera_bytes
    assert parts + summary.attachment_bytes + summary.container_bytes == summary.file_bytes
    assert summary.pixels == 3 * 40 * 30 + 33 * 17
    assert summary.bpp == pytest.approx(8 * (summary.file_bytes - summary.attachment_bytes) / summary.pixels)
    assert summary.source_bytes == 200 + 201 + 202 + 203
    assert summary.group_sizes == (2, 2)
    assert summary.to_json()["manifest"]["codec"] == "lmvic"


def test_attachments_do_not_count_into_bpp(tmp_path, capture):
    root, views = capture
    for mode in ("none", "all"):
        write_archive(tmp_path / f"{mode}.mvc", root, views, GROUPS, mode=mode)
    none, everything = (summarize(tmp_path / f"{mode}.mvc") for mode in ("none", "all"))
    assert none.attachment_bytes == 0 < everything.attachment_bytes
    # The manifests differ by the lines about what was left out.
    assert abs(none.container_bytes - everything.container_bytes) < 200


def test_stopped_run_goes_on_without_its_finished_groups(tmp_path, capture):
    root, views = capture
    path = tmp_path / "a.mvc"
    groups = [make_group(idx, tuple(order)) for idx, order in enumerate(GROUPS)]
    options = {"views": views, "kind": "nerfstudio", "groups": GROUPS, "settings": SETTINGS}
    with pytest.raises(KeyboardInterrupt), ArchiveWriter(path, **options) as writer:
        writer.add_group(groups[1], pixel_checks=pixel_checks(groups[1]))
        raise KeyboardInterrupt
    assert left_behind(tmp_path) == [".a.mvc.mvc-partial"]
    other = dataclasses.replace(SETTINGS, quality=4.0)
    with pytest.raises(OutputError, match="leave out --resume"):
        ArchiveWriter(path, **{**options, "settings": other}, resume=True)
    with ArchiveWriter(path, **options, resume=True) as writer:
        assert [writer.has_group(idx) for idx in (0, 1)] == [False, True]
        assert writer.finished_payload_bytes(1) == groups[1].payload_bytes
        writer.add_group(groups[0], pixel_checks=pixel_checks(groups[0]))
        writer.finish(plan_attachments(root, view_names=[view.name for view in views]), image_metadata={})
    write_archive(tmp_path / "b.mvc", root, views, GROUPS)
    assert path.read_bytes() == (tmp_path / "b.mvc").read_bytes()
    assert left_behind(tmp_path) == ["a.mvc", "b.mvc"]


def test_changed_photograph_cannot_be_resumed(tmp_path, capture):
    _, views = capture
    options = {"views": views, "kind": "k", "groups": GROUPS, "settings": SETTINGS}
    group = make_group(0, (2, 0))
    with ArchiveWriter(tmp_path / "a.mvc", **options) as writer:
        writer.add_group(group, pixel_checks=pixel_checks(group))
    views[3].image_path.write_bytes(b"another photograph")
    with pytest.raises(OutputError, match="other photographs"):
        ArchiveWriter(tmp_path / "a.mvc", **options, resume=True)
    with ArchiveWriter(tmp_path / "a.mvc", **options) as writer:
        assert not writer.has_group(0)
    assert left_behind(tmp_path) == []


def test_half_written_group_is_not_taken_for_whole(tmp_path, capture):
    _, views = capture
    options = {"views": views, "kind": "k", "groups": GROUPS, "settings": SETTINGS}
    group = make_group(0, (2, 0))
    with ArchiveWriter(tmp_path / "a.mvc", **options) as writer:
        writer.add_group(group, pixel_checks=pixel_checks(group))
    kept = tmp_path / ".a.mvc.mvc-partial" / "groups_00000.mvg"
    kept.write_bytes(kept.read_bytes()[:-1])
    with ArchiveWriter(tmp_path / "a.mvc", **options, resume=True) as writer:
        assert not writer.has_group(0)


def test_two_runs_do_not_share_a_target(tmp_path, capture):
    pytest.importorskip("fcntl")
    _, views = capture
    options = {"views": views, "kind": "k", "groups": GROUPS, "settings": SETTINGS}
    message = f"process {os.getpid()}"
    with ArchiveWriter(tmp_path / "a.mvc", **options), pytest.raises(OutputError, match=message):
        ArchiveWriter(tmp_path / "a.mvc", **options)


def test_existing_target_needs_force(tmp_path, capture):
    path = tmp_path / "a.mvc"
    path.write_bytes(b"precious")
    with pytest.raises(OutputError, match="--force"):
        write_archive(path, *capture, GROUPS)
    assert path.read_bytes() == b"precious"
    write_archive(path, *capture, GROUPS, force=True)
    assert verify(path).ok


@pytest.mark.parametrize("name", ["../a.jpg", "/a.jpg", "a\\b.jpg", "images/frame 00 ü.jpg"])
def test_name_that_cannot_be_restored_is_refused(tmp_path, capture, name):
    _, views = capture
    views[3] = dataclasses.replace(views[3], name=name)
    with pytest.raises(CaptureError, match="rename"):
        write_archive(tmp_path / "a.mvc", None, views, GROUPS)


def test_folder_as_target_is_refused(tmp_path, capture):
    with pytest.raises(OutputError, match="is a folder"):
        write_archive(tmp_path, *capture, GROUPS, force=True)


def test_full_disk_is_one_line_with_a_remedy(tmp_path, capture, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(work_folder.os, "replace", full)
    with pytest.raises(OutputError) as caught:
        write_archive(tmp_path / "a.mvc", *capture, GROUPS)
    message = str(caught.value)
    assert message.startswith("no space left on ")
    assert "--output" in message
    assert "\n" not in message
    assert left_behind(tmp_path) == []


def test_disk_that_fills_up_at_the_end_keeps_the_groups(tmp_path, capture, monkeypatch):
    root, views = capture

    def full(_, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(work_folder.os, "fsync", lambda _: None)
        patch.setattr(writer_module, "verify", full)
        with pytest.raises(OutputError, match=r"needs about 1 MB.*--resume"):
            write_archive(tmp_path / "a.mvc", root, views, GROUPS)
    kept = {path.name for path in (tmp_path / ".a.mvc.mvc-partial").iterdir()}
    assert kept == {"key", "lock", "groups_00000.mvg", "groups_00001.mvg"}
    write_archive(tmp_path / "a.mvc", root, views, GROUPS, resume=True)
    assert verify(tmp_path / "a.mvc").ok


def test_wrong_groups_are_the_callers_mistake(tmp_path, capture):
    _, views = capture
    options = {"views": views, "kind": "k", "settings": SETTINGS}
    with pytest.raises(ShapeError):
        ArchiveWriter(tmp_path / "a.mvc", groups=[[0, 1], [1, 2, 3]], **options)
    with ArchiveWriter(tmp_path / "a.mvc", groups=GROUPS, **options) as writer:
        with pytest.raises(ShapeError):
            writer.add_group(make_group(0, (0, 2)), pixel_checks={0: 0, 2: 0})
        with pytest.raises(ShapeError):
            writer.finish(plan_attachments(None, view_names=[]), image_metadata={})


def test_attached_file_that_vanishes_is_named(tmp_path, capture):
    root, views = capture
    plan = plan_attachments(root, view_names=[view.name for view in views])
    (root / "transforms.json").unlink()
    with ArchiveWriter(tmp_path / "a.mvc", views=views, kind="k", groups=GROUPS, settings=SETTINGS) as writer:
        for idx, order in enumerate(GROUPS):
            group = make_group(idx, tuple(order))
            writer.add_group(group, pixel_checks=pixel_checks(group))
        with pytest.raises(CaptureError, match=r"transforms\.json"):
            writer.finish(plan, image_metadata={})


def test_large_files_have_entries_of_their_own(tmp_path, capture, monkeypatch):
    root, views = capture
    (root / "film.mp4").write_bytes(random.Random(0).randbytes(3000))
    (root / "zeros").write_bytes(bytes(5_000_000))
    monkeypatch.setattr(layout, "LARGE_FILE_BYTES", 2500)
    path = tmp_path / "a.mvc"
    write_archive(path, root, views, GROUPS)
    with ArchiveReader(path) as reader:
        attached = dict(reader.read_attachments())
        assert {"attachments/00000.xz", "attachments/00001.xz"} <= set(reader.container.names)
    assert attached == {name: (root / name).read_bytes() for name in attached}
    assert {"film.mp4", "zeros"} <= set(attached)
    assert verify(path).ok


def test_image_metadata_returns_and_equal_profiles_are_stored_once(tmp_path, capture):
    profile = random.Random(0).randbytes(3000)
    metadata = {
        idx: ImageMetadata("RGBA", "PNG", ".png", 40, 30, exif=b"Exif %d" % idx, icc_profile=profile, dpi=(72.0, 71.5))
        for idx in range(4)
    }
    metadata[2] = dataclasses.replace(metadata[2], alpha=b"", dpi=None)
    root, views = capture
    for mode in ("lean", "none"):
        write_archive(tmp_path / f"{mode}.mvc", root, views, GROUPS, mode=mode, image_metadata=metadata)
    write_archive(tmp_path / "bare.mvc", root, views, GROUPS)
    with ArchiveReader(tmp_path / "lean.mvc") as reader:
        assert reader.read_image_metadata() == metadata
        assert len(dict(reader.read_attachments())) == reader.manifest.attached_files == 6
    with ArchiveReader(tmp_path / "none.mvc") as reader:
        assert reader.read_image_metadata() == {}
    with_metadata, without = (summarize(tmp_path / name) for name in ("lean.mvc", "bare.mvc"))
    assert with_metadata.attachment_bytes - without.attachment_bytes < 3600
    assert 3000 < with_metadata.metadata_bytes < 3600
    assert without.metadata_bytes == 0


def test_unknown_view_names_what_is_there(tmp_path, capture):
    write_archive(tmp_path / "a.mvc", *capture, GROUPS)
    with ArchiveReader(tmp_path / "a.mvc") as reader:
        assert reader.manifest.view_idx("images/frame 02 ü.jpg") == 2
        with pytest.raises(ArchiveError, match="frame 02"):
            reader.manifest.view_idx("images/frame 92 ü.jpg")


def test_pixel_check_sees_content_not_memory_layout():
    pixels = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    assert pixel_check(pixels) == pixel_check(np.asfortranarray(pixels)) != pixel_check(pixels[::-1])
