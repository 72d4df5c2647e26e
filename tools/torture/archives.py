"""Archives whose entries were mutated and whose checksums are right again, and archives cut and flipped as they are."""

from __future__ import annotations

import contextlib
import io
import json
import random
import struct
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attempts import LIMIT_S, Attempt, Started, attempt, attempt_here
from subjects import Subjects, digests

from nerfstudio_mvc import decompress_archive
from nerfstudio_mvc.archive import layout
from nerfstudio_mvc.archive.byte_fields import FieldReader, varint
from nerfstudio_mvc.archive.group_entry import cut_strings, decode_header, encode_group
from nerfstudio_mvc.archive.integrity import verify
from nerfstudio_mvc.archive.packing import KIND_METADATA, PLANE_INDEX, Item, PackReader, pack
from nerfstudio_mvc.archive.planes import PlaneWriter, decompress
from nerfstudio_mvc.archive.summary import summarize
from nerfstudio_mvc.coded import CodedGroup, CodedView, Substream
from nerfstudio_mvc.errors import ArchiveError

WORDS: tuple[Any, ...] = (
    *(-1, 0, 1, 2, 255, 65_535, 2**31, 2**32, 2**40, 2**63, 2**64, 10**400, -(2**70), 0.5, 1e308, None, True, False),
    *("", "a", "../x", "/etc/passwd", "C:\\x", "con", "a\0b", "\x1b]0;x\x07", "\ud800", "ü" * 300, "." * 5000),
    *([], {}, [[]], [0], [0, 0], {"a": {}}, [[0, 1], [0, 1]], list(range(3000))),
)


AT_ONCE = 25
"""Cases in one process."""


def try_archives(numbers: Sequence[int], subjects: Subjects, folders: Sequence[Path]) -> list[str | None]:
    """Cases: what is bad about the outcome of each, None where nothing is.

    They share a process, as starting one takes longer than a case; where one is bad, each is repeated in its own.
    """

    def together() -> None:
        for number, folder in zip(numbers, folders, strict=True):
            outcome = _try_archive(number, subjects, folder / "together", attempt_here)
            assert outcome is None, outcome

    ended = Started(together).wait(limit_s=10 * LIMIT_S)
    if ended.code == 0:
        return [None] * len(numbers)
    alone = [
        _try_archive(number, subjects, folder / "alone", attempt)
        for number, folder in zip(numbers, folders, strict=True)
    ]
    return alone if any(alone) else [f"not alone, but after others: {_bad(ended)}", *alone[1:]]


def _try_archive(
    number: int, subjects: Subjects, folder: Path, attempt: Callable[[Callable[[], object]], Attempt]
) -> str | None:
    folder.mkdir()
    rng = random.Random(f"archive {number}")
    way = rng.choice(list(subjects.archives))
    path, out = folder / "case.mvc", folder / "out"
    content = subjects.archives[way].read_bytes()
    raw = rng.random() < 0.25
    path.write_bytes(mutated_bytes(rng, content) if raw else _mutated_entry(rng, content))
    skip_damaged = rng.random() < 0.5

    def read() -> list[str]:
        found = []
        with contextlib.suppress(ArchiveError):
            summarize(path)
        with contextlib.suppress(ArchiveError):
            found += verify(path, unpack=True).problems
        report = decompress_archive(path, out, skip_damaged=skip_damaged, device="cpu", jobs=1)
        return [*found, *report.lost_views, *report.differing_views]

    ended = attempt(read)
    if not ended.well:
        return f"{way}: {_bad(ended)}"
    strays = {entry.name for entry in folder.iterdir()} - {"case.mvc", "out"}
    if strays:
        return f"{way}: left {sorted(strays)}"
    if ended.code == 1 and out.exists():
        return f"{way}: half a folder after: {ended.text}"
    if raw and ended.text == "[]" and digests(out) != subjects.restored[way]:
        return f"{way}: silently other files"
    return None


def _bad(ended: Attempt) -> str:
    return f"code {ended.code}: {ended.text[-1500:]}"


