"""python -m nerfstudio_mvc.cli.order_ablation: what the coding order of the views is worth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nerfstudio_mvc.cli.console import format_bytes, print_json, print_table
from nerfstudio_mvc.cli.flags import OptionalPath
from nerfstudio_mvc.cli.main import UsageError, run_command
from nerfstudio_mvc.pipeline.options import CompressOptions, DepthChoice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nerfstudio_mvc.benchmarking.order_ablation import OrderResult


@dataclass(frozen=True)
class OrderAblation:
    """Code captures in several orders: our codec at one quality, and video encoders at the PSNR it has in the first.

    A random order is what file order is worth in a capture whose files are named at random.
    """

    data: tuple[Path, ...]
    """Captures to measure."""
    orders: tuple[Literal["distance", "overlap", "file", "random"], ...] = ("distance", "file", "random")
    """The first one is what the others are compared with."""
    quality: float = 5.0
    """Of our archives, 1 to 8."""
    codec: Literal["lmvic", "av1"] = "lmvic"
    """Ours."""
    peers: tuple[Literal["hevc", "av1", "svt", "vvc"], ...] = ("av1",)
    """Video encoders; give the flag alone for none."""
    peer_threads: int = 1
    """Threads of a video encoder; bytes do not depend on it."""
    peer_points: OptionalPath = None
    """A JSON file that keeps what the encoders were measured at."""
    depth: DepthChoice = "sparse"
    """Where depth comes from."""
    json: bool = False
    """Print the results as JSON."""

    def run(self) -> int:
        """Do it."""
        if not self.data or not self.orders:
            raise UsageError("--data and --orders need one value or more")
        options = CompressOptions(codec=self.codec, quality=self.quality, depth=self.depth)
        # torch and the rest arrive only now: --help has answered already.
        from nerfstudio_mvc.benchmarking.order_ablation import measure_orders
        from nerfstudio_mvc.benchmarking.peer_points import PeerPoints
        from nerfstudio_mvc.benchmarking.peers import make_peers
        from nerfstudio_mvc.cli.progress_view import ProgressView

        peers = make_peers(self.peers, threads=self.peer_threads)
        peer_points = None if self.peer_points is None else PeerPoints(self.peer_points)
        results: list[OrderResult] = []
        for data in self.data:
            with ProgressView(f"orders of {data.name}") as view:
                results += measure_orders(
                    data,
                    self.orders,
                    peers=peers,
                    options=options,
                    peer_points=peer_points,
                    on_event=view.on_event,
                )
        if self.json:
            print_json(results)
        else:
            _print_results(results, self.orders)
        return 0


def _print_results(results: Sequence[OrderResult], orders: Sequence[str]) -> None:
    print("Bytes in each order, and how many more (+) or fewer (-) than in the first:")
    rows = []
    for capture, codec in dict.fromkeys((result.capture, result.codec) for result in results):
        by_order = {result.order: result for result in results if (result.capture, result.codec) == (capture, codec)}
        first = by_order[orders[0]]
        cells = [_cell(by_order[order], first) for order in orders]
        rows.append((capture, codec, f"{first.psnr_db:.2f}", *cells))
    print_table(rows, header=("capture", "codec", "PSNR dB", *orders), right=range(2, 3 + len(orders)))


def _cell(result: OrderResult, first: OrderResult) -> str:
    if result.bytes is None:
        return "not reached"
    if result is first or first.bytes is None:
        return format_bytes(result.bytes)
    change = f"{format_bytes(result.bytes)} {100 * (result.bytes / first.bytes - 1):+.1f} %"
    shift_db = result.psnr_db - first.psnr_db
    return change if abs(shift_db) < 0.005 else f"{change}, {shift_db:+.2f} dB"


def main() -> None:
    """Entry point."""
    run_command(OrderAblation, "python -m nerfstudio_mvc.cli.order_ablation")


if __name__ == "__main__":
    main()
