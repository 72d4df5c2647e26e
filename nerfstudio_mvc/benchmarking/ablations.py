"""What each part of LMVIC is worth: the first views of a capture coded with one switch moved at a time.

Strings are counted, not a file's header; views are encoded, not decoded, as the encoder knows what the decoder shows.
Printing and where results go is `cli.ablations`' business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from nerfstudio_mvc.capture.image_files import read_image
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.capture.view_order import Order, order_views
from nerfstudio_mvc.capture.views import SourceView
from nerfstudio_mvc.codecs.lmvic.codec import LmvicCodec
from nerfstudio_mvc.codecs.lmvic.learned.image_model import ImageModel
from nerfstudio_mvc.codecs.lmvic.spec import RESTORATION
from nerfstudio_mvc.codecs.lmvic.switches import LmvicSwitches
from nerfstudio_mvc.effort import Effort
from nerfstudio_mvc.errors import CaptureError, ShapeError, WeightsError
from nerfstudio_mvc.pipeline.options import DEFAULT_GROUP_SIZE, DEFAULT_ORDER
from nerfstudio_mvc.quality.bd_rate import bd_rate_percent
from nerfstudio_mvc.quality.psnr import psnr_db
from nerfstudio_mvc.splatting.prior import estimate_depth
from nerfstudio_mvc.weights.checkpoint import Checkpoint, read
from nerfstudio_mvc.weights.store import find_weights

BASELINE = "as shipped"


@dataclass(frozen=True)
class Variant:
    """A way to code: switches and order."""

    switches: LmvicSwitches = field(default_factory=LmvicSwitches)
    order: Order = DEFAULT_ORDER


def _variants() -> dict[str, Variant]:
    baseline = LmvicSwitches()

    def flipped(name: str) -> Variant:
        return Variant(replace(baseline, **{name: not getattr(baseline, name)}))

    found = {
        BASELINE: Variant(baseline),
        "separate": flipped("predict"),
        "not aligned": flipped("align"),
        "no mask": flipped("mask"),
        "one reference": flipped("two_references"),
        "prior depth": flipped("refine_depth"),
    }
    for name, meaning in (
        ("between", "coding of views between others last"),
        ("finer_references", "finer references"),
        ("plain_references", "neighbours as they are"),
        ("warped_references", "each neighbour warped"),
        ("gain_and_offset", "gain and offset"),
        ("restoration", "restoration"),
    ):
        found[f"{'no' if getattr(baseline, name) else 'with'} {meaning}"] = flipped(name)
    for order in ("distance", "overlap", "file", "random"):
        if order != DEFAULT_ORDER:
            found[f"order: {order}"] = Variant(baseline, order)
    return found


VARIANTS = _variants()


@dataclass(frozen=True)
class AblationPoint:
    """One variant at one quality on one capture: all strings together, mean PSNR of the views."""

    capture: str
    variant: str
    quality: float
    views: int
    predicted_views: int
    bpp: float
    depth_bpp: float
    psnr_db: float


@dataclass(frozen=True)
class AblationSettings:
    """What all points of a run share.

    Attributes:
        qualities: two or more, for rates at equal PSNR.
        views: of the coding order that are coded, one group.
        weights: a weights file; None takes the newest that ships.
        retrained: variants and, for each, weights trained to do without; measured beside the variant itself.
        by_network: the network codes all pictures, of every variant.
        effort: how long AV1 may think about each of the many codings.
    """

    qualities: tuple[float, ...] = (3.0, 5.0)
    views: int = 4
    weights: Path | None = None
    retrained: tuple[tuple[str, Path], ...] = ()
    by_network: bool = False
    effort: Effort = "fast"


@dataclass(frozen=True)
class _Task:
    """One point: `label` is what it is called, `variant` what is done, with these `weights`."""

    capture: Path
    label: str
    variant: str
    weights: Path | None
    quality: float
    settings: AblationSettings


def measure_ablations(
    captures: Sequence[Path], variants: Sequence[str], settings: AblationSettings, *, workers: int = 1
) -> Iterator[AblationPoint]:
    """Points of all captures, variants and qualities, in that order, as they become known.

    Raises:
        CaptureError: a capture cannot be read or has fewer than two views.
        WeightsError: the weights are not those of the small model.
    """
    ways = [(variant, variant, settings.weights) for variant in variants]
    ways += [(f"{variant}, retrained", variant, weights) for variant, weights in settings.retrained]
    tasks = [
        _Task(capture, *way, quality, settings)
        for capture in captures
        for way in ways
        for quality in settings.qualities
    ]
    # Processes of one thread each: twice as fast as two threads of one.
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        yield from pool.map(_measure, tasks)


def weights_fingerprint(settings: AblationSettings) -> str:
    """Of the weights that `settings` name.

    Raises:
        WeightsError: as in `measure_ablations`.
    """
    return _weights(settings.weights).fingerprint


def rate_change_percent(points: Sequence[AblationPoint], variant: str) -> float | None:
    """Bits of `variant` against `BASELINE` at equal PSNR, over points of one capture; None where they share none.

    With two qualities log rate runs straight between them.
    """
    curves = {
        name: [(point.bpp, point.psnr_db) for point in points if point.variant == name] for name in (BASELINE, variant)
    }
    try:
        return bd_rate_percent(baseline=curves[BASELINE], tested=curves[variant])
    except ShapeError:
        return None


def _measure(task: _Task) -> AblationPoint:
    path, variant, settings = task.capture, VARIANTS[task.variant], task.settings
    weights = _weights(task.weights)
    codec = LmvicCodec(
        weights.model,
        weights.tables,
        fingerprint=weights.fingerprint,
        switches=variant.switches,
        pictures="learned" if settings.by_network else "av1",
        restoration=weights.beside.get(RESTORATION),
        effort=settings.effort,
    )
    sources = _sources(path, settings.views)
    group = [sources[position] for position in _positions(path, settings.views, variant.order)]
    encoded = codec.encode_group(0, group, quality=task.quality)
    pixels = sum(source.pixels.shape[0] * source.pixels.shape[1] for source in group)
    strings = [substream for view in encoded.coded.views for substream in view.substreams]
    return AblationPoint(
        capture=path.name,
        variant=task.label,
        quality=task.quality,
        views=len(group),
        predicted_views=sum(string.name == "references" for string in strings),
        bpp=8 * encoded.coded.payload_bytes / pixels,
        depth_bpp=8 * sum(len(string.payload) for string in strings if string.name == "depth") / pixels,
        psnr_db=float(
            np.mean([psnr_db(source.pixels, encoded.reconstructions[source.view.view_idx]) for source in group])
        ),
    )


@lru_cache(maxsize=1)
def _weights(weights: Path | None) -> Checkpoint:
    checkpoint = read(find_weights("lmvic", weights=weights))
    if not isinstance(checkpoint.model, ImageModel):
        raise WeightsError("these switches are those of the small model: give weights of the small preset")
    return checkpoint


@lru_cache(maxsize=1)
def _sub_capture(path: Path, views: int):
    capture = load_capture(path)
    chosen = order_views(capture.views, DEFAULT_ORDER, group_size=DEFAULT_GROUP_SIZE)[:views]
    if len(chosen) < 2:
        raise CaptureError(f"{path}: ablations need two views or more")
    # Sparse depth: fitting Gaussians would take most of the time and is not what is compared.
    return capture, estimate_depth(capture, method="sparse"), tuple(sorted(chosen))


@lru_cache(maxsize=1)
def _sources(path: Path, views: int) -> list[SourceView]:
    """The views in the order of the capture."""
    capture, prior, chosen = _sub_capture(path, views)
    sources = []
    for view_idx in chosen:
        view, depth = capture.views[view_idx], prior.maps[view_idx]
        pixels = read_image(view.image_path).pixels
        if depth is None:
            sources.append(SourceView(view, pixels))
        else:
            sources.append(SourceView(view, pixels, depth.depth, depth.valid))
    return sources


def _positions(path: Path, views: int, order: Order) -> list[int]:
    """Positions in `_sources` in the order they are coded in."""
    capture, _, chosen = _sub_capture(path, views)
    alone = [capture.views[view_idx] for view_idx in chosen]
    return [chosen.index(view_idx) for view_idx in order_views(alone, order, group_size=len(chosen))]