def mutated_bytes(rng: random.Random, content: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        start = rng.randrange(len(data))
        match rng.randrange(5):
            case 0:
                data[start] ^= 1 << rng.randrange(8)
            case 1:
                del data[start:]
            case 2:
                del data[start : start + rng.randrange(1, 64)]
            case 3:
                data[start:start] = rng.randbytes(rng.randrange(1, 64))
            case 4:
                number = rng.choice((0, 1, 127, 128, 255, 2**16 - 1, 2**31, 2**32 - 1))
                data[start : start + 4] = struct.pack("<I", number)
        if not data:
            return b""
    return bytes(data)


def _mutated_entry(rng: random.Random, content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(stream, "w") as target:
        chosen = {rng.choice(source.namelist()) for _ in range(rng.choice((1, 1, 1, 2)))}
        kinds = {name.split("/")[0] for name in source.namelist()}
        wanted = rng.choice(sorted(kinds))
        chosen |= {name for name in source.namelist() if name.startswith(wanted)} if rng.random() < 0.3 else set()
        for entry in source.infolist():
            data = source.read(entry)
            if entry.filename in chosen:
                data = _mutated(rng, entry.filename, data)
            if data is not None:
                target.writestr(entry, data)
    return stream.getvalue()


def _mutated(rng: random.Random, name: str, data: bytes) -> bytes | None:
    if rng.random() < 0.03:
        return None
    if name == "manifest.json" and rng.random() < 0.9:
        return _mutated_json(rng, data)
    if name.endswith(".mvg") and rng.random() < 0.8:
        return _mutated_group(rng, data)
    if name == layout.ATTACHMENTS_ENTRY and rng.random() < 0.9:
        return rng.choice((_mutated_items, _mutated_planes))(rng, data)
    return mutated_bytes(rng, data)


def _mutated_json(rng: random.Random, data: bytes) -> bytes:
    document = json.loads(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at: Any = document
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            if not keys:
                break
            key = rng.choice(keys)
            if isinstance(at[key], dict | list) and at[key] and rng.random() < 0.7:
                at = at[key]
                continue
            match rng.randrange(4):
                case 0:
                    del at[key]
                case 1 if isinstance(at[key], int | float):
                    at[key] = at[key] * rng.choice((-1, 2, 1000)) + rng.choice((-1, 0, 1))
                case _:
                    at[key] = rng.choice(WORDS)
            break
    return json.dumps(document).encode("utf-8", "replace")


def _mutated_items(rng: random.Random, data: bytes) -> bytes:
    """A pack of other files, with the right SHA-256 of each."""
    items = list(PackReader(data, what="pack").items())
    at = rng.randrange(len(items))
    item = items[at]
    if rng.random() < 0.3:
        path = rng.choice((*(word for word in WORDS if isinstance(word, str)), "images/frame_00001.jpg", items[0].path))
        items[at] = Item(item.kind, path.replace("\ud800", "\udcff"), item.data)
    elif item.path.endswith("transforms.json") or item.kind == KIND_METADATA:
        items[at] = Item(item.kind, item.path, _mutated_json(rng, item.data))
    else:
        items[at] = Item(rng.choice((item.kind, 0, 1, 2, 9)), item.path, mutated_bytes(rng, item.data or b"x"))
    return pack(items)


def _mutated_planes(rng: random.Random, data: bytes) -> bytes:
    """A pack with other bytes before they were compressed: its index, or columns of COLMAP's numbers."""
    planes = planes_of(data)
    chosen, writer = rng.randrange(len(planes)), PlaneWriter()
    for row, (plane, raw) in enumerate(planes):
        if row == chosen or rng.random() < 0.05:
            raw = mutated_bytes(rng, raw)
        writer.add(plane if rng.random() < 0.98 else rng.randrange(256), raw)
    return layout.PACK_MAGIC + varint(len(dict(planes)[PLANE_INDEX])) + writer.compressed()


def planes_of(data: bytes) -> list[tuple[int, bytes]]:
    """Number and bytes of every plane of a pack."""
    fields, limit = FieldReader(data, what="pack"), 1 << 30
    fields.take(len(layout.PACK_MAGIC))
    fields.varint(limit=limit)
    table = [
        (fields.varint(limit=limit), fields.take(1)[0], fields.varint(limit=limit), fields.varint(limit=limit))
        for _ in range(fields.varint(limit=limit))
    ]
    return [
        (plane, decompress(fields.take(packed), method=method, raw_bytes=size, what="pack"))
        for plane, method, size, packed in table
    ]


def _mutated_group(rng: random.Random, data: bytes) -> bytes:
    """Strings that are wrong, with checks that are right; pixel checks stay, so that wrong pixels are found out."""
    header = decode_header(data, what="group")
    group, _ = cut_strings(data, header)
    views = [list(view.substreams) for view in group.views]
    for _ in range(rng.choice((1, 1, 3))):
        strings = rng.choice(views)
        if not strings:
            continue
        at = rng.randrange(len(strings))
        payload = strings[at].payload
        match rng.randrange(6):
            case 0:
                del strings[at]
            case 1:
                strings[at] = Substream(rng.choice(("image", "depth", "file", "x\x1b[31m")), payload)
            case 2:
                other = rng.choice(rng.choice(views) or strings)
                strings[at] = Substream(strings[at].name, other.payload)
            case _:
                strings[at] = Substream(strings[at].name, mutated_bytes(rng, payload) if payload else b"\0" * 9)
    order = [view.view_idx for view in group.views]
    coded = CodedGroup(
        group.group_idx, tuple(CodedView(idx, tuple(strings)) for idx, strings in zip(order, views, strict=True))
    )
    return encode_group(coded, pixel_checks={view.view_idx: view.pixel_check for view in header.views})
