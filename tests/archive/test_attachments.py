"""Which files are attached: nothing is lost without a line that says so."""

import os
import sqlite3
import zipfile
from contextlib import closing

import pytest

from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.archive.attachments import DownscaledFolder, plan_attachments, refuse_too_large
from nerfstudio_mvc.capture.views import SmallerCopies
from nerfstudio_mvc.errors import CaptureError, OutputError

VIEWS = ["images/a.jpg", "images/sub/b.PNG"]
COPIES = (
    SmallerCopies("images_2", "images", {VIEWS[1]: "images_2/sub/b.PNG", VIEWS[0]: "images_2/a.jpg"}, ((9, 8), (7, 6))),
    SmallerCopies("images_4", "images", {"images/a.jpg": "images_4/a.png"}, ((3, 2),)),
)


def colmap_database(path, *, extra_table=False, descriptors=True):
    with closing(sqlite3.connect(path)) as database, database:
        for table in ("cameras", "images", "matches", "two_view_geometries", "pose_priors"):
            database.execute(f"CREATE TABLE {table} (image_id INTEGER)")
        for table in ("keypoints", "descriptors"):
            database.execute(f"CREATE TABLE {table} (image_id INTEGER, rows INTEGER)")
        database.execute("INSERT INTO keypoints VALUES (1, 7)")
        database.execute(f"INSERT INTO descriptors VALUES (1, {7 if descriptors else 0})")
        if extra_table:
            database.execute("CREATE TABLE notes (text TEXT)")


@pytest.fixture
def capture(tmp_path):
    root = tmp_path / "capture"
    for path in [
        *VIEWS,
        "images_2/a.jpg",
        "images_2/sub/b.PNG",
        "images_4/a.png",
        "images_4/notes.txt",
        "masks_2/a.png",
        "transforms.json",
        "colmap/sparse/0/images.bin",
        "dense/stereo/depth_maps/a.jpg.geometric.bin",
        "dense/stereo/fusion.cfg",
        "distorted/sparse/0/images.bin",
        ".hidden/ümlaut 1.txt",
    ]:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())
    colmap_database(root / "colmap/database.db")
    (root / "colmap/database.db-wal").write_bytes(b"colmap/database.db-wal")
    (root / "dense/stereo/depth_maps/a.jpg.geometric.bin").write_bytes(b"4&3&1&" + bytes(48))
    return root


def lean(capture, **options):
    return plan_attachments(capture, view_names=VIEWS, smaller_copies=COPIES, **options)


def test_lean_leaves_out_what_can_be_made_again_and_says_so(capture):
    plan = lean(capture)
    assert plan.files == (
        ".hidden/ümlaut 1.txt",
        "colmap/sparse/0/images.bin",
        "images_4/notes.txt",
        "masks_2/a.png",
        "transforms.json",
    )
    assert {line.path: line.bytes for line in plan.left_out} == {
        "images_2": len("images_2/a.jpg") + len("images_2/sub/b.PNG"),
        "images_4": len("images_4/a.png"),
        "colmap/database.db": (capture / "colmap/database.db").stat().st_size,
        "colmap/database.db-wal": len("colmap/database.db-wal"),
        "dense/stereo": 54 + len("dense/stereo/fusion.cfg"),
        "distorted": len("distorted/sparse/0/images.bin"),
    }
    assert all(line.reason for line in plan.left_out)
    assert plan.downscaled == (
        DownscaledFolder("images_2", "images", "", (0, 1), ((7, 6), (9, 8)), 32),
        DownscaledFolder("images_4", "images", ".png", (0,), ((3, 2),), 14),
    )


def test_copies_that_nobody_vouches_for_are_carried(capture):
    files = plan_attachments(capture, view_names=VIEWS).files
    assert {"images_2/a.jpg", "images_2/sub/b.PNG", "images_4/a.png"} <= set(files)


@pytest.mark.parametrize("options", [{"extra_table": True}, {"descriptors": False}, None])
def test_other_databases_are_carried(capture, options):
    """Of another program, with features that COLMAP does not find again, or none at all."""
    path = capture / "colmap/database.db"
    path.unlink()
    if options is None:
        path.write_bytes(b"no database")
    else:
        colmap_database(path, **options)
    (capture / "colmap/database.db-wal").write_bytes(b"not yet merged")
    before = set(capture.rglob("*"))
    files = lean(capture).files
    assert {"colmap/database.db", "colmap/database.db-wal"} <= set(files)
    assert set(capture.rglob("*")) == before


@pytest.mark.parametrize("path", ["dense/stereo/left/a.jpg", "dense/stereo/depth_maps/b.bin", "distorted/readme.md"])
def test_a_workspace_is_left_out_only_if_all_of_it_is_colmaps(capture, path):
    (capture / path).parent.mkdir(exist_ok=True)
    (capture / path).write_bytes(b"\x93NUMPY")
    folder = "/".join(path.split("/")[: 2 if "stereo" in path else 1])
    files = lean(capture).files
    assert path in files
    own = {file.relative_to(capture).as_posix() for file in (capture / folder).rglob("*") if file.is_file()}
    assert own <= set(files)


