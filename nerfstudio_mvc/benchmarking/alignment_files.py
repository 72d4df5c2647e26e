"""Alignment results as files: a CSV row per capture, size and method, a Markdown table for each size, all as JSON.

What the numbers mean is said by the classes of `alignment`.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nerfstudio_mvc.benchmarking.alignment import AlignmentResult, MethodResult
from nerfstudio_mvc.benchmarking.text_files import replace_file

CSV_NAME, MARKDOWN_NAME, JSON_NAME = "alignment.csv", "alignment.md", "alignment.json"


def write_alignment(output_dir: Path, results: Sequence[AlignmentResult]) -> None:
    """Write `CSV_NAME`, `MARKDOWN_NAME` and `JSON_NAME` into `output_dir`, which is made; files there are replaced.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    replace_file(output_dir / CSV_NAME, _csv_text(results))
    replace_file(output_dir / MARKDOWN_NAME, markdown(results))
    document = [_finite(dataclasses.asdict(result)) for result in results]
    replace_file(output_dir / JSON_NAME, json.dumps(document, indent=2) + "\n")


def table_rows(result: AlignmentResult) -> list[tuple[str, ...]]:
    """The cells of `TABLE_HEADER`, a row per method."""
    return [_row(result, method) for method in result.methods]


TABLE_HEADER = (
    "method",
    "PSNR dB",
    "masked",
    "MS-SSIM",
    "masked",
    "covers",
    "side bpp",
    "s per view",
)


def title(result: AlignmentResult) -> str:
    """One line on the capture."""
    return (
        f"{result.capture}, {result.long_side} px, {result.views} predicted views, "
        f"median shift {result.median_shift:.1%} of the longer side, mask {result.masked:.1%}"
    )


def markdown(results: Sequence[AlignmentResult]) -> str:
    """For each size a table with a row per capture and a column per method: PSNR in dB, whole / inside the mask."""
    text = []
    for long_side in dict.fromkeys(result.long_side for result in results):
        same_size = [result for result in results if result.long_side == long_side]
        names = list(dict.fromkeys(method.method for result in same_size for method in result.methods))
        text.append(f"{long_side} px, PSNR in dB of the whole prediction / inside the mask (MS-SSIM of the whole)\n\n")
        rows = [["capture", "shift", *names], ["---", *["---:"] * (len(names) + 1)]]
        for result in same_size:
            found = {method.method: method for method in result.methods}
            cells = [_markdown_cell(found.get(name)) for name in names]
            rows.append([result.capture, f"{result.median_shift:.1%}", *cells])
        text += [f"| {' | '.join(row)} |\n" for row in rows] + ["\n"]
    return "".join(text)


def _markdown_cell(method: MethodResult | None) -> str:
    if method is None:
        return "-"
    similarity = "" if method.ms_ssim is None else f" ({method.ms_ssim:.3f})"
    return f"{method.psnr_db:.2f} / {method.masked_psnr_db:.2f}{similarity}"


def _row(result: AlignmentResult, method: MethodResult) -> tuple[str, ...]:
    per_view_s = method.elapsed_s + method.prior_s / result.capture_views
    return (
        method.method,
        f"{method.psnr_db:.2f}",
        f"{method.masked_psnr_db:.2f}",
        "-" if method.ms_ssim is None else f"{method.ms_ssim:.4f}",
        "-" if method.masked_ms_ssim is None else f"{method.masked_ms_ssim:.4f}",
        f"{method.coverage:.3f}",
        "-" if method.side_bpp is None else f"{method.side_bpp:.4f}",
        f"{per_view_s:.2f}",
    )


def _csv_text(results: Sequence[AlignmentResult]) -> str:
    columns = [field.name for field in dataclasses.fields(AlignmentResult) if field.name != "methods"]
    columns += [field.name for field in dataclasses.fields(MethodResult)]
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for result in results:
        for method in result.methods:
            writer.writerow({**vars(result), **dataclasses.asdict(method)})
    return stream.getvalue()


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
