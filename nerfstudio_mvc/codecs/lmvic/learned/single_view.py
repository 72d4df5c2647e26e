"""The small model with the verbs of CompressAI's models, for single views: forward, update, compress, decompress.

The codec of a whole group, with references and depth, is `codec`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nerfstudio_mvc.codecs.lmvic.learned.image_coding import ImageCoder, ImageTables, Symbols
from nerfstudio_mvc.codecs.lmvic.learned.image_model import ImageModel
from nerfstudio_mvc.entropy.model_tables import ModelWithTables
from nerfstudio_mvc.entropy.plain_tables import plain_hyper_tables, plain_latent_tables
from nerfstudio_mvc.entropy.rate import rounded_bits
from nerfstudio_mvc.entropy.scale_network import scale_of_table
from nerfstudio_mvc.errors import ShapeError
from nerfstudio_mvc.layers.block_transform import BLOCK
from nerfstudio_mvc.prediction.reference import Reference

DEFAULT_QUALITY = 5.0


class SingleViewCodec(ModelWithTables[ImageTables]):
    """An `ImageModel` and its tables.

    Args:
        model: the networks; new ones when None.
        tables: as a weights file holds them; `update` makes plain ones.
    """

    def __init__(self, model: ImageModel | None = None, tables: ImageTables | None = None) -> None:
        super().__init__()
        self.model = model or ImageModel()
        self.tables = tables

    def forward(
        self, x: Tensor, *, reference: Reference | None = None, quality: float = DEFAULT_QUALITY
    ) -> dict[str, Any]:
        """Code and decode without a range coder: in training with gradients, otherwise the symbols of real coding.

        Args:
            x: pictures, 0..1; sides multiples of 16 in training, any in `eval` mode. [B, 3, H, W]
            reference: a picture that predicts the view, already warped.
            quality: 1 .. 8.

        Returns:
            "x_hat" [B, 3, H, W]; "likelihoods": "y", "z" and "modes", one for every symbol.

        Raises:
            ShapeError: as in `compress`.
        """
        if self.training:
            return self._train_forward(x, reference, torch.tensor(float(quality), device=x.device))
        coder, pictures, likelihoods = self._coder(), [], []
        for item, own_reference in _items(x, reference):
            payload, x_hat = coder.encode(item, own_reference, quality=quality)
            symbols = coder.read_symbols(payload, (x.shape[-2], x.shape[-1]), quality=quality)
            pictures.append(x_hat)
            likelihoods.append(self._likelihoods(symbols, quality))
        y, z, modes = (torch.cat(parts) for parts in zip(*likelihoods, strict=True))
        return {"x_hat": torch.cat(pictures), "likelihoods": {"y": y, "z": z, "modes": modes}}

    def compress(
        self, x: Tensor, *, reference: Reference | None = None, quality: float = DEFAULT_QUALITY
    ) -> dict[str, Any]:
        """Pictures [B, 3, H, W], 0..1, any size -> "strings": [one per picture], "shape": (H, W).

        Raises:
            ShapeError: the model is in training mode, or has no tables yet.
        """
        coder = self._coder()
        strings = [coder.encode(item, own, quality=quality)[0] for item, own in _items(x, reference)]
        return {"strings": [strings], "shape": (x.shape[-2], x.shape[-1])}

    def decompress(
        self,
        strings: Sequence[Sequence[bytes]],
        shape: tuple[int, int],
        *,
        reference: Reference | None = None,
        quality: float = DEFAULT_QUALITY,
    ) -> dict[str, Any]:
        """Strings of `compress` -> "x_hat" [B, 3, H, W], 0..1.

        Raises:
            ArchiveError: a string does not hold a picture of this size.
            ShapeError: as in `compress`.
        """
        coder = self._coder()
        references = [None] * len(strings[0]) if reference is None else _split(reference)
        pictures = [
            coder.decode(string, tuple(shape), own, quality=quality)
            for string, own in zip(strings[0], references, strict=True)
        ]
        return {"x_hat": torch.cat(pictures)}

    def new_tables(self) -> ImageTables:
        hyper = plain_hyper_tables(self.model.z_center, self.model.z_log_scale)
        return ImageTables(plain_latent_tables(), hyper)

    def _coder(self) -> ImageCoder:
        return ImageCoder(self.model, self.ready_tables())

    def _train_forward(self, x: Tensor, reference: Reference | None, quality: Tensor) -> dict[str, Any]:
        model = self.model
        if x.shape[-2] % BLOCK or x.shape[-1] % BLOCK:
            raise ShapeError(f"pictures of {x.shape[-1]}x{x.shape[-2]}: training needs multiples of {BLOCK}")
        coded, scale = model.code(x, reference, quality=quality), self._hyper_logistic(quality)[1]
        bits_y = rounded_bits(coded.y.residual, coded.y.symbols, scale_of_table(coded.y.rows))
        bits_z = rounded_bits(coded.z_residual, coded.z_symbols, scale)
        modes = coded.modes.likelihoods().to(bits_y)
        likelihoods = {"y": torch.exp2(-bits_y), "z": torch.exp2(-bits_z), "modes": modes}
        return {"x_hat": coded.x_hat, "likelihoods": likelihoods}

    @torch.no_grad()
    def _likelihoods(self, symbols: Symbols, quality: float) -> tuple[Tensor, Tensor, Tensor]:
        y, z, rows = symbols.y, symbols.z, symbols.rows
        center, scale = self._hyper_logistic(torch.tensor(float(quality), device=y.device))
        # Row 0 is not coded and costs nothing.
        bits_y = rounded_bits(y, y, scale_of_table(rows), noise=False) * (rows > 0)
        bits_z = rounded_bits(z - center, z - center, scale, noise=False)
        modes = symbols.modes.likelihoods().to(y)
        return torch.exp2(-bits_y), torch.exp2(-bits_z), modes

    def _hyper_logistic(self, quality: Tensor) -> tuple[Tensor, Tensor]:
        model = self.model
        return model.at_quality(model.z_center, quality), torch.exp(model.at_quality(model.z_log_scale, quality))


def _items(x: Tensor, reference: Reference | None) -> list[tuple[Tensor, Reference | None]]:
    references = [None] * x.shape[0] if reference is None else _split(reference)
    return list(zip(x.split(1), references, strict=True))


def _split(reference: Reference) -> list[Reference]:
    pairs = zip(reference.picture.split(1), reference.valid.split(1), strict=True)
    return [Reference(picture, valid) for picture, valid in pairs]
