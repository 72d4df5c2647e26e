"""What peers are called. Imports nothing, so that `--help` can name them at once."""

from typing import Literal

PeerName = Literal[
    "jpeg",
    "webp",
    "avif",
    "avif-perceptual",
    "jxl",
    "hevc",
    "hevc-file",
    "hevc-intra",
    "av1",
    "av1-file",
    "av1-intra",
    "svt",
    "svt-file",
    "svt-intra",
    "vvc",
    "vvc-file",
    "vvc-intra",
]