def test_what_transforms_json_names_is_always_carried(capture, tmp_path):
    (tmp_path / "elsewhere.png").write_bytes(b"mask")
    named = {
        "images_2/a.jpg": capture / "images_2/a.jpg",
        "dense/stereo/fusion.cfg": capture / "dense/stereo/fusion.cfg",
        "colmap/database.db": capture / "colmap/database.db",
        "outside/elsewhere.png": tmp_path / "elsewhere.png",
    }
    plan = lean(capture, named_files=named)
    assert set(named) <= set(plan.files)
    assert {line.path for line in plan.left_out} == {"images_4", "distorted"}
    assert plan.places["outside/elsewhere.png"] == tmp_path / "elsewhere.png"
    assert plan.places["transforms.json"] == capture / "transforms.json"
    with pytest.raises(CaptureError, match="absolute"):
        lean(capture, named_files={"/etc/passwd": tmp_path / "elsewhere.png"})


def test_none_names_everything_it_leaves(capture):
    plan = plan_attachments(capture, view_names=VIEWS, mode="none")
    assert plan.files == () == plan.downscaled
    carried = plan_attachments(capture, view_names=VIEWS, mode="all").files
    assert {line.path for line in plan.left_out} == {path.split("/")[0] for path in carried}
    assert sum(line.bytes for line in plan.left_out) == sum((capture / path).stat().st_size for path in carried)


def test_views_of_a_downscaled_folder_are_views(capture):
    plan = plan_attachments(capture, view_names=["images_2/a.jpg"])
    assert "images/a.jpg" in plan.files
    assert "images_2/a.jpg" not in plan.files
    assert "images_2/sub/b.PNG" in plan.files


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX only")
def test_links_are_followed_inside_the_capture_only(capture, tmp_path):
    (tmp_path / "secret.txt").write_text("not yours")
    (capture / "outside.txt").symlink_to(tmp_path / "secret.txt")
    (capture / "dangling.txt").symlink_to("nowhere")
    (capture / "inside.txt").symlink_to("transforms.json")
    (capture / "folder").symlink_to(tmp_path)
    os.mkfifo(capture / "pipe")
    plan = plan_attachments(capture, view_names=VIEWS, mode="all")
    assert "inside.txt" in plan.files
    assert {line.path for line in plan.left_out} == {"outside.txt", "dangling.txt", "folder", "pipe"}


def test_links_in_circles_are_no_files(capture):
    (capture / "circle").symlink_to("circle")
    (capture / "up").symlink_to("..")
    plan = plan_attachments(capture, view_names=VIEWS)
    assert {"circle", "up"} <= {line.path for line in plan.left_out}


def test_photographs_behind_a_link_are_not_said_to_be_left_out(capture, tmp_path):
    (capture / "images").rename(tmp_path / "elsewhere")
    (capture / "images").symlink_to(tmp_path / "elsewhere")
    plan = plan_attachments(capture, view_names=VIEWS)
    (line,) = (line for line in plan.left_out if line.path == "images")
    assert "photographs" in line.reason


def test_older_archives_are_left_out(capture):
    with zipfile.ZipFile(capture / "old.mvc", "w") as archive:
        archive.writestr("manifest.json", "{}")
    (capture / "film.mvc").write_bytes(b"of another program")
    (capture / ".new.mvc.mvc-partial").mkdir()
    for name in ("key", "lock"):
        (capture / ".new.mvc.mvc-partial" / name).write_bytes(bytes(3))
    plan = plan_attachments(capture, view_names=VIEWS)
    assert {line.path: line.bytes for line in plan.left_out if "mvc" in line.path} == {
        "old.mvc": (capture / "old.mvc").stat().st_size,
        ".new.mvc.mvc-partial": 6,
    }
    assert [path for path in plan.files if "mvc" in path] == ["film.mvc"]


def test_excluded_files_are_no_part_of_the_capture(capture):
    output = capture / "out.mvc"
    output.write_bytes(b"old")
    plan = plan_attachments(capture, view_names=VIEWS, exclude=[output, capture / "colmap"])
    assert not [path for path in plan.files if path.startswith(("out", "colmap"))]


def test_unknown_mode_is_refused(capture):
    with pytest.raises(OutputError, match="lean, all, points, none"):
        plan_attachments(capture, view_names=VIEWS, mode="some")


def test_what_is_excluded_is_so_by_way_of_links_too(capture, tmp_path):
    (tmp_path / "other").symlink_to(capture)
    (capture / "out.mvc").write_bytes(b"old")
    assert "out.mvc" not in plan_attachments(capture, view_names=VIEWS, exclude=[tmp_path / "other/out.mvc"]).files
    assert "out.mvc" not in plan_attachments(tmp_path / "other", view_names=VIEWS, exclude=[capture / "out.mvc"]).files


def test_files_too_large_are_refused_at_once_and_those_left_out_are_not(capture, monkeypatch):
    monkeypatch.setattr(layout, "MAX_LARGE_FILE_BYTES", (capture / "colmap/database.db").stat().st_size - 1)
    for mode in ("lean", "points", "none"):
        refuse_too_large(capture, mode=mode)
    assert lean(capture).files
    with pytest.raises(CaptureError, match=r"database\.db has \d+ bytes, more than an archive carries"):
        refuse_too_large(capture, mode="all")
    refuse_too_large(capture, mode="all", exclude=[capture / "colmap/database.db"])
    with pytest.raises(CaptureError, match=r"database\.db has \d+ bytes"):
        lean(capture, named_files={"colmap/database.db": capture / "colmap/database.db"})


def test_more_files_than_an_archive_carries_are_refused(capture, monkeypatch):
    carried = len(lean(capture).files)
    monkeypatch.setattr(layout, "MAX_ATTACHMENT_FILES", carried)
    assert len(lean(capture).files) == carried
    monkeypatch.setattr(layout, "MAX_ATTACHMENT_FILES", carried - 1)
    with pytest.raises(CaptureError, match=f"{carried} files besides the photographs.*--attachments points"):
        lean(capture)
