"""The main job from end to end, through the real commands; `make demo` runs it.

make demo
"""

import subprocess
import time
from pathlib import Path

from nerfstudio_mvc import evaluate_archive
from nerfstudio_mvc.cli.console import format_bytes, format_seconds, print_table

ROOT = Path(__file__).parent.parent
SAMPLE = "examples/data/nerfstudio"
ARCHIVE = "out/bananas.mvc"
RESTORED = "out/restored"


def run(*command: str) -> float:
    """Print and run one command from the project's root; the seconds it took."""
    print(f"\n$ {' '.join(command)}", flush=True)
    start_s = time.monotonic()
    subprocess.run(command, cwd=ROOT, check=True)
    return time.monotonic() - start_s


def main() -> None:
    """Compress, look into the archive, verify, restore, compare."""
    (ROOT / "out").mkdir(exist_ok=True)
    # Sparse points in place of Gaussians: one per cent more bytes, and no minute of fitting.
    compress_s = run("ns-mvc-compress", "--data", SAMPLE, "--output", ARCHIVE, "--depth", "sparse", "--force")
    run("ns-mvc-info", "--archive", ARCHIVE)
    run("ns-mvc-verify", "--archive", ARCHIVE)
    decompress_s = run("ns-mvc-decompress", "--archive", ARCHIVE, "--output-dir", RESTORED, "--force")

    report = evaluate_archive(ROOT / ARCHIVE, ROOT / SAMPLE)
    print("\nThe decoded photographs against the originals:")
    rows = [(view.name, f"{view.psnr_db:.2f}", _similarity(view.ms_ssim)) for view in report.views]
    rows.append(("mean", f"{report.psnr_db:.2f}", _similarity(report.ms_ssim)))
    print_table(rows, header=("photograph", "PSNR dB", "MS-SSIM"), right=(1, 2))
    print()
    print_table(
        [
            ("photographs", format_bytes(report.source_bytes)),
            ("archive", format_bytes(report.file_bytes)),
            ("  of which attached files", format_bytes(report.attachment_bytes)),
            ("rate, attached files not counted", f"{report.bpp:.4f} bpp"),
            ("PSNR, mean", f"{report.psnr_db:.2f} dB"),
            ("MS-SSIM, mean", _similarity(report.ms_ssim)),
            ("compress, everything", format_seconds(compress_s)),
            ("decompress, everything", format_seconds(decompress_s)),
            ("decoding alone", format_seconds(report.decode_s)),
        ]
    )
    print(f"\nThe archive is {ARCHIVE}, the restored capture {RESTORED}.")


def _similarity(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    main()
