"""The strings of a view that correct its prediction, to bytes and back; STRINGS.md describes them.

The other strings have modules of their own: `group_strings`, `depth_coding`, `image_coding`.
"""

from __future__ import annotations

import numpy as np

from nerfstudio_mvc.capture.views import View
from nerfstudio_mvc.codecs.lmvic.field_coding import get_field, put_field
from nerfstudio_mvc.codecs.lmvic.photometric import Photometric, get_photometric, put_photometric
from nerfstudio_mvc.codecs.lmvic.residual_flow import flow_grid
from nerfstudio_mvc.entropy.range_coder import SymbolDecoder, SymbolEncoder
from nerfstudio_mvc.entropy.tables import TableSet

LIGHT, FLOW = "light", "flow"


def encode_flow(offsets: np.ndarray, tables: TableSet) -> bytes:
    """Residual flow of one or two references. int64 [R, 2, h, w]"""
    encoder = SymbolEncoder()
    for field in offsets:
        put_field(encoder, field, tables)
    return encoder.finish()


def decode_flow(payload: bytes, references: int, *, view: View, tables: TableSet) -> np.ndarray:
    """What `encode_flow` wrote.

    Raises:
        ArchiveError: the bytes hold no such flow.
    """
    decoder, grid = SymbolDecoder(payload), flow_grid(view.height, view.width)
    return np.stack([get_field(decoder, 2, grid, tables) for _ in range(references)])


def encode_light(light: Photometric, tables: TableSet) -> bytes:
    """A change of light."""
    encoder = SymbolEncoder()
    put_photometric(encoder, light, tables)
    return encoder.finish()


def decode_light(payload: bytes, references: int, *, tables: TableSet) -> Photometric:
    """What `encode_light` wrote.

    Raises:
        ArchiveError: the bytes hold no such change.
    """
    return get_photometric(SymbolDecoder(payload), references, tables=tables)
