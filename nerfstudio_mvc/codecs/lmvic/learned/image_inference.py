"""The image model as it codes: `image_model`'s transforms on maps stored pixel by pixel (`layers.pixel_major`).

Same weights, same sums but for rounding; latents have their channels grouped as `four_step_walk` wants them. Encoder
and decoder both run this, so that they agree; training runs `image_model` itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from nerfstudio_mvc.codecs.lmvic.learned.four_step_walk import MeanWeights, ScaleWeights, grouped_channels
from nerfstudio_mvc.codecs.lmvic.learned.image_model import ImageModel
from nerfstudio_mvc.codecs.lmvic.learned.mode_choice import ModeMaps
from nerfstudio_mvc.layers.block_transform import BLOCK
from nerfstudio_mvc.layers.pixel_major import Dense, padded, pixel_major, pixels_of, split_inputs
from nerfstudio_mvc.prediction.blend import BlendInference
from nerfstudio_mvc.prediction.reference import Reference

REFERENCE_STRIDE = 4


@dataclass(frozen=True)
class ReadyReference:
    """What a reference gives the view, whatever the view's own symbols are.

    centered: the picture less 1/2 [H, W, 3]; features [H / 4, W / 4, C]; latent in quantiser steps [h, w, M]; valid,
    share of a latent position that the reference shows [h, w, 1].
    """

    centered: Tensor
    features: Tensor
    latent: Tensor
    valid: Tensor

    @property
    def for_means(self) -> tuple[Tensor, Tensor]:
        return self.latent, self.valid


class ImageInference:
    """Transforms of one `ImageModel`, its weights laid out for coding; holds no state between calls."""

    def __init__(self, model: ImageModel) -> None:
        self.model = model
        self.order = grouped_channels(model.config.channels).to(model.log_gain.device)
        transform = model.transform
        self.analysis = Dense(transform.analysis[self.order].permute(2, 3, 1, 0).flatten(0, 2), gather=BLOCK)
        self.synthesis = Dense(transform.synthesis[self.order].permute(0, 2, 3, 1).flatten(1), scatter=BLOCK)
        self.g_a_in, self.g_a = pixel_major(model.g_a_in), pixel_major(model.g_a[:-1])
        last = model.g_a[-1]
        self.g_a_last = Dense(_matrix(last)[:, self.order], last.bias[self.order])
        self.h_a_in = Dense(_matrix(model.h_a[0])[self.order], model.h_a[0].bias)
        self.h_a_reference = Dense(_matrix(model.h_a_reference)[self.order])
        self.h_a = pixel_major(*model.h_a[1:])
        first = model.g_s_latent[0]
        self.g_s_latent_in = Dense(_matrix(first)[self.order], first.bias)
        self.g_s_latent = pixel_major(*model.g_s_latent[1:])
        self.g_s_picture = Dense.of(model.g_s_picture[1], gather=model.g_s_picture[0].downscale_factor)
        self.g_s, self.g_s_out, self.finish = (pixel_major(part) for part in (model.g_s, model.g_s_out, model.finish))
        self.reference_in, self.reference_valid = split_inputs(model.reference_in[1], (3, 1), REFERENCE_STRIDE)
        self.reference_block = pixel_major(model.reference_in[2])
        self.reference_to_g_a = Dense.of(model.reference_to_g_a)
        self.reference_to_g_s = Dense.of(model.reference_to_g_s)
        self.blend = BlendInference(model.blend)
        self.means, self.scales = MeanWeights(model.means, model.split_rotation), ScaleWeights(model.scales)

    def prepare(self, reference: Reference, level: Tensor) -> ReadyReference:
        """Send a warped picture through the same analysis as the view itself."""
        centered, valid = padded(pixels_of(reference.picture), BLOCK) - 0.5, padded(pixels_of(reference.valid), BLOCK)
        features = self.reference_in(centered)
        self.reference_valid.add_to(features, valid)
        latent = self._latent(centered, self.g_a_in(centered), level)
        share = F.avg_pool2d(valid.permute(2, 0, 1)[None], BLOCK)[0].permute(1, 2, 0).contiguous()
        return ReadyReference(centered, self.reference_block(features), latent, share)

    def analyse(self, x: Tensor, reference: ReadyReference | None, level: Tensor) -> Tensor:
        """Picture [1, 3, H, W], 0..1 -> y in quantiser steps. [h, w, M]"""
        centered = padded(pixels_of(x), BLOCK) - 0.5
        features = self.g_a_in(centered)
        if reference is not None:
            self.reference_to_g_a.add_to(features, reference.features)
        return self._latent(centered, features, level)

    def hyper_analyse(self, y: Tensor, reference: ReadyReference | None) -> Tensor:
        """y -> z, unquantised. [ceil(h / 4), ceil(w / 4), N]"""
        features = self.h_a_in(padded(y, 4))
        if reference is not None:
            self.h_a_reference.add_to(features, padded(reference.latent * reference.valid, 4))
        return self.h_a(features)

    def by_quarters(self, y: Tensor) -> Tensor:
        """Coefficients of whole blocks -> of their quarters. [.., M] both"""
        return y @ self.means.rotation.t()

    def by_wholes(self, y: Tensor) -> Tensor:
        """The way back."""
        return y @ self.means.rotation

    def synthesise(self, y_hat: Tensor, modes: ModeMaps, reference: ReadyReference | None, level: Tensor) -> Tensor:
        """y_hat in quantiser steps -> picture, unclamped, cut off nowhere. [16 h, 16 w, 3]"""
        y_hat = y_hat * self.model.inverse_gain(level).flatten()[self.order]
        picture = self.synthesis(y_hat)
        features = self.g_s_latent(self.g_s_latent_in(y_hat))
        self.g_s_picture.add_to(features, picture)
        if reference is not None:
            self.reference_to_g_s.add_to(features, reference.features)
        features += self._at_level(self.model.quality_to_g_s, level)
        picture.addcmul_(self.g_s_out(self.g_s(features)), self._at_level(self.model.strength_g_s, level))
        picture.addcmul_(self.finish(picture), self._at_level(self.model.strength_finish, level))
        if reference is not None:
            _blocks(picture)[modes.kept] = _blocks(reference.centered)[modes.kept]
        return picture.add_(0.5)

    def _latent(self, centered: Tensor, features: Tensor, level: Tensor) -> Tensor:
        features += self._at_level(self.model.quality_to_g_a, level)
        y = self.analysis(centered)
        y.addcmul_(self.g_a_last(self.g_a(features)), self._at_level(self.model.strength_g_a, level)[self.order])
        return y.mul_(self.model.gain(level).flatten()[self.order])

    def _at_level(self, table: Tensor, level: Tensor) -> Tensor:
        """`ImageModel.at_quality` for maps stored pixel by pixel. [C]"""
        return self.model.at_quality(table, level).flatten()


def _blocks(pixels: Tensor) -> Tensor:
    """Pixels by the latent position they belong to, a view. [16 h, 16 w, C] -> [h, w, 16, 16, C]"""
    height, width, channels = pixels.shape
    return pixels.view(height // BLOCK, BLOCK, width // BLOCK, BLOCK, channels).transpose(1, 2)


def _matrix(layer: nn.Conv2d) -> Tensor:
    return layer.weight.detach()[:, :, 0, 0].t()
