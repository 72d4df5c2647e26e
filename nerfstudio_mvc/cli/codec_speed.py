"""python -m nerfstudio_mvc.cli.codec_speed: megapixels a second of our codec, beside AVIF and AV1 on the same views."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nerfstudio_mvc.cli.console import print_json, print_table
from nerfstudio_mvc.cli.main import UsageError, run_command

if TYPE_CHECKING:
    from nerfstudio_mvc.benchmarking.codec_speed import CodecSpeed

MODULE = "python -m nerfstudio_mvc.cli.codec_speed"
HEADER = ("capture", "codec", "encode MP/s", "to ours", "decode MP/s", "to ours", "bpp", "PSNR, dB", "how")


@dataclass(frozen=True)
class MeasureSpeed:
    """Time encoding and decoding of a few views, beside AVIF at speed 6 and AV1 by libaom at speed 6, at equal PSNR.

    Give it an idle machine. Depth comes from the sparse points and is not timed.
    """

    data: tuple[Path, ...]
    """Captures with cameras."""
    quality: float = 5.0
    """Of our codec, 1 to 8."""
    views: int = 4
    """How many, coded as one group."""
    rounds: int = 2
    """Times everything is done; the fastest counts."""
    threads: int = 2
    """Of every codec."""
    weights: Path | None = None
    """A weights file to use instead of the newest that ships."""
    json: bool = False
    """Print the results as JSON."""

    def run(self) -> int:
        """Do it."""
        if not self.data:
            raise UsageError("--data names no capture: give one folder or more")
        # torch and the rest arrive only now: --help has answered already.
        from nerfstudio_mvc.benchmarking.codec_speed import measure_speed, speed_peers
        from nerfstudio_mvc.cli.progress_view import ProgressView

        peers = speed_peers(
            ["avif", "av1"], threads=self.threads, on_missing=lambda message: print(message, file=sys.stderr)
        )
        results = {}
        for data in self.data:
            with ProgressView(f"timing {data.name}") as view:
                results[data.resolve().name] = measure_speed(
                    data,
                    peers=peers,
                    weights=self.weights,
                    quality=self.quality,
                    views=self.views,
                    rounds=self.rounds,
                    threads=self.threads,
                    on_event=view.on_event,
                )
        if self.json:
            print_json(results)
        else:
            rows = [_row(capture, result) for capture, speeds in results.items() for result in speeds]
            print_table(rows, header=HEADER, right=range(2, 8))
        return 0


def _row(capture: str, result: CodecSpeed) -> tuple[str, ...]:
    return (
        capture,
        result.name,
        f"{result.encode_mp_s:.2f}",
        f"{result.encode_ratio:.2f}",
        f"{result.decode_mp_s:.2f}",
        f"{result.decode_ratio:.2f}",
        f"{result.bpp:.4f}",
        f"{result.psnr_db:.2f}",
        result.description,
    )


def main() -> None:
    """Run as a module: a developers' measurement, not a command that is installed."""
    run_command(MeasureSpeed, MODULE)


if __name__ == "__main__":
    main()
