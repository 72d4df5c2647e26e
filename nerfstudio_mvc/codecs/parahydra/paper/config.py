"""Widths and ablation switches of the paper's ParaHydra; travels inside the weights file."""

from __future__ import annotations

from dataclasses import dataclass

from nerfstudio_mvc.codecs.parahydra.paper.attention import Attention
from nerfstudio_mvc.entropy.quality_points import QUALITIES


@dataclass(frozen=True)
class ParaHydraConfig:
    """ParaHydra as published, apart from what the range decoder depends on (see `entropy_model`).

    Attributes:
        width: channels of the transforms and of the hyper-latent (N).
        latent: channels of the latent (M), a multiple of `slices`, at most 256.
        slices: of channels, coded one after the other, each in two halves of a checkerboard.
        head_widths: hidden channels of the networks that turn contexts into means.
        scale_width, scale_hidden: channels of the integer network that chooses tables; not in the paper.
        rd_lambdas: weight of the MSE, on 0..1, at quality 1, 2, .. 8. The paper trains a model each for 1024 to 8192,
            which are qualities 4 to 7 here; one model serves all.
        most_sides: views that help to decode one, the nearest in coding order.
        attention: how a side map is aligned; the paper's "w/o HPA", "w/o VPA", "2D Attn" and "JCT" are "vertical",
            "horizontal", "plane" and "average".
        channel_parallax: False for "w/o PCCM": earlier slices side by side through convolutions, as in MLIC.
        global_parallax: False for "w/o PGCM": global context from the slice before alone, as in MLIC.
        joint_decoding: False for "Sep Enc-Dec": every view is decoded without the others.
        joint_encoding: True for "Joint Enc-Dec": the encoder sees the other views as well, and views depend on each
            other. Has parameters of its own.
    """

    width: int = 192
    latent: int = 192
    slices: int = 8
    head_widths: tuple[int, int, int] = (320, 256, 128)
    scale_width: int = 128
    scale_hidden: int = 256
    rd_lambdas: tuple[float, ...] = tuple(128.0 * 2.0**index for index in range(QUALITIES))
    most_sides: int = 5
    attention: Attention = "opam"
    channel_parallax: bool = True
    global_parallax: bool = True
    joint_decoding: bool = True
    joint_encoding: bool = False

    @property
    def slice_channels(self) -> int:
        """Channels of one slice."""
        return self.latent // self.slices
