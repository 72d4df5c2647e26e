"""The strings of a view that correct its prediction: their names, and a change of light to bytes and back.

STRINGS.md describes them. The other strings have modules of their own: `group_strings`, `depth_coding`, `image_coding`.
"""

from __future__ import annotations

from nerfstudio_mvc.entropy.range_coder import SymbolDecoder, SymbolEncoder
from nerfstudio_mvc.entropy.tables import TableSet
from nerfstudio_mvc.prediction.weighted_prediction import Photometric, get_photometric, put_photometric

LIGHT = "light"


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
