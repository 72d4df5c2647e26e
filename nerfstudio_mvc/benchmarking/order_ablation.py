"""What the coding order is worth: archives in several orders, and a video encoder on the same photographs in them.

Which orders there are is said by `capture.view_order`; a random one stands for a capture whose files are named at
random, where file order says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from nerfstudio_mvc.archive.summary import summarize
from nerfstudio_mvc.benchmarking.capture_benchmark import Photographs
from nerfstudio_mvc.benchmarking.peer_points import PeerPoints, points_key
from nerfstudio_mvc.benchmarking.peers import Peer
from nerfstudio_mvc.benchmarking.rate_curve import RateCurve
from nerfstudio_mvc.capture.view_order import Order
from nerfstudio_mvc.pipeline.compress import compress_capture
from nerfstudio_mvc.pipeline.evaluate import evaluate_archive
from nerfstudio_mvc.pipeline.options import CompressOptions
from nerfstudio_mvc.pipeline.progress import OnEvent, StepProgress, ignore_event


@dataclass(frozen=True)
class OrderResult:
    """A capture in one order.

    Attributes:
        capture, order: which.
        codec: name of ours, or of a peer.
        bytes: of ours without attached files, at the quality asked for; of a peer where its mean PSNR is that of our
            archive in the first order (None where it does not come there).
        psnr_db: mean over the views.
    """

    capture: str
    order: Order
    codec: str
    bytes: float | None
    psnr_db: float


def measure_orders(
    data: Path,
    orders: Sequence[Order],
    *,
    peers: Sequence[Peer] = (),
    options: CompressOptions | None = None,
    peer_points: PeerPoints | None = None,
    on_event: OnEvent | None = None,
) -> list[OrderResult]:
    """Code a capture in several orders with our codec, then with the peers, photographs handed over in each order.

    Args:
        data: the capture's folder.
        orders: which; the first one's PSNR is the peers' target.
        peers: video encoders; each codes all photographs as one sequence.
        options: how archives are made, their order aside.
        peer_points: keeps what peers were measured at.
        on_event: as for `compress_capture`.

    Raises:
        MvcError: see `compress_capture`, `evaluate_archive` and `RateCurve.at_psnr`.
    """
    options, on_event = options or CompressOptions(), on_event or ignore_event
    capture = data.resolve().name
    results, names = [], {}
    for order in orders:
        with TemporaryDirectory(prefix="ns-mvc-order-") as folder:
            archive = Path(folder) / "capture.mvc"
            compress_capture(data, archive, options, order=order, on_event=on_event)
            summary = summarize(archive)
            views = summary.manifest.views
            names[order] = [views[view_idx].name for group in summary.manifest.groups for view_idx in group]
            evaluation = evaluate_archive(
                archive,
                data,
                device=options.device,
                weights=options.weights,
                codec=None if isinstance(options.codec, str) else options.codec,
                on_event=on_event,
            )
        coded_bytes = summary.file_bytes - summary.attachment_bytes
        results.append(OrderResult(capture, order, summary.manifest.codec, coded_bytes, evaluation.psnr_db))
    target_db = results[0].psnr_db
    for peer in peers:
        for order in orders:
            bytes_there = _peer_bytes(peer, data, names[order], target_db, peer_points, on_event)
            results.append(OrderResult(capture, order, peer.name, bytes_there, target_db))
    return results


def _peer_bytes(
    peer: Peer,
    data: Path,
    names: Sequence[str],
    target_db: float,
    peer_points: PeerPoints | None,
    on_event: OnEvent,
) -> float | None:
    key = points_key(peer, [data / name for name in names])
    known = peer_points.get(key) if peer_points is not None else ()
    curve = RateCurve(peer, Photographs(data, names), known=known)
    equal = curve.at_psnr(
        target_db,
        on_photograph=lambda setting, done: on_event(
            StepProgress(f"{peer.name} at setting {setting}", done, len(names))
        ),
    )
    if peer_points is not None:
        peer_points.put(key, curve.points())
    return equal.bytes
