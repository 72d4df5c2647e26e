"""Widths, ranges and ablation switches of the paper's model; travels inside the weights file."""

from __future__ import annotations

from dataclasses import dataclass

from nerfstudio_mvc.entropy.quality_points import QUALITIES


@dataclass(frozen=True)
class PaperConfig:
    """3D-GP-LMVIC as published, apart from what the range decoder depends on (see `latent_entropy`).

    The switches change what flows, not which parameters there are, so one weights file can be tried with all of them.

    Attributes:
        width: channels of the transforms, the hyper-latent and the references (the paper's N).
        latent: channels of the latent (M), a multiple of 4, at most 256.
        mean_widths: hidden channels of the network that turns all parameters into means.
        scale_width, scale_hidden: channels of the integer network that chooses tables; not in the paper.
        rd_lambdas: weight of the pictures' MSE, on 0..1, at quality 1, 2, .. 8. The paper trains a model each for
            five values and names two, 256 and 4096; here one model serves all.
        depth_rd_lambdas: weight of the MSE of normalised depth; through the two pairs that are known, (256, 64) and
            (4096, 128).
        separate: the paper's ablation "Separate": every view without a reference, and so without depth.
        alignment: False for its "Concatenation": features of the reference are used where they are.
        mask: False for its "W/O Mask": no masks in context transfer and depth context integration.
        depth_prediction: False for its "W/O Dep.Pred": the predicted depth map is all zero.
    """

    width: int = 128
    latent: int = 192
    mean_widths: tuple[int, int] = (896, 640)
    scale_width: int = 128
    scale_hidden: int = 256
    rd_lambdas: tuple[float, ...] = tuple(128.0 * 2.0**index for index in range(QUALITIES))
    depth_rd_lambdas: tuple[float, ...] = tuple(64.0 * 2.0 ** ((index - 1) / 4) for index in range(QUALITIES))
    separate: bool = False
    alignment: bool = True
    mask: bool = True
    depth_prediction: bool = True
