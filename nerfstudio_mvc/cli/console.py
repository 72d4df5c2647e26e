"""What the commands print on stdout: numbers with units, tables, JSON. Progress on stderr is `progress_view.py`'s.

Nothing here knows what the numbers mean; nothing heavy is imported, rich neither.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from typing import Any
from unicodedata import combining, east_asian_width

from nerfstudio_mvc.pipeline.json_values import json_values

COLUMN_GAP = "  "


def format_bytes(count: float) -> str:
    """``"812 B"``, ``"1.3 MB"``: powers of 1000, three digits at most."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or abs(count) >= 99.95 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def format_seconds(seconds: float) -> str:
    """``"8.3 s"``, ``"2 min 05 s"``, ``"1 h 20 min"``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def format_count(count: int, noun: str) -> str:
    """``"1 view"``, ``"12 views"``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def format_saving(coded_bytes: int, source_bytes: int) -> str:
    """How much smaller the one is than the other: ``"92.1% saved"``, ``"3.0% larger"``."""
    saved = 1 - coded_bytes / source_bytes
    return f"{saved:.1%} saved" if saved >= 0 else f"{-saved:.1%} larger"


def format_fingerprint(fingerprint: str) -> str:
    """``weights 5b1e07``; ``profile av1-444-10bit-1`` of a codec without weights."""
    if all(digit in "0123456789abcdef" for digit in fingerprint):
        return f"weights {fingerprint[:6] or '-'}"
    return f"profile {fingerprint[:24]}"


def format_quality(codec: str, quality: float) -> str:
    """``lmvic, quality 5``; of a codec that has only one, its name."""
    return f"{codec}, quality {quality:g}" if quality else f"{codec}, every photograph bit for bit"


def format_sizes(sizes: Sequence[tuple[int, int]], limit: int = 3) -> str:
    """``"1008x756"``, ``"1008x756, 756x1008"``: image sizes, the first few of them."""
    shown = ", ".join(f"{width}x{height}" for width, height in sizes[:limit])
    return shown if len(sizes) <= limit else f"{shown} and {len(sizes) - limit} other sizes"


def psnr_rows(psnr_db: float | None, file_psnr_db: float | None) -> list[tuple[str, str]]:
    """What a table says of views against their photographs; nothing where that is not known, or they are equal."""
    if psnr_db is None or file_psnr_db is None or math.isinf(psnr_db):
        return []
    return [("PSNR, mean of the views", f"{psnr_db:.2f} dB decoded, {file_psnr_db:.2f} dB in the restored files")]


def print_table(rows: Sequence[Sequence[str]], *, header: Sequence[str] = (), right: Sequence[int] = ()) -> None:
    """Print rows of text to stdout, columns aligned; what a terminal would not print is escaped.

    Args:
        rows: cells; all rows equally long.
        header: of the columns; none when empty.
        right: columns aligned to the right.
    """
    lines = [[printable(cell) for cell in row] for row in ([header, *rows] if header else rows)]
    widths = [max(map(_columns, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = []
        for column, (cell, width) in enumerate(zip(line, widths, strict=True)):
            padding = " " * (width - _columns(cell))
            cells.append(padding + cell if column in right else cell + padding)
        print(COLUMN_GAP.join(cells).rstrip())


def print_json(value: Any) -> None:
    """Print dataclasses, paths and plain values to stdout as one JSON document; infinite numbers become null."""
    ascii_only = (sys.stdout.encoding or "").lower() not in ("utf-8", "utf8")
    print(json.dumps(json_values(value), indent=2, ensure_ascii=ascii_only))


def printable(text: str) -> str:
    """A text as a terminal may be shown it: names of files come from anywhere, with escape sequences too."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _columns(text: str) -> int:
    """Columns of a terminal that a text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)
