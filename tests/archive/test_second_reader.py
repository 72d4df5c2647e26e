"""FORMAT.md says enough: a reader that was written from it finds what ours finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import second_reader
from PIL import Image
from small_archive import make_views, write_archive

from nerfstudio_mvc import compress_capture
from nerfstudio_mvc.archive.reader import ArchiveReader
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.capture.photo_source import no_cameras
from nerfstudio_mvc.codecs.lossless.jpeg_xl import jpeg_of_jxl
from nerfstudio_mvc.pipeline.encode_view import encode_view

TESTS = Path(__file__).parents[1]
GOLDEN = [*sorted((TESTS / "archive/golden").glob("*.mvc")), *sorted((TESTS / "guards/golden").glob("*.mvc"))]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """With what the golden ones have not: files of many kinds, in an entry of their own, twice, and a PLY file."""
    root = tmp_path / "capture"
    views = make_views(root, 3)
    rng = np.random.default_rng(1)
    for name, content in {
        "a.txt": b"text " * 999,
        "b.bin": rng.bytes(5000),
        "zeros.bin": bytes(3000),
        "again.bin": bytes(3000),
        "large.bin": bytes(33 << 20),
        "points.ply": b"ply\nformat binary_little_endian 1.0\nelement vertex 300\nproperty float x\nend_header\n"
        + rng.normal(size=300).astype("<f4").tobytes(),
    }.items():
        (root / name).write_bytes(content)
    write_archive(tmp_path / "a.mvc", root, views, [[2, 0], [1]])
    return tmp_path / "a.mvc"


def check(path: Path) -> set[str]:
    views, files, predicted = second_reader.read(path)
    with ArchiveReader(path) as reader:
        for view, found in zip(reader.views(), views, strict=True):
            assert (view.name, view.width, view.height) == (found.name, *found.size)
            assert (view.camera is None) == (found.camera is None)
            if view.camera is not None:
                assert (
                    vars(found.camera).items()
                    <= {name: getattr(view.camera, name) for name in vars(found.camera)}.items()
                )
                assert view.cam_from_world.tobytes() == found.cam_from_world.tobytes()
        for group_idx in range(len(reader.manifest.groups)):
            checks = reader.pixel_checks(group_idx)
            for coded in reader.read_group(group_idx).views:
                assert [(part.name, part.payload) for part in coded.substreams] == views[coded.view_idx].substreams
                assert checks[coded.view_idx] == views[coded.view_idx].pixel_check
        ours = dict(reader.read_attachments())
    assert files == {name: content for name, content in ours.items() if name not in predicted}
    return predicted


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_archives(path: Path) -> None:
    assert all(Path(name).name in ("images.bin", "points3D.bin", "sparse_pc.ply") for name in check(path))


def test_attached_files_of_many_kinds(written: Path) -> None:
    assert check(written) == set()


def test_a_lossless_archive_gives_the_files_of_its_photographs(tmp_path: Path) -> None:
    """JPEG, what packs well, and what does not."""
    root = tmp_path / "photographs"
    root.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    Image.fromarray(pixels).resize((320, 240)).save(root / "a.jpg", quality=90)
    Image.new("RGB", (32, 24), (9, 8, 7)).save(root / "b.bmp")
    Image.fromarray(pixels).save(root / "c.png")
    archive = tmp_path / "a.mvc"
    capture = load_capture(root, estimate_cameras=no_cameras, whole_pictures=True)
    compress_capture(capture, archive, quality="lossless")
    assert check(archive) == set()
    views, _, _ = second_reader.read(archive)
    for view in views:
        (payload,) = [payload for name, payload in view.substreams if name == "original"]
        file, jpeg_xl = second_reader.original(payload)
        assert (file is None) == (view.name == "a.jpg")
        if file is None:
            file = jpeg_of_jxl(jpeg_xl, width=320, height=240, what=view.name)
        assert file == (root / view.name).read_bytes()


def test_a_photograph_encoded_by_itself(tmp_path: Path) -> None:
    """The document says where everything stands that joining such files takes."""
    segment, exif = b"\xff\xed\x00\x0ccaptions..", Image.Exif()
    exif[0x010F] = "maker"
    Image.new("RGB", (64, 48), (90, 80, 70)).save(tmp_path / "a.jpg", exif=exif, comment=b"a comment")
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[:2] + segment + data[2:] + b"a film")
    encode_view(tmp_path / "a.jpg", tmp_path / "a.mvcv", quality=3, effort="fast")
    assert check(tmp_path / "a.mvcv") == set()
    (view,), files, _ = second_reader.read(tmp_path / "a.mvcv")
    assert (view.name, view.size, view.camera, files) == ("a.jpg", (64, 48), None, {})
    assert second_reader.other_bytes(dict(view.substreams)["file"]) == (segment, b"a film")
    metadata = second_reader.image_metadata(tmp_path / "a.mvcv")[0]
    assert metadata["comment"] == b"a comment"
    assert metadata["exif"] == Image.open(tmp_path / "a.jpg").info["exif"]
