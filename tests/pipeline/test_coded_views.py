"""Photographs encoded one by one, `.mvcv` files: joined they give the archive that the photographs give."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from PIL import Image
from small_captures import write_sample_corner

from nerfstudio_mvc import compress_capture, decompress_archive
from nerfstudio_mvc.capture.image_files import carried_bytes_of
from nerfstudio_mvc.cluster.capture_jobs import jobs_of_folder
from nerfstudio_mvc.errors import MvcError
from nerfstudio_mvc.pipeline.capture_tasks import code_group, finish_capture, prepare_capture
from nerfstudio_mvc.pipeline.encode_view import encode_view
from nerfstudio_mvc.pipeline.options import CompressOptions

QUALITY = 4.0
SEGMENT = b"\xff\xed\x00\x0ccaptions.."
ENCODE = "from nerfstudio_mvc.cli.encode_view import main; main()"


@pytest.fixture(scope="module")
def posed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A nerfstudio folder of three photographs, one of them without a camera, with EXIF and a segment of captions."""
    root = tmp_path_factory.mktemp("posed")
    write_sample_corner(root, width=128, height=96)
    transforms = json.loads((root / "transforms.json").read_text())
    names = sorted(frame["file_path"] for frame in transforms["frames"])
    transforms["frames"] = [frame for frame in transforms["frames"] if frame["file_path"] in names[:2]]
    (root / "transforms.json").write_text(json.dumps(transforms))
    for name in names[3:]:
        (root / name).unlink()
    exif = Image.Exif()
    exif[0x010F] = "maker"
    for name in names[:3]:
        Image.open(root / name).save(root / name, quality=95, exif=exif)
        data = (root / name).read_bytes()
        (root / name).write_bytes(data[:2] + SEGMENT + data[2:])
    return root


def with_coded(root: Path, target: Path, encode: Callable[[Path, Path], object], *, kept: Iterable[str] = ()) -> Path:
    """A copy of a capture, its photographs as `.mvcv` files but for those `kept`."""
    shutil.copytree(root, target)
    for image in sorted(target.rglob("*.jpg")):
        if image.name not in kept:
            encode(image, image.with_suffix(".mvcv"))
            image.unlink()
    return target


def in_own_process(image: Path, output: Path) -> None:
    arguments = ["--image", str(image), "--output", str(output), "--quality", f"{QUALITY:g}", "--effort", "fast"]
    subprocess.run([sys.executable, "-c", ENCODE, *arguments], check=True, capture_output=True)


def in_this_process(image: Path, output: Path) -> None:
    encode_view(image, output, quality=QUALITY, effort="fast")


def compressed(root: Path, output: Path, **options: object) -> bytes:
    compress_capture(root, output, codec="parahydra", **options)
    return output.read_bytes()


def test_posed_photographs(posed: Path, tmp_path: Path) -> None:
    expected = compressed(posed, tmp_path / "a.mvc", quality=QUALITY, effort="fast")
    coded = with_coded(posed, tmp_path / "coded", in_own_process)
    assert compressed(coded, tmp_path / "b.mvc") == expected
    decompress_archive(tmp_path / "b.mvc", tmp_path / "restored")
    for image in sorted(posed.rglob("*.jpg")):
        restored = tmp_path / "restored" / image.relative_to(posed)
        assert Image.open(restored).getexif() == Image.open(image).getexif()
        assert carried_bytes_of(restored.read_bytes()).segments == SEGMENT


def test_bare_photographs_and_coded_ones(posed: Path, tmp_path: Path) -> None:
    """Without cameras, some photographs as they are, one beside its own coded file, which then does not count."""
    bare = tmp_path / "bare"
    shutil.copytree(posed / "images", bare / "one")
    first, *_ = sorted(bare.rglob("*.jpg"))
    expected = compressed(bare, tmp_path / "a.mvc", quality=QUALITY, effort="fast")
    coded = with_coded(bare, tmp_path / "coded", in_this_process, kept=[first.name])
    encode_view(first, coded / "one" / "again.mvcv", quality=2)
    assert compressed(coded, tmp_path / "b.mvc") == expected


def test_by_tasks_of_a_cluster(posed: Path, tmp_path: Path) -> None:
    """Bare, so that nothing but the coded photographs says that the folder is a capture; one beside its own file."""
    bare = tmp_path / "in" / "bare"
    shutil.copytree(posed / "images", bare)
    assert jobs_of_folder(tmp_path / "in", tmp_path)[0].data == bare
    coded = with_coded(bare, tmp_path / "coded" / "bare", in_this_process)
    assert jobs_of_folder(coded.parent, tmp_path) == []
    (job,) = jobs_of_folder(coded.parent, tmp_path, coded=True)
    assert job.data == coded
    shutil.copy(next(bare.iterdir()), coded)
    options = CompressOptions(codec="parahydra", device="cpu", group_size=2, attachments="all")
    expected = compressed(coded, tmp_path / "a.mvc", group_size=2, attachments="all")
    prepared = prepare_capture(job.data, job.archive, options)
    for task in prepared.groups:
        code_group(pickle.loads(pickle.dumps(task)))
    finish_capture(job.data, job.archive, options, prepared)
    assert job.archive.read_bytes() == expected
    assert prepare_capture(job.data, job.archive, options) is None


@pytest.fixture(scope="module")
def coded(posed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_coded(posed, tmp_path_factory.mktemp("coded") / "capture", in_this_process)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"quality": 6}, "quality 6 is not that of the .mvcv files, 4"),
        ({"effort": "high"}, "effort high"),
        ({"target_bpp": 0.5}, "target_bpp comes too late"),
    ],
)
def test_settings_that_differ(coded: Path, tmp_path: Path, options: dict, said: str) -> None:
    with pytest.raises(MvcError, match=said):
        compressed(coded, tmp_path / "a.mvc", **options)


def test_files_that_cannot_be_joined(coded: Path, posed: Path, tmp_path: Path) -> None:
    """Each is refused in one line that names the file."""
    one, two, _ = sorted(coded.rglob("*.mvcv"))
    whole = one.read_bytes()
    strings = whole.index(b"MVCG")
    image = sorted(posed.rglob("*.jpg"))[0]

    def flipped(at: int) -> bytes:
        return whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]

    def other_quality(path: Path) -> None:
        encode_view(image, path, quality=5, effort="fast", force=True)

    def two_of_one(path: Path) -> None:
        path.write_bytes(two.read_bytes())

    def of_another_codec(path: Path) -> None:
        shutil.copytree(image.parent, tmp_path / "av1")
        compress_capture(tmp_path / "av1", path, codec="av1", quality=2, depth="none", force=True)

    spoilt: list[Callable[[Path], object]] = [other_quality, two_of_one, of_another_codec]
    spoilt += [
        lambda path, data=data: path.write_bytes(data)
        for data in (b"", b"photograph", whole[:-30], flipped(strings + 30), flipped(strings + 300), flipped(60))
    ]
    for index, spoil in enumerate(spoilt):
        root = tmp_path / f"spoilt {index}"
        shutil.copytree(coded, root)
        spoil(root / one.relative_to(coded))
        with pytest.raises(MvcError) as caught:
            compressed(root, tmp_path / "a.mvc")
        assert one.name in str(caught.value), str(caught.value)
        assert "\n" not in str(caught.value), str(caught.value)
        assert not (tmp_path / "a.mvc").exists()
