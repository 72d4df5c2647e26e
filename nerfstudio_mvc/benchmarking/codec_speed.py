"""Megapixels a second that our codecs and their peers take to code the same views in the same run, each at equal PSNR.

Photographs are in memory before the clock runs and the depth prior is found; what that takes is `prior_timing`'s, how
many bytes each codec needs for a quality is `capture_benchmark`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nerfstudio_mvc.benchmarking.peers import Peer, PeerName, StillPeer, make_peers
from nerfstudio_mvc.capture.image_files import read_image
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.capture.view_order import coding_order
from nerfstudio_mvc.capture.views import SourceView
from nerfstudio_mvc.codecs.interface import MultiViewCodec
from nerfstudio_mvc.cores import cores_granted, granted_cores
from nerfstudio_mvc.effort import Effort
from nerfstudio_mvc.pipeline.progress import OnEvent, StepProgress, ignore_event
from nerfstudio_mvc.quality.psnr import psnr_db
from nerfstudio_mvc.splatting.prior import DepthMethod, estimate_depth
from nerfstudio_mvc.weights.store import open_codec

SETTINGS_TRIED = 6
"""Encodings of one view with which a peer's setting is found; not timed."""


@dataclass(frozen=True)
class CodecSpeed:
    """One codec on one capture.

    Attributes:
        name, description: of the codec.
        views: how many, as one group.
        encode_mp_s, decode_mp_s: megapixels of photographs a second.
        encode_ratio, decode_ratio: the same over those of the first codec; above 1 it is faster.
        encode_cpu_s: CPU seconds of this process for the encoding; not those of codecs in others.
        bpp: of the strings or files alone.
        psnr_db: mean over the views.
    """

    name: str
    description: str
    views: int
    encode_mp_s: float
    decode_mp_s: float
    encode_ratio: float
    decode_ratio: float
    encode_cpu_s: float
    bpp: float
    psnr_db: float


