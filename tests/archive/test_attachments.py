"""Which files are attached: nothing is lost without a line that says so."""

import os

import pytest

from nerfstudio_mvc.archive.attachments import DownscaledFolder, plan_attachments
from nerfstudio_mvc.errors import OutputError

VIEWS = ["images/a.jpg", "images/sub/b.PNG"]


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
        "colmap/database.db",
        "colmap/database.db-wal",
        "colmap/sparse/0/images.bin",
        "dense/stereo/depth_maps/a.jpg.geometric.bin",
        "distorted/sparse/0/images.bin",
        ".hidden/ümlaut 1.txt",
    ]:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())
    return root


def test_lean_leaves_out_what_can_be_made_again_and_says_so(capture):
    plan = plan_attachments(capture, view_names=VIEWS)
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
        "colmap/database.db": len("colmap/database.db"),
        "colmap/database.db-wal": len("colmap/database.db-wal"),
        "dense/stereo": len("dense/stereo/depth_maps/a.jpg.geometric.bin"),
        "distorted": len("distorted/sparse/0/images.bin"),
    }
    assert all(line.reason for line in plan.left_out)
    assert plan.downscaled == (
        DownscaledFolder("images_2", "images", 2, "", None, 32),
        DownscaledFolder("images_4", "images", 4, ".png", (0,), 14),
    )


def test_all_leaves_out_nothing(capture):
    plan = plan_attachments(capture, view_names=VIEWS, mode="all")
    files = {path.relative_to(capture).as_posix() for path in capture.rglob("*") if path.is_file()}
    assert set(plan.files) == files - set(VIEWS)
    assert plan.left_out == () == plan.downscaled


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
    (capture / "old.mvc").write_bytes(bytes(10))
    (capture / ".new.mvc.mvc-partial").mkdir()
    for name in ("key", "lock"):
        (capture / ".new.mvc.mvc-partial" / name).write_bytes(bytes(3))
    plan = plan_attachments(capture, view_names=VIEWS)
    assert {line.path: line.bytes for line in plan.left_out if "mvc" in line.path} == {
        "old.mvc": 10,
        ".new.mvc.mvc-partial": 6,
    }
    assert not [path for path in plan.files if "mvc" in path]


def test_excluded_files_are_no_part_of_the_capture(capture):
    output = capture / "out.mvc"
    output.write_bytes(b"old")
    plan = plan_attachments(capture, view_names=VIEWS, exclude=[output, capture / "colmap"])
    assert not [path for path in plan.files if path.startswith(("out", "colmap"))]


def test_unknown_mode_is_refused(capture):
    with pytest.raises(OutputError, match="lean, all, none"):
        plan_attachments(capture, view_names=VIEWS, mode="some")
