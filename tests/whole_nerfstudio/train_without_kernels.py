"""ns-train where splatfacto's CUDA calls do nothing and gsplat's kernels are replaced by one colour for all pixels."""

from __future__ import annotations

import sys

import torch
from nerfstudio.models import splatfacto
from nerfstudio.pipelines.base_pipeline import VanillaPipeline


def drawn(means, quats, scales, opacities, colors, viewmats, Ks, width, height, render_mode="RGB", **_):
    """Every pixel the mean of all colours; a gradient for each parameter."""
    weights = opacities / opacities.sum()
    own = colors[:, 0] * 0.28 + 0.5 if colors.dim() == 3 else colors
    means2d = means[None, :, :2] * 1.0
    mean = (weights[:, None] * own).sum(0) + 0 * (means2d.sum() + scales.sum() + quats.sum() + colors.sum())
    image = mean.expand(1, height, width, len(mean))
    if render_mode == "RGB+ED":
        image = torch.cat([image, torch.ones(1, height, width, 1)], -1)
    info = {"means2d": means2d, "radii": torch.zeros(1, len(means), dtype=torch.int32), "gaussian_ids": None}
    return image, torch.ones(1, height, width, 1), {**info, "width": width, "height": height, "n_cameras": 1}


torch.Tensor.cuda = lambda self, *_, **__: self
splatfacto.rasterization = drawn

from nerfstudio.scripts.train import entrypoint  # noqa: E402

from nerfstudio_mvc.nerfstudio_plugin.splatfacto import MvcSplatfactoPipeline  # noqa: E402

MvcSplatfactoPipeline.__init__ = VanillaPipeline.__init__  # does not ask for CUDA
sys.argv[0] = "ns-train"
entrypoint()
