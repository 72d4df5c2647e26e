"""3D-GP-LMVIC as published, one view at a time: depth first, then the picture aligned with the view before.

    depth codec   prediction splatted from the reference's depth --> DCI in encoder and decoder, means
    image codec   decoded depths --> flow, mask --> reference features --> ICT in encoder and decoder, means

Both sides use decoded depth. A view without a reference takes zeros. Which view refers to which, and the strings of a
whole group, are `codec`'s business. The methods follow CompressAI's: `forward` gives x_hat and likelihoods, `compress`
and `decompress` work on strings, `update` makes the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.codecs.lmvic.paper.alignment import Alignment, align
from nerfstudio_mvc.codecs.lmvic.paper.config import PaperConfig
from nerfstudio_mvc.codecs.lmvic.paper.context import Gates, MaskGates, Scales
from nerfstudio_mvc.codecs.lmvic.paper.depth_prediction import (
    DepthPredictionFeatures,
    PredictionFeatures,
    predict_depth,
)
from nerfstudio_mvc.codecs.lmvic.paper.depth_scale import normalise, restore
from nerfstudio_mvc.codecs.lmvic.paper.depth_transforms import DepthDecoder, DepthEncoder
from nerfstudio_mvc.codecs.lmvic.paper.image_transforms import ImageDecoder, ImageEncoder
from nerfstudio_mvc.codecs.lmvic.paper.latent_entropy import Conditions, LatentEntropy
from nerfstudio_mvc.codecs.lmvic.paper.reference_features import ReferenceFeatures
from nerfstudio_mvc.codecs.lmvic.paper.tables import PaperTables
from nerfstudio_mvc.entropy.latent_coding import quality_level, read_latent, tables_of, write_latent
from nerfstudio_mvc.entropy.latent_walk import Quantised, Symbols
from nerfstudio_mvc.entropy.model_tables import ModelWithTables
from nerfstudio_mvc.errors import ShapeError
from nerfstudio_mvc.layers.padding import STRIDE, crop, pad_to_blocks
from nerfstudio_mvc.layers.rounding import round_half_up

DEFAULT_QUALITY = 5.0


@dataclass(frozen=True)
class ViewGeometry:
    """What the geometry of a batch of views needs: their cameras, and the unit of depth of their group.

    All views of a batch have the same size.
    """

    views: Sequence[View]
    depth_unit: float


@dataclass(frozen=True)
class ViewState:
    """What a decoded view leaves for the view that refers to it.

    Attributes:
        picture: 0..1; as 8-bit numbers outside training. [B, 3, H, W]
        maps: the image decoder's, over the padded picture.
        depth: decoded z-depth, world units; None where none was coded. [B, 1, H, W]
    """

    geometry: ViewGeometry | None
    picture: Tensor
    maps: Scales
    depth: Tensor | None


@dataclass(frozen=True)
class DepthConditions:
    """What the depth codec knows before it reads anything of the view."""

    prediction: PredictionFeatures
    gates: Gates
    transform_gates: Scales | None

    @property
    def for_means(self) -> Conditions:
        return Conditions(self.gates, self.prediction.parameters)


@dataclass(frozen=True)
class ImageConditions:
    """What the image codec knows before it reads anything of the picture."""

    reference: Scales
    parameters: Tensor
    gates: Gates
    transform_gates: Scales | None

    @property
    def for_means(self) -> Conditions:
        return Conditions(self.gates, self.parameters)


class PaperModel(ModelWithTables[PaperTables]):
    """All networks of the paper preset; see the drawing in the module's docstring."""

    def __init__(self, config: PaperConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or PaperConfig()
        width, latent = config.width, config.latent
        self.image_encoder = ImageEncoder(width, latent)
        self.image_decoder = ImageDecoder(width, latent)
        self.reference_features = ReferenceFeatures(width, latent)
        self.image_gates = MaskGates(width, latent, kernel=3)
        self.image_entropy = LatentEntropy(config)
        self.depth_encoder = DepthEncoder(width, latent)
        self.depth_decoder = DepthDecoder(width, latent)
        self.depth_features = DepthPredictionFeatures(width, latent)
        self.depth_gates = MaskGates(width, latent, kernel=5)
        self.depth_entropy = LatentEntropy(config)

    # -- CompressAI's verbs ------------------------------------------------------------------------------------------

    def forward(
        self,
        x: Tensor,
        depth: Tensor | None = None,
        *,
        geometry: ViewGeometry | None = None,
        reference: ViewState | None = None,
        quality: float | Tensor = DEFAULT_QUALITY,
    ) -> dict[str, Any]:
        """Code and decode one view without a range coder.

        In `eval` mode this computes exactly the symbols that `compress` writes.

        Args:
            x: picture, 0..1, any size. [B, 3, H, W]
            depth: z-depth, world units, positive; without it the view is coded alone. [B, 1, H, W]
            geometry: needed with `depth`.
            reference: the view before, as an earlier call returned it under "state"; None for the first.
            quality: 1 .. 8.

        Returns:
            "x_hat" [B, 3, H, W], not clamped in training; "depth_hat", normalised, or None; "likelihoods": "y" and
            "z", with depth also "depth_y" and "depth_z"; "symbols": those of "image" and "depth"; "state": what the
            next view needs.

        Raises:
            ShapeError: what was given does not fit together.
        """
        level = self._level(quality)
        size = _check(x, depth, geometry)
        likelihoods, symbols, depth_hat, normalised = {}, {}, None, None
        if depth is not None:
            conditions = self.depth_conditions(geometry, reference, size)
            quantised = self.depth_quantised(depth, conditions, geometry.depth_unit, level)
            likelihoods |= _likelihoods(quantised, "depth_")
            symbols["depth"] = quantised.symbols
            depth_hat = self.depth_shown(quantised.y_hat, conditions, geometry.depth_unit, level, size)
            normalised = depth_hat / geometry.depth_unit
        image_conditions = self.image_conditions(geometry, depth_hat, reference, x)
        quantised = self.image_quantised(x, image_conditions, level)
        likelihoods |= _likelihoods(quantised, "")
        symbols["image"] = quantised.symbols
        x_hat, maps = self.image_shown(quantised.y_hat, image_conditions, level, size)
        state = self.state(geometry, x_hat, maps, depth_hat)
        shown = x_hat if self.training else state.picture
        return {
            "x_hat": shown,
            "depth_hat": normalised,
            "likelihoods": likelihoods,
            "symbols": symbols,
            "state": state,
        }

    @torch.no_grad()
    def compress(
        self,
        x: Tensor,
        depth: Tensor | None = None,
        *,
        geometry: ViewGeometry | None = None,
        reference: ViewState | None = None,
        quality: float = DEFAULT_QUALITY,
    ) -> dict[str, Any]:
        """Like `forward`, and to bytes.

        Returns:
            "strings": [image strings, depth strings], one of each per item of the batch (no depth strings without
            depth); "shape": (H, W); "x_hat" and "state": what `decompress` will return.

        Raises:
            ShapeError: as in `forward`, or the model is in training mode.
        """
        tables = self.ready_tables()
        level = self._level(quality)
        result = self(x, depth, geometry=geometry, reference=reference, quality=quality)
        strings = [
            [
                write_latent(item, entropy, table, level=level)
                for item in (_items(result["symbols"][part]) if part in result["symbols"] else ())
            ]
            for part, entropy, table in (
                ("image", self.image_entropy, tables.image),
                ("depth", self.depth_entropy, tables.depth),
            )
        ]
        shape = (x.shape[-2], x.shape[-1])
        return {"strings": strings, "shape": shape, "x_hat": result["x_hat"], "state": result["state"]}

    @torch.no_grad()
    def decompress(
        self,
        strings: Sequence[Sequence[bytes]],
        shape: tuple[int, int],
        *,
        geometry: ViewGeometry | None = None,
        reference: ViewState | None = None,
        quality: float = DEFAULT_QUALITY,
    ) -> dict[str, Any]:
        """Strings of `compress` -> "x_hat" [B, 3, H, W], 8-bit numbers in 0..1, and "state".

        Raises:
            ArchiveError: a string does not hold what a view of this size needs.
            ShapeError: depth strings without geometry, or the model is in training mode.
        """
        tables = self.ready_tables()
        level = self._level(quality)
        image_strings, depth_strings = strings
        latent_size = (-(-shape[0] // STRIDE), -(-shape[1] // STRIDE))
        depth_hat = None
        if depth_strings:
            if geometry is None:
                raise ShapeError("depth strings need the geometry of their views: pass geometry=")
            symbols = [
                read_latent(item, self.depth_entropy, tables.depth, level=level, size=latent_size)
                for item in depth_strings
            ]
            conditions = self.depth_conditions(geometry, reference, shape)
            y_hat = self.depth_entropy.reconstruct(_batch(symbols), conditions.for_means)
            depth_hat = self.depth_shown(y_hat, conditions, geometry.depth_unit, level, shape)
        symbols = [
            read_latent(item, self.image_entropy, tables.image, level=level, size=latent_size) for item in image_strings
        ]
        like = torch.zeros(len(image_strings), 3, *shape, device=level.device)
        image_conditions = self.image_conditions(geometry, depth_hat, reference, like)
        y_hat = self.image_entropy.reconstruct(_batch(symbols), image_conditions.for_means)
        x_hat, maps = self.image_shown(y_hat, image_conditions, level, shape)
        state = self.state(geometry, x_hat, maps, depth_hat)
        return {"x_hat": state.picture, "state": state}

    def new_tables(self) -> PaperTables:
        return PaperTables(tables_of(self.image_entropy), tables_of(self.depth_entropy))

    # -- the depth codec ---------------------------------------------------------------------------------------------

    def depth_conditions(
        self, geometry: ViewGeometry, reference: ViewState | None, size: tuple[int, int]
    ) -> DepthConditions:
        """What is known of the depth of the views from the reference's decoded depth."""
        device = self.image_entropy.log_gain.device
        predicted = torch.zeros(len(geometry.views), 1, *size, device=device)
        mask = predicted
        if reference is not None and reference.depth is not None and not self.config.separate:
            predicted, mask = predict_depth(
                reference.depth, reference=reference.geometry.views, current=geometry.views, size=size
            )
            predicted = (predicted / geometry.depth_unit).clamp(max=1.0)
            if not self.config.depth_prediction:
                predicted = torch.zeros_like(predicted)
        gates = self.depth_gates(pad_to_blocks(mask, mode="constant"))
        prediction = self.depth_features(pad_to_blocks(predicted, mode="constant"))
        return DepthConditions(prediction, gates, gates.scales if self.config.mask else None)

    def depth_quantised(self, depth: Tensor, conditions: DepthConditions, unit: float, level: Tensor) -> Quantised:
        """z-depth in world units -> symbols."""
        padded = pad_to_blocks(normalise(depth, unit))
        y = self.depth_encoder(padded, conditions.prediction.encoder, conditions.transform_gates)
        return self.depth_entropy.quantise(y * self.depth_entropy.gain(level), conditions.for_means, level=level)

    def depth_shown(
        self, y_hat: Tensor, conditions: DepthConditions, unit: float, level: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """The decoded z-depth, world units. [B, 1, H, W]"""
        y_hat = y_hat * self.depth_entropy.inverse_gain(level)
        shown = self.depth_decoder(y_hat, conditions.prediction.decoder, conditions.transform_gates)
        return restore(crop(shown, size), unit, rounded=not self.training)

    # -- the image codec ---------------------------------------------------------------------------------------------

    def image_conditions(
        self, geometry: ViewGeometry | None, depth: Tensor | None, reference: ViewState | None, like: Tensor
    ) -> ImageConditions:
        """What is known of pictures of the size of `like` [B, 3, H, W] from the reference and both decoded depths."""
        height, width = like.shape[-2:]
        size = (height + -height % STRIDE, width + -width % STRIDE)
        if reference is None or depth is None or self.config.separate:
            picture, memory, alignment = torch.zeros(like.shape[0], 3, *size, device=like.device), None, None
            mask = picture[:, :1]
        else:
            picture, memory = pad_to_blocks(reference.picture), reference.maps
            alignment = self._align(geometry, depth, reference)
            mask = alignment.mask
        gates = self.image_gates(mask)
        if not self.config.alignment:
            alignment = None
        features, parameters = self.reference_features(picture, memory, alignment, size=size)
        return ImageConditions(features, parameters, gates, gates.scales if self.config.mask else None)

    def image_quantised(self, x: Tensor, conditions: ImageConditions, level: Tensor) -> Quantised:
        """Picture -> symbols."""
        y = self.image_encoder(pad_to_blocks(x), conditions.reference, conditions.transform_gates)
        return self.image_entropy.quantise(y * self.image_entropy.gain(level), conditions.for_means, level=level)

    def image_shown(
        self, y_hat: Tensor, conditions: ImageConditions, level: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Scales]:
        """The decoded picture [B, 3, H, W], not clamped, and the decoder's maps."""
        y_hat = y_hat * self.image_entropy.inverse_gain(level)
        picture, maps = self.image_decoder(y_hat, conditions.reference, conditions.transform_gates)
        return crop(picture, size), maps

    def state(self, geometry: ViewGeometry | None, x_hat: Tensor, maps: Scales, depth: Tensor | None) -> ViewState:
        """What the next view refers to: outside training the picture is rounded to 8 bits, as it will be shown."""
        picture = x_hat.clamp(0, 1)
        if not self.training:
            picture = round_half_up(picture * 255) / 255
        return ViewState(geometry, picture, maps, depth)

    def _align(self, geometry: ViewGeometry, depth: Tensor, reference: ViewState) -> Alignment:
        return align(depth, current=geometry.views, reference=reference.geometry.views, reference_depth=reference.depth)

    def _level(self, quality: float | Tensor) -> Tensor:
        device = self.image_entropy.log_gain.device
        return quality.to(device) if isinstance(quality, Tensor) else quality_level(quality, device)


def _check(x: Tensor, depth: Tensor | None, geometry: ViewGeometry | None) -> tuple[int, int]:
    """(H, W) of what was given to be coded."""
    size = (x.shape[-2], x.shape[-1])
    if depth is not None:
        if geometry is None or len(geometry.views) != x.shape[0] or depth.shape != (x.shape[0], 1, *size):
            raise ShapeError(
                f"depth {tuple(depth.shape)} for pictures {tuple(x.shape)}: expected [B, 1, H, W], and geometry= "
                "with one view each"
            )
        for view in geometry.views:
            if (view.height, view.width) != size:
                raise ShapeError(f"view {view.name!r} is {view.width}x{view.height}, its picture {size[1]}x{size[0]}")
    return size


def _likelihoods(quantised: Quantised, prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}y": torch.exp2(-quantised.bits_y), f"{prefix}z": torch.exp2(-quantised.bits_z)}


def _items(symbols: Symbols) -> list[Symbols]:
    parts = zip(*(part.split(1) for part in (symbols.z, symbols.y, symbols.rows)), strict=True)
    return [Symbols(*part) for part in parts]


def _batch(symbols: Sequence[Symbols]) -> Symbols:
    return Symbols(*(torch.cat([getattr(item, name) for item in symbols]) for name in ("z", "y", "rows")))
