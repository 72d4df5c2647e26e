"""Compress bare photographs: their cameras are estimated first, with pycolmap on the CPU.

python examples/2_from_photographs.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from nerfstudio_mvc import compress_capture, decompress_archive
from nerfstudio_mvc.pipeline.progress import Event, Planned, StepProgress, Warned

PHOTOS = Path(__file__).parent / "data" / "photos"


def show(event: Event) -> None:
    """Print the milestones of a pipeline's events."""
    match event:
        case StepProgress(step, done, total) if done == total:
            print(f"done: {step}")
        case Planned(views=views, groups=groups):
            print(f"cameras are there: coding {views} views in {groups} group(s)")
        case Warned(message):
            print(f"warning: {message}")


def main() -> None:
    """Photographs to an archive; back with a transforms.json, ready for ns-train."""
    with TemporaryDirectory() as folder:
        archive, restored = Path(folder) / "bananas.mvc", Path(folder) / "restored"
        report = compress_capture(PHOTOS, archive, on_event=show)
        print(f"{report.source_bytes} bytes of photographs became {report.file_bytes} bytes, {report.psnr_db:.2f} dB")
        decompress_archive(archive, restored)
        print("restored:", ", ".join(sorted(path.name for path in restored.iterdir())))


if __name__ == "__main__":
    main()
