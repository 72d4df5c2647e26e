"""Results as files: CSV rows per archive and per point of a curve, a Markdown table to read, and everything as JSON.

What the numbers mean is said by the classes of `capture_benchmark`.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from nerfstudio_mvc.benchmarking.capture_benchmark import CaptureResult, PeerResult
from nerfstudio_mvc.benchmarking.text_files import replace_file
from nerfstudio_mvc.errors import OutputError
from nerfstudio_mvc.pipeline.json_values import json_values

CSV_NAME, MARKDOWN_NAME, JSON_NAME = "rate_quality.csv", "rate_quality.md", "rate_quality.json"
CURVES_NAME, REPORT_NAME = "curves.csv", "report.html"
CURVE_COLUMNS = ("capture", "codec", "setting", "bytes", "bpp", "psnr_db", "ms_ssim")
CSV_COLUMNS: tuple[str, ...] = (
    "capture",
    "quality",
    "codec",
    "bytes",
    "bpp",
    "psnr_db",
    "ms_ssim",
    "saving_percent",
    "encode_mp_per_s",
    "decode_mp_per_s",
)


def check_output_dir(output_dir: Path, *, force: bool) -> None:
    """Raise OutputError where `write_results` would replace results, unless `force`; before the hours of measuring."""
    for name in (CSV_NAME, MARKDOWN_NAME, JSON_NAME, CURVES_NAME):
        if (output_dir / name).exists() and not force:
            raise OutputError(
                f"{output_dir / name} exists already: choose another --output-dir, or replace it with --force"
            )


def write_results(output_dir: Path, results: Sequence[CaptureResult], settings: dict[str, Any]) -> None:
    """Write `CSV_NAME`, `MARKDOWN_NAME`, `JSON_NAME` and `CURVES_NAME`, replacing all four.

    Args:
        output_dir: made when it is not there.
        results: captures measured so far.
        settings: how they were measured; into the JSON as it is.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    document = {"settings": settings, "captures": [json_values(result) for result in results]}
    replace_file(output_dir / CSV_NAME, _csv_text(CSV_COLUMNS, (row for result in results for row in _rows(result))))
    points = (row for result in results for row in _curve_rows(result))
    replace_file(output_dir / CURVES_NAME, _csv_text(CURVE_COLUMNS, points))
    replace_file(output_dir / MARKDOWN_NAME, _markdown_text(results))
    replace_file(output_dir / JSON_NAME, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _markdown_text(results: Sequence[CaptureResult]) -> str:
    archives = [(result.capture, archive) for result in results for archive in result.archives]
    peers = list(dict.fromkeys(name for _, archive in archives for name in archive.peers))
    header = ["capture", "codec", "views", "quality", "bpp", "PSNR dB", "MS-SSIM", "encode MP/s", "decode MP/s"]
    rows = [
        [
            capture,
            archive.codec,
            str(archive.views),
            f"{archive.quality:g}",
            f"{archive.bpp:.3f}",
            f"{archive.psnr_db:.2f}",
            _decimals(archive.ms_ssim, 4),
            _decimals(archive.encode_mp_per_s, 2),
            _decimals(archive.decode_mp_per_s, 2),
            *(_change(archive.peers.get(name)) for name in peers),
        ]
        for capture, archive in archives
    ]
    rule = ["---", "---", *["---:"] * (len(header) + len(peers) - 2)]
    table = [header + [f"bytes against {name}" for name in peers], rule, *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in table)


def _decimals(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"


def _change(peer: PeerResult | None) -> str:
    """Of our bytes against the peer's: ``"-12 %"`` where we take less."""
    return "-" if peer is None or peer.saving_percent is None else f"{-peer.saving_percent:+.0f} %"


def _csv_text(columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> str:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _curve_rows(result: CaptureResult) -> Iterator[dict[str, Any]]:
    for codec, points in {**result.own_curves(), **result.peer_curves}.items():
        for point in points:
            yield {"capture": result.capture, "codec": codec, **dataclasses.asdict(point)}


def _rows(result: CaptureResult) -> Iterator[dict[str, Any]]:
    for archive in result.archives:
        common = {"capture": result.capture, "quality": archive.quality, "psnr_db": archive.psnr_db}
        yield {
            **common,
            "codec": archive.codec,
            "bytes": archive.coded_bytes,
            "bpp": archive.bpp,
            "ms_ssim": archive.ms_ssim,
            "encode_mp_per_s": archive.encode_mp_per_s,
            "decode_mp_per_s": archive.decode_mp_per_s,
        }
        for name, peer in archive.peers.items():
            if peer.bytes is not None:
                yield {
                    **common,
                    "codec": name,
                    "bytes": round(peer.bytes),
                    "bpp": peer.bpp,
                    "saving_percent": peer.saving_percent,
                    "encode_mp_per_s": peer.encode_mp_per_s,
                    "decode_mp_per_s": peer.decode_mp_per_s,
                }
