"""Whatever bytes a file holds, reading it ends in a value or an ArchiveError, soon and in little memory."""

import contextlib
import json
import re
import struct
import warnings
import zipfile

import numpy as np
import pytest
from small_archive import make_views, write_archive

from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.archive.integrity import verify
from nerfstudio_mvc.archive.reader import ArchiveReader, DamagedGroupError
from nerfstudio_mvc.archive.summary import summarize
from nerfstudio_mvc.coded import CodedView
from nerfstudio_mvc.errors import ArchiveError

COPIES = {"path": "images_2", "source": "images", "suffix": "", "views": [0], "sizes": [[5, 5, 1]], "bytes": 9}

GROUPS = [[0, 1], [2]]


@pytest.fixture
def archive(tmp_path):
    root = tmp_path / "capture"
    views = make_views(root, 3)
    (root / "transforms.json").write_text('{"frames": []}')
    path = tmp_path / "a.mvc"
    write_archive(path, root, views, GROUPS)
    return path


def rewrite(path, target, changes):
    """Copy an archive with some entries' bytes exchanged; None drops one."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as out:
        for entry in source.infolist():
            data = changes.get(entry.filename, source.read(entry))
            if data is not None:
                out.writestr(entry, data)
    return target


def problems_of(path):
    """What is wrong with an archive, in one text; "" when nothing is."""
    try:
        return " ".join(verify(path).problems)
    except ArchiveError as error:
        return str(error)


def with_manifest(path, target, **changes):
    with zipfile.ZipFile(path) as source:
        document = json.loads(source.read("manifest.json"))
    document.update(changes)
    return rewrite(path, target, {"manifest.json": json.dumps(document).encode()})


def test_cut_anywhere(archive, tmp_path):
    data = archive.read_bytes()
    cut = tmp_path / "cut.mvc"
    for length in range(0, len(data), 3):
        cut.write_bytes(data[:length])
        with pytest.raises(ArchiveError):
            verify(cut)


def test_flip_any_byte(archive, tmp_path):
    data = archive.read_bytes()
    flipped = tmp_path / "flipped.mvc"
    pack = data.index(layout.PACK_MAGIC) + 8
    for position in (*range(pack), *range(pack, len(data), 2)):
        damaged = bytearray(data)
        damaged[position] ^= 0xFF
        flipped.write_bytes(damaged)
        assert "\n" not in problems_of(flipped)
        with contextlib.suppress(ArchiveError):
            summarize(flipped)


@pytest.mark.parametrize("entry", [layout.MANIFEST_ENTRY, layout.CAMERAS_ENTRY, layout.group_entry(0)])
def test_verify_tells_of_every_flipped_byte(archive, tmp_path, entry):
    data = archive.read_bytes()
    with zipfile.ZipFile(archive) as source:
        info, content = source.getinfo(entry), source.read(entry)
    name_bytes, extra_bytes = struct.unpack("<HH", data[info.header_offset + 26 : info.header_offset + 30])
    start = info.header_offset + 30 + name_bytes + extra_bytes
    flipped, rng = tmp_path / "flipped.mvc", np.random.default_rng(0)
    assert problems_of(archive) == ""
    for position in range(start, start + info.compress_size):
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(rng.integers(8))
        flipped.write_bytes(damaged)
        if not problems_of(flipped):
            # The end of a deflated entry holds bits that mean nothing.
            assert info.compress_type == zipfile.ZIP_DEFLATED, f"byte {position - start}"
            assert position >= start + info.compress_size - 4
            with zipfile.ZipFile(flipped) as source:
                assert source.read(entry) == content


def test_flipped_string_is_found_and_named(archive, tmp_path):
    data = archive.read_bytes()
    with ArchiveReader(archive) as reader:
        group = reader.read_group(0)
    payload = group.views[1].substreams[1].payload
    damaged = tmp_path / "damaged.mvc"
    damaged.write_bytes(data.replace(payload, bytes(len(payload))))
    with ArchiveReader(damaged) as reader:
        assert reader.read_group(1).coding_order == (2,)
        with pytest.raises(DamagedGroupError) as caught:
            reader.read_group(0)
    assert caught.value.intact.views == (group.views[0], CodedView(1, ()))
    assert caught.value.lost_view_idxs == (1,)
    message = str(caught.value)
    assert message.startswith(
        f'{damaged}: view 1 "images/frame 01 ü.jpg", string "image/y/step0": checksum mismatch (stored '
    )
    assert message.endswith(
        "View 1 of group 0 and what hangs on it: lost; all others decode: "
        "ns-mvc-decompress --archive damaged.mvc --output-dir out --skip-damaged"
    )
    report = verify(damaged)
    assert report.problems == (message,)
    assert report.damaged_views == ("images/frame 01 ü.jpg",)
    assert (report.views, report.groups) == (2, 1)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"version": 1}, "version 1, this program reads version 2"),
        ({"format": "zip"}, r"no \.mvc archive"),
        ({"names": ["a", "b"]}, "sizes"),
        ({"names": ["a", "b", "../c"]}, "not a plain path"),
        ({"names": ["a", "b", "/c"]}, "absolute"),
        ({"names": ["a", "b", "C:c"]}, "absolute"),
        ({"names": ["a", "b", "a"]}, "twice"),
        ({"names": []}, "0 views"),
        ({"names": 2**40}, "names"),
        ({"sizes": [[10, 10, 2**40]]}, "sizes"),
        ({"sizes": [[10, 10, 2]]}, "sizes"),
        ({"sizes": [[10, 0, 3]]}, "sizes"),
        ({"sizes": [[10, 2**40, 3]]}, "sizes"),
        ({"sizes": [[60_000, 60_000, 3]]}, "a view of 3600000000 pixels"),
        ({"sizes": [[16_384, 8_192, 3]]}, r"hold no group of \d+ pixels"),
        ({"names": ["a", "b", "\ud800"]}, "characters a path must not have"),
        ({"groups": [[0, 1], [1]]}, "exactly once"),
        ({"groups": [[0, 1], [2**40]]}, "groups"),
        ({"groups": [[0, 1], []]}, "groups"),
        ({"groups": [[0], [1], [2]]}, "missing"),
        ({"groups": [[1, 0], [2]]}, "other views than the manifest"),
        ({"quality": "high"}, "quality"),
        ({"quality": True}, "quality"),
        ({"codec": None}, "codec"),
        ({"attachments": "some"}, "attachments"),
        ({"attached": [0]}, "attached"),
        ({"attached": [layout.MAX_ATTACHMENT_FILES + 1, 0]}, f"from 0 to {layout.MAX_ATTACHMENT_FILES} are possible"),
        ({"attached": [2, 0]}, "disagrees with the manifest"),
        ({"left_out": [["a", -1, "b"]]}, "left_out"),
        ({"downscaled": [{"path": "../x"}]}, "source"),
        ({"downscaled": [[]]}, "no JSON object"),
        ({"downscaled": [COPIES | {"views": [0, 1]}]}, "sizes"),
        ({"downscaled": [COPIES | {"views": [7]}]}, "views"),
        ({"downscaled": [COPIES | {"views": [0], "sizes": [[60_000, 60_000, 1]]}]}, "larger than their photographs"),
        ({"without_geometry": [0]}, "cameras are not those"),
        ({"without_geometry": [7]}, "without_geometry"),
        ({"written_paths": {"/a": "../b"}}, "not a plain path"),
        ({"points_file": "/etc/passwd"}, "absolute"),
    ],
)
def test_manifest_that_does_not_hold_together(archive, tmp_path, changes, text):
    path = with_manifest(archive, tmp_path / "b.mvc", **changes)
    assert re.search(text, problems_of(path))


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"format": "mvc", "version": 1e400}']
)
def test_manifest_that_is_none(archive, tmp_path, data):
    with pytest.raises(ArchiveError):
        verify(rewrite(archive, tmp_path / "b.mvc", {"manifest.json": data}))


@pytest.mark.parametrize("name", ["manifest.json", "cameras.bin", "groups/00001.mvg", "attachments/pack.bin"])
def test_missing_entry(archive, tmp_path, name):
    path = rewrite(archive, tmp_path / "b.mvc", {name: None})
    assert "missing" in problems_of(path) or name in problems_of(path)


def test_exchanged_groups_are_noticed(archive, tmp_path):
    with zipfile.ZipFile(archive) as source:
        first = source.read("groups/00000.mvg")
    report = verify(rewrite(archive, tmp_path / "b.mvc", {"groups/00001.mvg": first}))
    assert report.damaged_views == ("images/frame 02 ü.jpg",)


def test_repeated_and_unknown_entries(archive, tmp_path):
    for name, text in (("cameras.bin", "twice"), ("../evil", "none of this format")):
        path = tmp_path / "b.mvc"
        path.write_bytes(archive.read_bytes())
        with zipfile.ZipFile(path, "a") as out, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out.writestr(name, b"x")
        assert text in problems_of(path)


def test_zip_bomb_is_refused(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "MAX_MANIFEST_BYTES", 10_000)
    path = rewrite(archive, tmp_path / "b.mvc", {"manifest.json": b" " * 10_001})
    with pytest.raises(ArchiveError, match="at most"):
        verify(path)


def test_other_files(tmp_path):
    path = tmp_path / "x.mvc"
    with pytest.raises(ArchiveError, match="no such file"):
        verify(path)
    for data in (b"", b"PK\x05\x06" + bytes(18), b"photograph" * 100, b"PK\x05\x06" + b"\xff" * 18):
        path.write_bytes(data)
        with pytest.raises(ArchiveError):
            verify(path)
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("readme.txt", b"hello")
    with pytest.raises(ArchiveError, match=r"no manifest\.json"):
        verify(path)


def test_overlapping_entries(archive, tmp_path):
    data = bytearray(archive.read_bytes())
    central = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", central + 4)
    struct.pack_into("<I", data, second + 42, 0)
    path = tmp_path / "b.mvc"
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match="overlaps"):
        verify(path)