def measure_speed(
    data: Path,
    codecs: Sequence[str | MultiViewCodec] = ("lmvic",),
    peers: Sequence[Peer] = (),
    *,
    weights: Path | None = None,
    efforts: Sequence[Effort] = ("default",),
    quality: float = 5.0,
    views: int = 4,
    depth: DepthMethod = "sparse",
    rounds: int = 2,
    threads: int | None = None,
    on_event: OnEvent = ignore_event,
) -> list[CodecSpeed]:
    """Time `codecs`, then every peer at the setting that comes nearest to the first one's PSNR.

    Args:
        data: a capture with cameras and photographs.
        weights: of lmvic given by name; the newest that ship when left out.
        efforts: of codecs given by name; each is timed at each of them.
        views: how many, the first ones in coding order; they are one group.
        threads: of our codecs; what torch takes when left out.
        rounds: times everything is done; the fastest counts. The first one also warms up.

    Raises:
        CaptureError: the capture cannot be read or has no photographs on this machine.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    capture = load_capture(data)
    prior = estimate_depth(capture, method=depth)
    sources = []
    for view_idx in coding_order(capture.views)[:views]:
        view, depth_map = capture.views[view_idx], prior.maps[view_idx]
        pixels = read_image(view.image_path).pixels
        known = (None, None) if depth_map is None else (depth_map.depth, depth_map.valid)
        sources.append(SourceView(view, pixels, *known))
    photographs = [source.pixels for source in sources]
    results: list[CodecSpeed] = []
    tried = [(codec, effort) for codec in codecs for effort in (efforts if isinstance(codec, str) else (None,))]
    steps = len(tried) + len(peers)
    for codec, effort in tried:
        if isinstance(codec, str):
            codec = open_codec(codec, weights=weights if codec == "lmvic" else None, effort=effort)
        on_event(StepProgress(f"{data.name}: {codec.name}", len(results), steps))
        how = f"quality {quality:g}, " + ("" if effort is None else f"effort {effort}, ")
        with cores_granted(threads or granted_cores()):
            results.append(
                _measure_own(codec, sources, how, quality=quality, rounds=rounds, first=next(iter(results), None))
            )
    for peer in peers:
        on_event(StepProgress(f"{data.name}: {peer.name}", len(results), steps))
        setting = _setting_for(peer, photographs[0], results[0].psnr_db)
        results.append(
            _measure(
                peer.name,
                f"{peer.description}, setting {setting}",
                photographs,
                lambda peer=peer, setting=setting: peer.encode(photographs, setting),
                lambda files, peer=peer: list(peer.decode(files)),
                lambda files: sum(map(len, files)),
                order=np.arange(len(photographs)),
                rounds=rounds,
                first=results[0],
            )
        )
    on_event(StepProgress(data.name, steps, steps))
    return results


def _measure_own(
    codec: MultiViewCodec,
    sources: Sequence[SourceView],
    how: str,
    *,
    quality: float,
    rounds: int,
    first: CodecSpeed | None,
) -> CodecSpeed:
    views = [source.view for source in sources]
    return _measure(
        codec.name,
        f"{how}{torch.get_num_threads()} threads",
        [source.pixels for source in sources],
        lambda: codec.encode_group(0, sources, quality=quality).coded,
        lambda coded: [pixels for _, pixels in sorted(codec.decode_group(coded, views, quality=quality).items())],
        lambda coded: coded.payload_bytes,
        order=np.argsort([view.view_idx for view in views]),
        rounds=rounds,
        first=first,
    )


def speed_peers(
    names: Sequence[PeerName], *, threads: int, on_missing: Callable[[str], None] | None = None
) -> tuple[Peer, ...]:
    """Peers at speed 6, each with `threads`; arguments and errors as in `make_peers`."""
    peers = make_peers(names, avif_speed=6, threads=threads, on_missing=on_missing)
    return tuple(
        replace(
            peer, options={**peer.options, "max_threads": threads}, description=f"{peer.description}, {threads} threads"
        )
        if isinstance(peer, StillPeer) and "max_threads" in peer.options
        else peer
        for peer in peers
    )


def _measure(
    name: str,
    description: str,
    photographs: Sequence[np.ndarray],
    encode: Callable[[], Any],
    decode: Callable[[Any], list[np.ndarray]],
    size_of: Callable[[Any], int],
    *,
    order: np.ndarray,
    rounds: int,
    first: CodecSpeed | None,
) -> CodecSpeed:
    """`order`: the photograph that each decoded picture is of."""
    encode_s, encode_cpu_s, decode_s = [], [], []
    for _ in range(rounds):
        started, cpu_started = time.monotonic(), time.process_time()
        coded = encode()
        encode_s.append(time.monotonic() - started)
        encode_cpu_s.append(time.process_time() - cpu_started)
        started = time.monotonic()
        decoded = decode(coded)
        decode_s.append(time.monotonic() - started)
    pixels = sum(photograph.shape[0] * photograph.shape[1] for photograph in photographs)
    encode_mp_s, decode_mp_s = pixels / 1e6 / min(encode_s), pixels / 1e6 / min(decode_s)
    psnrs = [psnr_db(photographs[idx], picture) for idx, picture in zip(order, decoded, strict=True)]
    return CodecSpeed(
        name=name,
        description=description,
        views=len(photographs),
        encode_mp_s=encode_mp_s,
        decode_mp_s=decode_mp_s,
        encode_ratio=1.0 if first is None else encode_mp_s / first.encode_mp_s,
        decode_ratio=1.0 if first is None else decode_mp_s / first.decode_mp_s,
        encode_cpu_s=min(encode_cpu_s),
        bpp=8 * size_of(coded) / pixels,
        psnr_db=float(np.mean(psnrs)),
    )


def _setting_for(peer: Peer, photograph: np.ndarray, target_db: float) -> int:
    """A setting at which the photograph comes back at about `target_db`: PSNR rises with the setting."""
    low, high = peer.settings[0], peer.settings[-1]
    setting = peer.start
    for _ in range(SETTINGS_TRIED):
        (decoded,) = peer.decode(peer.encode([photograph], setting))
        reached_db = psnr_db(photograph, decoded)
        if reached_db < target_db:
            low = setting
        else:
            high = setting
        following = min(max(round(setting + (target_db - reached_db) / peer.db_per_setting), low), high)
        if following == setting:
            break
        setting = following
    return setting
