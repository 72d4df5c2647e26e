"""The ZIP around everything: which entries are there and their bytes, whatever state the file is in.

Entries' meaning is the business of the modules named after them.
"""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from nerfstudio_mvc.errors import ArchiveError

FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the same input gives the same bytes
CHUNK_BYTES = 1 << 20
LOCAL_RECORD_BYTES = 30
CENTRAL_RECORD_BYTES = 46

BROKEN = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    OverflowError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
)
"""Whatever `zipfile` raises over bytes that are no ZIP, a damaged one, or one of a kind we never write."""


class Container:
    """An open ZIP; a context manager.

    Raises:
        ArchiveError: the file is missing, no ZIP, truncated, or its entries overlap or repeat.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise ArchiveError(f"{path}: there is no such file; check --archive.")
        try:
            self.file_bytes = path.stat().st_size
            self._zip = zipfile.ZipFile(path)
        except BROKEN as error:
            raise ArchiveError(
                f"{path} is no .mvc archive, or it is truncated ({_reason(error)}). Fetch or make it again."
            ) from error
        try:
            self._entries = self._checked_entries()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._zip.close()

    def _checked_entries(self) -> dict[str, zipfile.ZipInfo]:
        entries: dict[str, zipfile.ZipInfo] = {}
        end = 0
        for entry in sorted(self._zip.infolist(), key=lambda entry: entry.header_offset):
            if entry.filename in entries:
                raise self.damaged(f'entry "{entry.filename}" stands there twice')
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.flag_bits & 0x41:
                raise self.damaged(f'entry "{entry.filename}" is encrypted or packed in a way no .mvc is')
            stop = entry.header_offset + LOCAL_RECORD_BYTES + len(entry.filename.encode()) + entry.compress_size
            if entry.header_offset < end or stop > self.file_bytes:
                raise self.damaged(f'entry "{entry.filename}" overlaps others or runs past the end')
            if entry.compress_type == zipfile.ZIP_STORED and entry.file_size != entry.compress_size:
                raise self.damaged(f'entry "{entry.filename}" has two lengths')
            entries[entry.filename] = entry
            end = stop
        return entries

    def damaged(self, detail: str) -> ArchiveError:
        return ArchiveError(f"{self.path} is damaged: {detail}. Fetch or make it again.")

    @property
    def names(self) -> tuple[str, ...]:
        """Of all entries, in the order of the file."""
        return tuple(self._entries)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def size(self, name: str) -> int:
        """Unpacked bytes of an entry, as declared."""
        return self._entry(name).file_size

    def stored_bytes(self, name: str) -> int:
        """Bytes of an entry in the file, without its ZIP records."""
        return self._entry(name).compress_size

    def crc(self, name: str) -> int:
        """CRC-32 of an entry's unpacked bytes, as stored."""
        return self._entry(name).CRC

    def record_bytes(self, name: str) -> int:
        """Bytes of the ZIP records that belong to one entry."""
        entry = self._entry(name)
        return record_bytes(entry.filename) + len(entry.extra) + len(entry.comment)

    def read(self, name: str, *, limit: int) -> bytes:
        """All bytes of an entry, checked against its CRC-32.

        Raises:
            ArchiveError: missing, damaged, or of more than `limit` bytes.
        """
        entry = self._entry(name)
        if entry.file_size > limit:
            raise self.damaged(f'entry "{name}" claims {entry.file_size} bytes, at most {limit} are possible')
        try:
            with self._zip.open(entry) as stream:
                data = stream.read(entry.file_size + 1)
                if stream.read(1):
                    raise self.damaged(f'entry "{name}" is longer than it says')
        except BROKEN as error:
            raise self.damaged(f'entry "{name}" cannot be read ({_reason(error)})') from error
        if len(data) != entry.file_size:
            raise self.damaged(f'entry "{name}" is shorter than it says')
        return data

    def read_unchecked(self, name: str, *, first_bytes: int | None = None) -> bytes:
        """The bytes of a stored entry as they lie in the file, all or the first ones; its CRC-32 is not looked at."""
        entry = self._entry(name)
        if entry.compress_type != zipfile.ZIP_STORED:
            raise self.damaged(f'entry "{name}" is packed, it should be stored')
        try:
            with self.path.open("rb") as stream:
                stream.seek(entry.header_offset)
                record = stream.read(LOCAL_RECORD_BYTES)
                if len(record) != LOCAL_RECORD_BYTES or record[:4] != b"PK\x03\x04":
                    raise self.damaged(f'entry "{name}" does not start where it should')
                name_bytes, extra_bytes = struct.unpack_from("<HH", record, 26)
                stream.seek(name_bytes + extra_bytes, 1)
                return stream.read(entry.file_size if first_bytes is None else min(first_bytes, entry.file_size))
        except OSError as error:
            raise self.damaged(f'entry "{name}" cannot be read ({_reason(error)})') from error

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of an entry piece by piece, checked against its CRC-32 at the end."""
        try:
            with self._zip.open(self._entry(name)) as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    yield chunk
        except BROKEN as error:
            raise self.damaged(f'entry "{name}" cannot be read ({_reason(error)})') from error

    def _entry(self, name: str) -> zipfile.ZipInfo:
        if name not in self._entries:
            raise self.damaged(f'entry "{name}" is missing')
        return self._entries[name]


def record_bytes(name: str) -> int:
    """Bytes of the ZIP records of an entry as `new_entry` makes it."""
    return LOCAL_RECORD_BYTES + CENTRAL_RECORD_BYTES + 2 * len(name.encode())


def new_entry(name: str, *, packed: bool) -> zipfile.ZipInfo:
    """Header of an entry to write, deflated when `packed`, otherwise stored; carries no date and no owner."""
    entry = zipfile.ZipInfo(name, date_time=FIXED_DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    return entry


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
