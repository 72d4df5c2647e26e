"""Compress a nerfstudio folder and restore it, in Python.

python examples/1_compress_and_restore.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from nerfstudio_mvc import compress_capture, decompress_archive

SAMPLE = Path(__file__).parent / "data" / "nerfstudio"


def main() -> None:
    """Into an archive and back, in a folder that goes away."""
    with TemporaryDirectory() as folder:
        archive, restored = Path(folder) / "bananas.mvc", Path(folder) / "restored"

        report = compress_capture(SAMPLE, archive, quality=5)
        print(f"{report.views} photographs, {report.source_bytes} bytes on disk")
        print(f"{archive.name}: {report.file_bytes} bytes, {report.bpp:.3f} bpp at {report.psnr_db:.2f} dB")

        result = decompress_archive(archive, restored)
        same = (restored / "transforms.json").read_bytes() == (SAMPLE / "transforms.json").read_bytes()
        print(f"{len(result.views)} photographs restored; transforms.json is the same file: {same}")


if __name__ == "__main__":
    main()
