"""What a slice of the latent learns from slices and halves already decoded: the contexts of Para-EM, section 3.5.

    earlier slices --PCCM (PMIFM over slices)--> channel context
    anchors of this slice --5x5 attention--> local context
    anchors of this slice, channel context --PGCM (linear attention)--> global context

Anchors are the positions (even row, odd column) and (odd row, even column), as in MLIC. Everything here is float and
serves the means; tables come from integers (`entropy_model`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nerfstudio_mvc.codecs.parahydra.paper.attention import Attention
from nerfstudio_mvc.codecs.parahydra.paper.fusion import ParallaxFusion
from nerfstudio_mvc.layers.strided import conv

WINDOW = 5
CONTEXT_SHARE = 2
"""Channels of a local or global context for each channel of a slice."""
_HEADS = 2
_NEVER = -1e4


class ParallaxChannelContext(nn.Module):
    """PCCM, Eq. 18: the slice decoded last, refined by all slices before it, which PMIFM takes for views.

    Of the second slice the paper does not say what helps the first: nothing does, it is only refined.
    Slices [B, d, h, w] -> [B, d, h, w]
    """

    def __init__(self, channels: int, *, attention: Attention) -> None:
        super().__init__()
        self.fusion = ParallaxFusion(channels, attention=attention)

    def forward(self, earlier: Sequence[Tensor]) -> Tensor:
        *sides, last = earlier
        return self.fusion(last, sides).features


class ConcatenatedChannelContext(nn.Module):
    """MLIC's, for the ablation: all earlier slices side by side through three convolutions."""

    def __init__(self, slices: int, channels: int) -> None:
        super().__init__()
        wide, middle = 8 * channels, 16 * channels // 3
        self.layers = nn.Sequential(
            conv(slices * channels, wide, kernel=3, stride=1),
            nn.GELU(),
            conv(wide, middle, kernel=3, stride=1),
            nn.GELU(),
            conv(middle, channels, kernel=3, stride=1),
        )

    def forward(self, earlier: Sequence[Tensor]) -> Tensor:
        return self.layers(torch.cat(list(earlier), 1))


class LocalContext(nn.Module):
    """MLIC's checkerboard attention: in the 5x5 window of every position its non-anchors look at its anchors.

    Anchors of a slice, 0 elsewhere [B, d, h, w] -> [B, 2d, h, w]; means something at non-anchors only.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        out = CONTEXT_SHARE * channels
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.bias = nn.Parameter(torch.zeros(_HEADS, (2 * WINDOW - 1) ** 2))
        self.merge = nn.Linear(WINDOW**2 * channels, out)
        self.project = nn.Linear(out, out)
        self.mlp = nn.Sequential(nn.LayerNorm(out), nn.Linear(out, 2 * out), nn.GELU(), nn.Linear(2 * out, out))
        offsets = torch.arange(WINDOW)
        apart = offsets[:, None] - offsets + WINDOW - 1
        index = apart[:, None, :, None] * (2 * WINDOW - 1) + apart[None, :, None, :]
        self.register_buffer("bias_index", index.reshape(WINDOW**2, WINDOW**2), persistent=False)
        # In the window of a non-anchor every second position is an anchor.
        is_anchor = (torch.arange(WINDOW**2) % 2).bool()
        hidden = torch.where(~is_anchor[:, None] & is_anchor, 0.0, -100.0)
        self.register_buffer("hidden", hidden, persistent=False)

    def forward(self, anchors: Tensor) -> Tensor:
        batch, channels, height, width = anchors.shape
        qkv = self.qkv(self.norm(anchors.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        windows = F.unfold(qkv, WINDOW, padding=WINDOW // 2)
        # [3, B, positions, heads, 25, d / heads]
        query, key, value = windows.view(batch, 3, _HEADS, channels // _HEADS, WINDOW**2, -1).permute(1, 0, 5, 2, 4, 3)
        scores = query @ key.transpose(-1, -2) * (channels // _HEADS) ** -0.5
        scores = scores + self.bias[:, self.bias_index] + self.hidden
        attended = (scores.softmax(-1) @ value).transpose(2, 3).flatten(2)
        x = self.project(self.merge(attended))
        x = x + self.mlp(x)
        return x.transpose(1, 2).unflatten(2, (height, width))


class GlobalContext(nn.Module):
    """Intra-slice global context, Eq. 19: non-anchors look at all anchors, by what an earlier context says of both.

    q = Wq(non-anchors of the context), k = Wk(anchors of the context), v = Wv(anchors of the slice);
    out = DepthRB(5x5(softmax_channels(q) (softmax_positions(k)^T v))).  [B, d, h, w] -> [B, 2d, h, w]

    PGCM is this with the channel context of all earlier slices, MLIC's module with the slice before.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        out = CONTEXT_SHARE * channels
        self.query, self.key, self.value = (_separable(channels) for _ in range(3))
        self.merge = conv(channels, out, kernel=5, stride=1)
        self.refine = nn.Sequential(
            conv(out, out, kernel=1, stride=1),
            nn.GELU(),
            nn.Conv2d(out, out, 3, padding=1, groups=out),
            nn.GELU(),
            conv(out, out, kernel=1, stride=1),
        )

    def forward(self, context: Tensor, anchors: Tensor) -> Tensor:
        size = context.shape[-2:]
        is_anchor = anchor_mask(size, context.device)
        query, key, value = (
            x.flatten(2).unflatten(1, (_HEADS, -1))
            for x in (
                self.query(context * ~is_anchor),
                self.key(context * is_anchor).masked_fill(~is_anchor, _NEVER),
                self.value(anchors) * is_anchor,
            )
        )
        summary = key.softmax(3) @ value.transpose(2, 3)
        attended = (summary.transpose(2, 3) @ query.softmax(2)).flatten(1, 2).unflatten(2, size)
        x = self.merge(attended)
        return x + self.refine(x)


def anchor_mask(size: tuple[int, int], device: torch.device | str) -> Tensor:
    """True at anchors. bool [1, 1, h, w]"""
    rows, columns = (torch.arange(length, device=device) for length in size)
    return ((rows[:, None] + columns) % 2 == 1)[None, None]


def _separable(channels: int) -> nn.Sequential:
    """1x1, then depthwise 3x3."""
    return nn.Sequential(
        conv(channels, channels, kernel=1, stride=1), nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
    )
