"""What the commands print: numbers with units, tables on stdout, progress on stderr.

Nothing here knows what the numbers mean; no torch.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def progress_console() -> Console:
    """For everything else: stderr."""
    return Console(stderr=True, highlight=False)


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


def format_sizes(sizes: Sequence[tuple[int, int]], limit: int = 3) -> str:
    """``"1008x756"``, ``"1008x756, 756x1008"``: image sizes, the first few of them."""
    shown = ", ".join(f"{width}x{height}" for width, height in sizes[:limit])
    return shown if len(sizes) <= limit else f"{shown} and {len(sizes) - limit} other sizes"


def print_table(rows: Sequence[Sequence[str]], *, header: Sequence[str] = (), right: Sequence[int] = ()) -> None:
    """Print rows of text to stdout, columns aligned.

    Args:
        rows: cells; all rows equally long.
        header: of the columns; none when empty.
        right: columns aligned to the right.
    """
    columns = len(header) or len(rows[0])
    table = Table(box=None, show_header=bool(header), pad_edge=False, header_style="bold")
    for column in range(columns):
        table.add_column(
            header[column] if header else "", justify="right" if column in right else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    # Wide where stdout is not a terminal, so that names are not folded in a file or a pipe.
    console = Console(width=None if sys.stdout.isatty() else 240, highlight=False)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        print(line.rstrip())


def print_json(value: Any) -> None:
    """Print dataclasses, paths and plain values to stdout as one JSON document; infinite numbers become null."""
    print(json.dumps(_plain(value), indent=2, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no infinity
    return str(value) if isinstance(value, Path) else value
