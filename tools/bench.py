"""Rate and quality of this codec beside JPEG, WebP and AVIF at equal PSNR; `make bench` runs it.

python tools/bench.py [--qualities 3 5] FOLDER...
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from nerfstudio_mvc import compress_capture, evaluate_archive
from nerfstudio_mvc.benchmarking.still_codecs import STILL_CODECS, bytes_at_psnr
from nerfstudio_mvc.capture.image_files import read_image
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.cli.console import print_table


def measure(folder: Path, quality: float, depth: str) -> dict:
    """One capture at one quality: our bytes (all but attachments) and those of the peers at our PSNR."""
    with TemporaryDirectory() as temporary:
        archive = Path(temporary) / "a.mvc"
        start_s = time.monotonic()
        report = compress_capture(folder, archive, quality=quality, depth=depth)
        compress_s = time.monotonic() - start_s
        evaluation = evaluate_archive(archive, folder)
    coded_bytes = report.file_bytes - report.attachment_bytes
    photographs = [read_image(view.image_path).pixels for view in load_capture(folder).views]
    peers = {codec.name: bytes_at_psnr(photographs, codec, evaluation.psnr_db) for codec in STILL_CODECS}
    return {
        "capture": folder.name if folder.name != "nerfstudio" else folder.parent.name,
        "quality": quality,
        "views": report.views,
        "bpp": evaluation.bpp,
        "psnr_db": evaluation.psnr_db,
        "ms_ssim": evaluation.ms_ssim,
        "bytes": coded_bytes,
        "attachment_bytes": report.attachment_bytes,
        "compress_s": compress_s,
        "decode_s": evaluation.decode_s,
        "peers": peers,
    }


def main() -> None:
    """Measure, print a table to stdout, and JSON lines as they come to stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--qualities", nargs="+", type=float, default=[3.0, 5.0])
    parser.add_argument("--depth", default="auto")
    options = parser.parse_args()
    rows = []
    for folder in options.folders:
        for quality in options.qualities:
            result = measure(folder.resolve(), quality, options.depth)
            print(json.dumps(result), file=sys.stderr, flush=True)
            shares = [f"{result['bytes'] / peer_bytes:.0%}" for peer_bytes in result["peers"].values()]
            similarity = "-" if result["ms_ssim"] is None else f"{result['ms_ssim']:.4f}"
            rows.append(
                (
                    result["capture"],
                    f"{quality:g}",
                    f"{result['bpp']:.4f}",
                    f"{result['psnr_db']:.2f}",
                    similarity,
                    f"{result['compress_s']:.1f}",
                    f"{result['decode_s']:.1f}",
                    *shares,
                )
            )
    header = ("capture", "quality", "bpp", "PSNR dB", "MS-SSIM", "compress s", "decode s")
    print("Bytes of the archive (all but attached files) as a share of each peer's at the same PSNR:")
    print_table(rows, header=(*header, *(f"of {codec.name}" for codec in STILL_CODECS)), right=range(1, 10))


if __name__ == "__main__":
    main()
