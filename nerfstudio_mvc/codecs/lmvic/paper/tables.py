"""The integer tables of the paper's model."""

from __future__ import annotations

from dataclasses import dataclass

from nerfstudio_mvc.entropy.latent_coding import LatentTables


@dataclass(frozen=True, eq=False)
class PaperTables:
    """Tables of the picture's latent and of the depth's."""

    image: LatentTables
    depth: LatentTables
