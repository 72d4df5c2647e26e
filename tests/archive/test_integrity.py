"""What a verification notices: damage always, a packer's mistake when it unpacks, as the writer does."""

import random
import zipfile

import pytest
from small_archive import make_views, write_archive

from nerfstudio_mvc.archive import layout, writer
from nerfstudio_mvc.archive.integrity import verify
from nerfstudio_mvc.errors import OutputError

GROUPS = [[0, 1], [2]]
NOTES = random.Random(0).randbytes(512)  # stored as they are, at the end of the pack


@pytest.fixture
def capture(tmp_path):
    root = tmp_path / "capture"
    views = make_views(root, 3)
    (root / "notes.bin").write_bytes(NOTES)
    return root, views


def rewritten(path, name, data):
    """The archive with one entry's bytes exchanged, checksums right."""
    target = path.with_name("rewritten.mvc")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as out:
        for entry in source.infolist():
            out.writestr(entry, data if entry.filename == name else source.read(entry))
    return target


@pytest.mark.parametrize("unpack", [False, True])
@pytest.mark.parametrize("large", [False, True])
def test_every_flipped_byte_of_the_attachments_is_found(tmp_path, capture, monkeypatch, unpack, large):
    if large:
        monkeypatch.setattr(layout, "LARGE_FILE_BYTES", 400)
    path = tmp_path / "a.mvc"
    write_archive(path, *capture, GROUPS)
    assert verify(path, unpack=unpack).attachments == 1
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert ("attachments/00000.xz" in names) == large
        stored = [archive.read(name) for name in names if name.startswith(layout.ATTACHMENTS_PREFIX)]
    data = path.read_bytes()
    damaged = tmp_path / "damaged.mvc"
    for content in stored:
        start = data.index(content)
        for position in range(start, start + len(content), 7):
            damaged.write_bytes(data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :])
            report = verify(damaged, unpack=unpack)
            assert not report.ok
            assert report.views == 3


def test_wrong_contents_with_right_checksums_are_found_by_unpacking(tmp_path, capture):
    path = tmp_path / "a.mvc"
    write_archive(path, *capture, GROUPS)
    with zipfile.ZipFile(path) as archive:
        pack = bytearray(archive.read(layout.ATTACHMENTS_ENTRY))
    pack[-1] ^= 1
    path = rewritten(path, layout.ATTACHMENTS_ENTRY, bytes(pack))
    assert verify(path).ok
    assert not verify(path, unpack=True).ok


def test_index_that_names_an_entry_that_is_not_there(tmp_path, capture, monkeypatch):
    monkeypatch.setattr(layout, "LARGE_FILE_BYTES", 400)
    path = tmp_path / "a.mvc"
    write_archive(path, *capture, GROUPS)
    without = tmp_path / "without.mvc"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(without, "w") as out:
        for entry in source.infolist():
            if entry.filename != "attachments/00000.xz":
                out.writestr(entry, source.read(entry))
    assert "attachments/00000.xz" in verify(without).problems[0]


def test_writer_unpacks_what_it_packed(tmp_path, capture, monkeypatch):
    real_pack = writer.pack

    def broken_pack(items, *, large=()):
        packed = bytearray(real_pack(items, large=large))
        packed[-1] ^= 1
        return bytes(packed)

    monkeypatch.setattr(writer, "pack", broken_pack)
    with pytest.raises(OutputError, match="does not read back"):
        write_archive(tmp_path / "a.mvc", *capture, GROUPS)
    assert not (tmp_path / "a.mvc").exists()
