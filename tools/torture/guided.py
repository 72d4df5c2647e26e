"""Entries of archives, mutated towards code that was not reached before, by atheris (``pip install atheris``):

    python tools/torture/guided.py manifest|cameras|packs|strings [-max_total_time=SECONDS ..]

The flags are libFuzzer's. Anything but an ArchiveError ends it, and leaves the bytes that did it in the current folder.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

os.environ["OMP_NUM_THREADS"] = "1"
ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "archive")]
INSTRUMENTED = ["nerfstudio_mvc.archive", "nerfstudio_mvc.video", "nerfstudio_mvc.codecs.lmvic"]

with atheris.instrument_imports(include=INSTRUMENTED):
    from archives import planes_of
    from subjects import WAYS, Subjects, make_subjects

    from nerfstudio_mvc import open_archive
    from nerfstudio_mvc.archive import layout
    from nerfstudio_mvc.archive.byte_fields import FieldReader, varint
    from nerfstudio_mvc.archive.camera_table import decode_cameras, views_of_table
    from nerfstudio_mvc.archive.image_metadata import read_metadata
    from nerfstudio_mvc.archive.manifest import decode_manifest
    from nerfstudio_mvc.archive.packing import KIND_FILE, PackReader
    from nerfstudio_mvc.archive.reader import ArchiveReader
    from nerfstudio_mvc.coded import CodedGroup, CodedView, Substream
    from nerfstudio_mvc.errors import ArchiveError

Target = tuple[list[bytes], Callable[[bytes], object]]
"""Bytes to start from, and what reads them."""


def manifests(subjects: Subjects) -> Target:
    return _entries(subjects, layout.MANIFEST_ENTRY), lambda data: decode_manifest(data, what="manifest")


def cameras(subjects: Subjects) -> Target:
    with ArchiveReader(subjects.archives["av1"]) as reader:
        lines = reader.manifest.views

    def read(data: bytes) -> None:
        views_of_table(decode_cameras(data, view_count=len(lines), what="cameras"), lines)

    return _entries(subjects, layout.CAMERAS_ENTRY), read


def packs(subjects: Subjects) -> Target:
    """Packs whose planes are stored as they are."""

    def read(data: bytes) -> None:
        items = PackReader(data, what="pack").items()
        read_metadata([item for item in items if item.kind != KIND_FILE], view_count=4, what="pack")

    return [_stored(data) for data in _entries(subjects, layout.ATTACHMENTS_ENTRY)], read


def strings(subjects: Subjects) -> Target:
    """Number of a codec, then the strings of its first group, each after its length."""
    sources = [open_archive(subjects.archives[way], device="cpu") for way in WAYS]
    groups = [source.reader.read_group(0) for source in sources]
    seeds = [
        bytes([way])
        + b"".join(varint(len(part.payload)) + part.payload for view in group.views for part in view.substreams)
        for way, group in enumerate(groups)
    ]

    def read(data: bytes) -> None:
        fields = FieldReader(data, what="strings")
        way = fields.take(1)[0] % len(groups)
        views = [
            CodedView(
                view.view_idx,
                tuple(Substream(part.name, fields.take(fields.varint(limit=len(data)))) for part in view.substreams),
            )
            for view in groups[way].views
        ]
        source = sources[way]
        source.codec.decode_group(
            CodedGroup(0, tuple(views)),
            [source.views[view.view_idx] for view in views],
            quality=source.reader.manifest.quality,
        )

    return seeds, read


def _entries(subjects: Subjects, name: str) -> list[bytes]:
    found = []
    for archive in subjects.archives.values():
        with ArchiveReader(archive) as reader:
            found.append(reader.container.read(name, limit=1 << 30))
    return found


def _stored(data: bytes) -> bytes:
    planes = planes_of(data)
    table = b"".join(varint(plane) + b"\0" + 2 * varint(len(raw)) for plane, raw in planes)
    index = dict(planes)[0]
    return layout.PACK_MAGIC + varint(len(index)) + varint(len(planes)) + table + b"".join(raw for _, raw in planes)


TARGETS = {"manifest": manifests, "cameras": cameras, "packs": packs, "strings": strings}


def main() -> None:
    name = sys.argv.pop(1)
    with tempfile.TemporaryDirectory(prefix="guided-") as scratch:
        seeds, read = TARGETS[name](make_subjects(Path(scratch)))
        corpus = Path(scratch) / "corpus"
        corpus.mkdir()
        for number, seed in enumerate(seeds):
            (corpus / str(number)).write_bytes(seed)

        def attempt(data: bytes) -> None:
            with contextlib.suppress(ArchiveError):
                read(data)

        limits = ["-timeout=20", "-rss_limit_mb=3000", f"-max_len={4 * max(map(len, seeds))}"]
        atheris.Setup([sys.argv[0], *limits, *sys.argv[1:], str(corpus)], attempt)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
