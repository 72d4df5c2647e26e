"""python -m nerfstudio_mvc.cli.codec_speed: megapixels a second of our codecs, beside AVIF and AV1 on the same views"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nerfstudio_mvc.cli.console import print_json, print_table
from nerfstudio_mvc.cli.main import UsageError, run_command
from nerfstudio_mvc.effort import Effort

if TYPE_CHECKING:
    from nerfstudio_mvc.benchmarking.codec_speed import CodecSpeed

MODULE = "python -m nerfstudio_mvc.cli.codec_speed"
HEADER = ("capture", "codec", "views", "encode MP/s", "to first", "decode MP/s", "to first", "bpp", "PSNR, dB", "how")


@dataclass(frozen=True)
class MeasureSpeed:
    """Time encoding and decoding of a few views, beside AVIF at speed 6 and AV1 by libaom, at the first codec's PSNR.

    Give it an idle machine. Depth comes from the sparse points and is not timed.
    """

    data: tuple[Path, ...]
    """Captures with cameras."""
    codecs: tuple[Literal["lmvic", "av1", "parahydra"], ...] = ("lmvic",)
    """Of ours."""
    quality: float = 5.0
    """Of our codecs, 1 to 8."""
    efforts: tuple[Effort, ...] = ("default",)
    """Of our codecs; each is timed at each of them."""
    views: tuple[int, ...] = (4,)
    """How many, coded as one group; everything is timed for each of these."""
    peers: tuple[Literal["avif", "av1"], ...] = ("avif", "av1")
    """Others; give the flag alone for none."""
    rounds: int = 2
    """Times everything is done; the fastest counts."""
    threads: int = 2
    """Of every codec."""
    weights: Path | None = None
    """A weights file of lmvic to use instead of the newest that ships."""
    json: bool = False
    """Print the results as JSON."""

    def run(self) -> int:
        """Do it."""
        for flag in ("data", "codecs", "efforts", "views"):
            if not getattr(self, flag):
                raise UsageError(f"--{flag} names none: give one or more")
        # torch and the rest arrive only now: --help has answered already.
        from nerfstudio_mvc.benchmarking.codec_speed import measure_speed, speed_peers
        from nerfstudio_mvc.cli.progress_view import ProgressView

        peers = speed_peers(
            self.peers, threads=self.threads, on_missing=lambda message: print(message, file=sys.stderr)
        )
        results = {}
        for data in self.data:
            with ProgressView(f"timing {data.name}") as view:
                results[data.resolve().name] = [
                    speed
                    for views in self.views
                    for speed in measure_speed(
                        data,
                        self.codecs,
                        peers,
                        weights=self.weights,
                        efforts=self.efforts,
                        quality=self.quality,
                        views=views,
                        rounds=self.rounds,
                        threads=self.threads,
                        on_event=view.on_event,
                    )
                ]
        if self.json:
            print_json(results)
        else:
            rows = [_row(capture, result) for capture, speeds in results.items() for result in speeds]
            print_table(rows, header=HEADER, right=range(2, 9))
        return 0


def _row(capture: str, result: CodecSpeed) -> tuple[str, ...]:
    return (
        capture,
        result.name,
        str(result.views),
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
