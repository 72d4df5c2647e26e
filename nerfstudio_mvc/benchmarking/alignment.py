"""How well a neighbour predicts a view once it is aligned, by different means: the papers' Table 3, on any capture.

Every view but the first is predicted from the nearest one coded before it, photographs as they are (not decoded). Our
depth is what the encoder would code for the capture as it is, whatever size the photographs are compared at.
Aligners that look at two photographs alone are in `image_aligners`; those through depth are here.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from PIL import Image

from nerfstudio_mvc.benchmarking.image_aligners import (
    Aligned,
    Aligner,
    by_blocks,
    by_dense_flow,
    by_homography,
    not_aligned,
)
from nerfstudio_mvc.capture.image_files import read_image
from nerfstudio_mvc.capture.view_order import coding_order, nearest_coded
from nerfstudio_mvc.capture.views import Capture, SourceView, View
from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.geometry.cameras import resize_view
from nerfstudio_mvc.geometry.flow import flow_to_reference
from nerfstudio_mvc.layers.pictures import to_picture, to_pixels
from nerfstudio_mvc.pipeline.progress import OnEvent, StepProgress, ignore_event
from nerfstudio_mvc.prediction.depth_coding import encode_depth
from nerfstudio_mvc.prediction.depth_for_prediction import depth_for_prediction
from nerfstudio_mvc.prediction.reference import Reference
from nerfstudio_mvc.prediction.reference_pictures import DecodedView, blended_reference, warped_references
from nerfstudio_mvc.quality.ms_ssim import SMALLEST_SIDE, ms_ssim
from nerfstudio_mvc.quality.psnr import psnr_db
from nerfstudio_mvc.splatting.depth_map import DepthMap
from nerfstudio_mvc.splatting.prior import Effort, estimate_depth
from nerfstudio_mvc.weights.store import open_codec

if TYPE_CHECKING:
    from nerfstudio_mvc.codecs.lmvic.codec import LmvicCodec

OURS, OURS_TWO = "ours", "ours, two references"
METHODS = {
    "none": "the reference as it is",
    "homography": "SIFT matches and RANSAC (OpenCV); sees the view it predicts",
    "blocks": "16 x 16 block matching to a quarter pixel; sees the view it predicts",
    "flow": "dense inverse search (OpenCV DIS, medium); sees the view it predicts",
    "sparse": "depth interpolated between sparse points, not coded",
    "gaussians": "median depth of 3D Gaussians, not coded",
    OURS: "depth of the prior (3D Gaussians unless told otherwise), chosen for prediction and coded",
    OURS_TWO: "the same with two references, blended as the codec does",
}
IMAGE_ALIGNERS: dict[str, Aligner] = {
    "none": not_aligned,
    "homography": by_homography,
    "blocks": by_blocks,
    "flow": by_dense_flow,
}
REFERENCES = {OURS: 1, OURS_TWO: 2}
"""Of the methods whose depth is coded."""


@dataclass(frozen=True)
class MethodResult:
    """A method on the views of a capture at one size; all but counts are means over the predicted views.

    Attributes:
        psnr_db, ms_ssim: of the whole prediction, what the reference does not show filled as the method can.
        masked_psnr_db, masked_ms_ssim: the same where the depth of `OURS` says that the reference shows the pixel;
            for MS-SSIM the rest is taken from the view itself. The mask is the same for all methods.
        coverage: share of the pixels that the method says the reference shows.
        side_bpp: bits a decoder would need beside the reference, per pixel of the photographs it was found on; None
            where that is not measured.
        elapsed_s: seconds per view, without the prior.
        prior_s: seconds of the prior for the whole capture; 0 without one.
    """

    method: str
    psnr_db: float
    masked_psnr_db: float
    ms_ssim: float | None
    masked_ms_ssim: float | None
    coverage: float
    side_bpp: float | None
    elapsed_s: float
    prior_s: float


@dataclass(frozen=True)
class AlignmentResult:
    """A capture at one size.

    Attributes:
        capture: name of its folder.
        long_side: of the photographs as they were measured, pixels.
        capture_views: in the capture.
        views: predicted views.
        median_shift: length of the flow to the reference, median over pixels and mean over views, as a share of the
            longer side: how wide the baselines are.
        masked: share of the pixels inside the mask.
        methods: in the order of `METHODS`.
    """

    capture: str
    long_side: int
    capture_views: int
    views: int
    median_shift: float
    masked: float
    methods: tuple[MethodResult, ...]


@dataclass(frozen=True, eq=False)
class _Prior:
    """Depth of all views, and the seconds it took."""

    maps: Sequence[DepthMap | None]
    elapsed_s: float


@dataclass(frozen=True, eq=False)
class _CodedView:
    """Depth that the encoder would code, the positions in the order of the views it is for, and what it takes."""

    depth: torch.Tensor
    references: tuple[int, ...]
    side_bpp: float
    elapsed_s: float


@dataclass(frozen=True)
class _Measured:
    psnr_db: float
    masked_psnr_db: float
    ms_ssim: float | None
    masked_ms_ssim: float | None
    coverage: float
    side_bpp: float | None
    elapsed_s: float


class AlignmentBenchmark:
    """Measures alignment on one capture; its priors are found once.

    Args:
        capture: with photographs on this machine.
        methods: names from `METHODS`; `OURS` is always measured, as it makes the mask.
        depth: the prior that is chosen from and coded; with "sparse" no Gaussians are fitted.
        effort: of fitting Gaussians.
        device: where they are fitted: "cpu", or "cuda" for gsplat where it works.
        view_limit: only so many views are predicted; None takes all.

    Raises:
        CaptureError: a photograph cannot be read, there are fewer than two views, or views without depth.
    """

    def __init__(
        self,
        capture: Capture,
        *,
        methods: Sequence[str] = tuple(METHODS),
        depth: Literal["auto", "sparse"] = "auto",
        effort: Effort = "default",
        device: str = "cpu",
        view_limit: int | None = None,
        on_event: OnEvent = ignore_event,
    ) -> None:
        self._capture = capture
        self._name = "capture" if capture.root is None else capture.root.resolve().name
        self._on_event = on_event
        self._codec: LmvicCodec = open_codec("lmvic")
        self._chains: dict[int, list[_CodedView]] = {}
        wanted = {*methods, OURS} - ({"gaussians"} if depth == "sparse" else set())
        self._methods = tuple(name for name in METHODS if name in wanted)
        if len(capture.views) < 2:
            raise CaptureError(f"{self._name}: one view alone cannot be predicted; give a capture of two or more")
        self._order = coding_order(capture.views)
        if view_limit is not None:
            self._order = self._order[: view_limit + 1]
        self._coded_prior = "sparse" if depth == "sparse" else "gaussians"
        self._fitting = {"effort": effort, "device": device}
        self._priors = {name: self._prior(name) for name in ("sparse", "gaussians") if self._needs(name)}
        if not all(self._priors[self._coded_prior].maps[position] is not None for position in self._order):
            raise CaptureError(f"{self._name}: views without depth; give a capture whose sparse points all views see")

    def measure(self, long_side: int) -> AlignmentResult:
        """Measure with photographs reduced to `long_side` pixels; smaller ones stay as they are."""
        sources = [self._source(position, long_side) for position in self._order]
        chains = {name: self._coded_chain(REFERENCES[name]) for name in self._methods if name in REFERENCES}
        measured: dict[str, list[_Measured]] = {name: [] for name in self._methods}
        shifts, masks = [], []
        for index in range(1, len(sources)):
            nearest = chains[OURS][index].references[0]
            aligned = {name: self._coded_aligned(chain, index, sources) for name, chain in chains.items()}
            mask = aligned[OURS][0].valid
            masks.append(float(mask.mean()))
            shifts.append(_median_shift(sources[index], sources[nearest]))
            for name in self._methods:
                found, elapsed_s = aligned.get(name) or self._align(name, sources[index], sources[nearest])
                measured[name].append(_measure(sources[index].pixels, found, mask, elapsed_s))
            self._on_event(StepProgress(f"{self._name} at {long_side} px", index, len(sources) - 1))
        size = max(source.view.width for source in sources), max(source.view.height for source in sources)
        return AlignmentResult(
            capture=self._name,
            long_side=max(size),
            capture_views=len(self._capture.views),
            views=len(sources) - 1,
            median_shift=float(np.mean(shifts)),
            masked=float(np.mean(masks)),
            methods=tuple(self._summary(name, measured[name]) for name in self._methods),
        )

    def _needs(self, prior: str) -> bool:
        return prior == self._coded_prior or prior in self._methods

    def _prior(self, name: str) -> _Prior:
        started = time.monotonic()
        prior = estimate_depth(
            self._capture,
            method="sparse" if name == "sparse" else "auto",
            **self._fitting,
            on_progress=lambda stage, done, total: self._on_event(
                StepProgress(f"{self._name}: {name} {stage}", done, total)
            ),
        )
        return _Prior(prior.maps, time.monotonic() - started)

    def _source(self, position: int, long_side: int | None = None) -> SourceView:
        view = self._capture.views[position]
        pixels = read_image(view.image_path).pixels
        scale = 1.0 if long_side is None else min(1.0, long_side / max(view.width, view.height))
        if scale < 1:
            size = max(1, round(view.width * scale)), max(1, round(view.height * scale))
            view = resize_view(view, width=size[0], height=size[1])
            pixels = np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
        depth_map = self._priors[self._coded_prior].maps[position]
        return SourceView(view, pixels, depth_map.depth, depth_map.valid)

    def _coded_chain(self, references: int) -> list[_CodedView]:
        """What the encoder would code for the photographs as they are, view after view; kept from size to size."""
        if references in self._chains:
            return self._chains[references]
        tables = self._codec.tables.latent
        chain: list[_CodedView] = []
        states: list[DecodedView] = []
        for position in self._order:
            source = self._source(position)
            started = time.monotonic()
            nearest = nearest_coded(source.view, [state.view for state in states], count=references)
            coded = depth_for_prediction(source, [states[index] for index in nearest], tables=tables)
            bits = 8.0 * len(encode_depth(coded, tables))
            elapsed_s = time.monotonic() - started
            depth = torch.from_numpy(coded.depth())
            states.append(_state(source, depth))
            bpp = bits / (source.view.width * source.view.height)
            chain.append(_CodedView(depth, tuple(nearest), bpp, elapsed_s))
            step = f"{self._name}: depth for {references} reference{'s' * (references > 1)}"
            self._on_event(StepProgress(step, len(chain), len(self._order)))
        self._chains[references] = chain
        return chain

    @torch.no_grad()
    def _coded_aligned(
        self, chain: Sequence[_CodedView], index: int, sources: Sequence[SourceView]
    ) -> tuple[Aligned, float]:
        started = time.monotonic()
        coded, view = chain[index], sources[index].view
        states = [_state(sources[reference], chain[reference].depth) for reference in coded.references]
        side_bits = coded.side_bpp * view.width * view.height
        warped = warped_references(view, coded.depth, states)
        aligned = _aligned(view, blended_reference(self._codec.images.inference.blend, warped), side_bits=side_bits)
        return aligned, coded.elapsed_s + time.monotonic() - started

    def _align(self, name: str, source: SourceView, reference: SourceView) -> tuple[Aligned, float]:
        started = time.monotonic()
        if name in IMAGE_ALIGNERS:
            aligned = IMAGE_ALIGNERS[name](source.pixels, reference.pixels)
        else:
            maps = self._priors[name].maps
            depth, reference_depth = maps[source.view.view_idx], maps[reference.view.view_idx]
            aligned = not_aligned(source.pixels, reference.pixels) if depth is None else None
            if aligned is None:
                state = _state(reference, None if reference_depth is None else torch.from_numpy(reference_depth.depth))
                found = blended_reference(
                    self._codec.images.inference.blend,
                    warped_references(source.view, torch.from_numpy(depth.depth), [state]),
                )
                aligned = _aligned(source.view, found, side_bits=None)
        return aligned, time.monotonic() - started

    def _summary(self, name: str, measured: Sequence[_Measured]) -> MethodResult:
        prior = self._priors.get(self._coded_prior if name in REFERENCES else name)

        def mean(attribute: str) -> float | None:
            values = [getattr(one, attribute) for one in measured]
            return None if None in values else float(np.mean(values))

        return MethodResult(
            method=name,
            psnr_db=mean("psnr_db"),
            masked_psnr_db=mean("masked_psnr_db"),
            ms_ssim=mean("ms_ssim"),
            masked_ms_ssim=mean("masked_ms_ssim"),
            coverage=mean("coverage"),
            side_bpp=mean("side_bpp"),
            elapsed_s=mean("elapsed_s"),
            prior_s=0.0 if prior is None else prior.elapsed_s,
        )


def _state(source: SourceView, depth: torch.Tensor | None) -> DecodedView:
    return DecodedView(source.view, to_picture(source.pixels, "cpu"), depth)


def _aligned(view: View, found: Reference | None, *, side_bits: float | None) -> Aligned:
    if found is None:
        size = view.height, view.width
        return Aligned(np.full((*size, 3), 128, np.uint8), np.zeros(size, bool), side_bits)
    return Aligned(to_pixels(found.picture.clamp(0, 1)), found.valid[0, 0].numpy() > 0.5, side_bits)


def _measure(original: np.ndarray, aligned: Aligned, mask: np.ndarray, elapsed_s: float) -> _Measured:
    inside = np.where(mask[..., None], aligned.pixels, original)
    large_enough = min(mask.shape) >= SMALLEST_SIDE
    return _Measured(
        psnr_db=psnr_db(original, aligned.pixels),
        masked_psnr_db=psnr_db(original[mask][None], aligned.pixels[mask][None]) if mask.any() else float("nan"),
        ms_ssim=ms_ssim(original, aligned.pixels) if large_enough else None,
        masked_ms_ssim=ms_ssim(original, inside) if large_enough else None,
        coverage=float(aligned.valid.mean()),
        side_bpp=None if aligned.side_bits is None else aligned.side_bits / mask.size,
        elapsed_s=elapsed_s,
    )


def _median_shift(source: SourceView, reference: SourceView) -> float:
    """As a share of the longer side; 0 where the reference shows nothing."""
    field = flow_to_reference(torch.from_numpy(source.depth), current=source.view, reference=reference.view)
    if not bool(field.valid.any()):
        return 0.0
    return float(field.flow.norm(dim=0)[field.valid].median()) / max(field.valid.shape)
