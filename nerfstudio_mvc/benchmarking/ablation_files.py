"""Ablation results as tables: one per capture to read, one over all captures, and all of it in a Markdown file.

The file may hold other text: only what stands between its two marks is replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nerfstudio_mvc.benchmarking.ablations import BASELINE, AblationPoint, rate_change_percent
from nerfstudio_mvc.benchmarking.text_files import replace_file
from nerfstudio_mvc.errors import OutputError

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def change_table(points: Sequence[AblationPoint]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows: bits at equal PSNR against views one by one, a column per capture."""
    captures, variants = _names(points)
    rows = []
    for variant in variants:
        if variant == BASELINE:
            continue
        changes = [rate_change_percent(_of(points, capture), variant) for capture in captures]
        rows.append((variant, *("-" if change is None else f"{change:+.2f} %" for change in changes)))
    return ("variant", *captures), rows


def point_table(points: Sequence[AblationPoint]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows: bpp of all strings, bpp of depth, PSNR and predicted views of every point."""
    rows = [
        (
            point.capture,
            point.variant,
            f"{point.quality:g}",
            f"{point.predicted_views} of {point.views}",
            f"{point.bpp:.4f}",
            f"{point.depth_bpp:.4f}",
            f"{point.psnr_db:.2f}",
        )
        for point in points
    ]
    return ("capture", "variant", "quality", "predicted", "bpp", "of it depth", "PSNR, dB"), rows


def write_ablations(path: Path, points: Sequence[AblationPoint], *, command: str, fingerprint: str) -> None:
    """Put the tables between the marks of a Markdown file; a file without marks gets them at its end.

    Raises:
        OutputError: the file cannot be read or written.
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else "# Ablations of LMVIC\n"
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(f"{path} cannot be read ({error}): choose another place") from error
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        before, after = text.rstrip() + "\n\n", "\n"
    measured = [
        f"Weights {fingerprint}. Bits at equal PSNR against views one by one, more is worse:",
        _markdown(*change_table(points)),
        "Every point:",
        _markdown(*point_table(points)),
        f"```\n{command}\n```",
    ]
    replace_file(path, before + BEGIN + "\n\n" + "\n\n".join(measured) + "\n\n" + END + after)


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _names(points: Sequence[AblationPoint]) -> tuple[list[str], list[str]]:
    return [list(dict.fromkeys(names)) for names in zip(*((p.capture, p.variant) for p in points), strict=True)]


def _of(points: Sequence[AblationPoint], capture: str) -> list[AblationPoint]:
    return [point for point in points if point.capture == capture]
