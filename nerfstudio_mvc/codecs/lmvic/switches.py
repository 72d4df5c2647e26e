"""What the codec does beyond coding every view alone, each a switch: for ablations, and to see what something is worth.

The defaults are what archives are written with. Most switches only tell the encoder what not to look for; those marked
"both sides" change what a string means, so that only a codec with the same switches decodes it.
"""

from __future__ import annotations

from dataclasses import dataclass

OF_LEARNED_PICTURES = ("split_blocks", "keep_references", "depth_follows_quality", "decide_per_view")
"""Switches that mean nothing where AV1 codes the pictures."""


@dataclass(frozen=True)
class LmvicSwitches:
    """See the module; off by default is what has not paid with the weights that ship (docs/ablations.md).

    Attributes:
        predict: views refer to others at all; off codes each alone.
        align: references are warped through depth; off puts them beside the view as they are (both sides).
        mask: the network is told where a warped reference shows nothing; off tells it that it is valid everywhere
            (both sides).
        two_references: two neighbours where there are two.
        between: a view that lies between two others is coded after both.
        finer_references: views that others are predicted from are coded finer, the others coarser.
        split_blocks: four 8x8 transforms in place of one of 16x16 where that is cheaper.
        keep_references: nothing is coded where a reference as it is will do.
        refine_depth: the coded depth is the one that predicts best, not the prior.
        depth_follows_quality: depth takes fewer bits where the picture takes fewer.
        decide_per_view: a view that predicts badly is coded alone.
        gain_and_offset: of every colour of a reference, where the light has changed.
        plain_references: AV1 may refer to the neighbours as they are, beside the blend of the warped ones (both sides).
        warped_references: and to each neighbour warped (both sides).
        restoration: a network restores what AV1 codes (`restoration`).
    """

    predict: bool = True
    align: bool = True
    mask: bool = True
    two_references: bool = True
    between: bool = True
    finer_references: bool = True
    split_blocks: bool = True
    keep_references: bool = True
    refine_depth: bool = True
    depth_follows_quality: bool = True
    decide_per_view: bool = True
    gain_and_offset: bool = True
    plain_references: bool = True
    warped_references: bool = True
    restoration: bool = True
