"""ParaHydra as published: every view is encoded alone, all views of a group are decoded together.

    x_k --encoder--> y_k --gain, Para-EM--> string k          each view by itself
    strings 1 .. V --Para-EM--> y_hat_1 .. y_hat_V --Para-JD--> x_hat_1 .. x_hat_V

The verbs are CompressAI's, with a list of views where one picture would be: `forward` gives x_hat and likelihoods,
`compress` and `decompress` work on strings, `update` makes the tables. Views may differ in size.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nerfstudio_mvc.codecs.parahydra.paper.config import ParaHydraConfig
from nerfstudio_mvc.codecs.parahydra.paper.entropy_model import ParallaxEntropy
from nerfstudio_mvc.codecs.parahydra.paper.transforms import Encoder, JointDecoder, nearest_sides
from nerfstudio_mvc.entropy.latent_coding import LatentTables, quality_level, read_latent, tables_of, write_latent
from nerfstudio_mvc.entropy.latent_walk import Quantised, Symbols
from nerfstudio_mvc.entropy.model_tables import ModelWithTables
from nerfstudio_mvc.layers.padding import crop, pad_to_blocks
from nerfstudio_mvc.layers.rounding import round_half_up

DEFAULT_QUALITY = 5.0
STRIDE = 16
"""Pixels per cell of the latent."""


class ParaHydraModel(ModelWithTables[LatentTables]):
    """All networks of ParaHydra; see the drawing in the module's docstring."""

    def __init__(self, config: ParaHydraConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ParaHydraConfig()
        of_encoder = config.attention if config.joint_encoding else None
        self.encoder = Encoder(config.width, config.latent, attention=of_encoder)
        self.decoder = JointDecoder(config.width, config.latent, attention=config.attention)
        self.entropy = ParallaxEntropy(config)

    # -- CompressAI's verbs ------------------------------------------------------------------------------------------

    def forward(
        self,
        views: Sequence[Tensor],
        *,
        quality: float | Tensor = DEFAULT_QUALITY,
        sides_of: Sequence[Sequence[int]] | None = None,
    ) -> dict[str, Any]:
        """Code and decode the views of a group without a range coder.

        In `eval` mode this computes exactly the symbols that `compress` writes.

        Args:
            views: pictures, 0..1, any size each. V of [B, 3, H, W]
            quality: 1 .. 8.
            sides_of: the views that help to decode each; the nearest ones when None.

        Returns:
            "x_hat": V of [B, 3, H, W], not clamped in training, else 8-bit numbers; "likelihoods": "y" and "z", V each;
            "symbols": V.
        """
        level = self._level(quality)
        quantised = self.quantised(views, level)
        shown = self._all_shown([one.y_hat for one in quantised], [_size(x) for x in views], level, sides_of)
        likelihoods = {
            "y": [torch.exp2(-one.bits_y) for one in quantised],
            "z": [torch.exp2(-one.bits_z) for one in quantised],
        }
        return {"x_hat": shown, "likelihoods": likelihoods, "symbols": [one.symbols for one in quantised]}

    @torch.no_grad()
    def compress(self, views: Sequence[Tensor], *, quality: float = DEFAULT_QUALITY) -> dict[str, Any]:
        """Pictures as in `forward`, each to a string of its own.

        Returns:
            "strings": for every view those of its batch; "shape": (H, W) of every view.

        Raises:
            ShapeError: the model is in training mode, or has no tables yet.
        """
        tables, level = self.ready_tables(), self._level(quality)
        strings = [
            [write_latent(item, self.entropy, tables, level=level) for item in _items(one.symbols)]
            for one in self.quantised(views, level)
        ]
        return {"strings": strings, "shape": [_size(x) for x in views]}

    @torch.no_grad()
    def decompress(
        self,
        strings: Sequence[Sequence[bytes]],
        shape: Sequence[tuple[int, int]],
        *,
        quality: float = DEFAULT_QUALITY,
        sides_of: Sequence[Sequence[int]] | None = None,
    ) -> dict[str, Any]:
        """Strings of `compress` -> "x_hat": V of [B, 3, H, W], 8-bit numbers in 0..1.

        Any of the views decode, without the others less well.

        Raises:
            ArchiveError: a string does not hold what a view of this size needs.
            ShapeError: the model is in training mode, or has no tables yet.
        """
        level = self._level(quality)
        latents = [
            torch.cat([self.latent_of(string, size, quality=quality) for string in of_view])
            for of_view, size in zip(strings, shape, strict=True)
        ]
        return {"x_hat": self._all_shown(latents, shape, level, sides_of)}

    def new_tables(self) -> LatentTables:
        return tables_of(self.entropy)

    # -- the halves --------------------------------------------------------------------------------------------------

    def quantised(self, views: Sequence[Tensor], level: Tensor) -> list[Quantised]:
        """Every view's symbols and y_hat, one after the other: what comes of a view does not hang on the others."""
        padded = [pad_to_blocks(x, block=STRIDE) for x in views]
        latents = self.encoder.every(padded)
        return [self.entropy.quantise(y * self.entropy.gain(level), level=level) for y in latents]

    @torch.no_grad()
    def latent_of(self, string: bytes, size: tuple[int, int], *, quality: float) -> Tensor:
        """y_hat, in quantiser steps, of the string of a view of (H, W). [1, M, h, w]

        Raises:
            ArchiveError: the string does not hold it.
        """
        cells = (-(-size[0] // STRIDE), -(-size[1] // STRIDE))
        symbols = read_latent(string, self.entropy, self.ready_tables(), level=self._level(quality), size=cells)
        return self.entropy.reconstruct(symbols)

    def shown(
        self,
        latents: Mapping[int, Tensor],
        sizes: Mapping[int, tuple[int, int]],
        level: Tensor,
        *,
        sides_of: Sequence[Sequence[int]],
        wanted: Collection[int] | None = None,
    ) -> dict[int, Tensor]:
        """The pictures of the wanted views of (H, W) each, all when None; outside training rounded to 8 bits.

        `latents` are y_hat of those views and of all that decoding them takes (`transforms.needed_views`).
        """
        wanted = latents.keys() if wanted is None else wanted
        units = {view: y_hat * self.entropy.inverse_gain(level) for view, y_hat in latents.items()}
        pictures = {view: crop(x, sizes[view]) for view, x in self.decoder(units, sides_of, wanted).items()}
        if self.training:
            return pictures
        return {view: round_half_up(x.clamp(0, 1) * 255) / 255 for view, x in pictures.items()}

    def sides(self, views: int) -> list[list[int]]:
        """Which views help each of a group of so many."""
        return nearest_sides(views, self.config.most_sides if self.config.joint_decoding else 0)

    def _all_shown(
        self,
        latents: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        level: Tensor,
        sides_of: Sequence[Sequence[int]] | None,
    ) -> list[Tensor]:
        sides_of = self.sides(len(latents)) if sides_of is None else sides_of
        shown = self.shown(dict(enumerate(latents)), dict(enumerate(sizes)), level, sides_of=sides_of)
        return [shown[view] for view in range(len(latents))]

    def _level(self, quality: float | Tensor) -> Tensor:
        device = self.entropy.log_gain.device
        return quality.to(device) if isinstance(quality, Tensor) else quality_level(quality, device)


def _size(x: Tensor) -> tuple[int, int]:
    return x.shape[-2], x.shape[-1]


def _items(symbols: Symbols) -> list[Symbols]:
    parts = zip(*(part.split(1) for part in (symbols.z, symbols.y, symbols.rows)), strict=True)
    return [Symbols(*part) for part in parts]
