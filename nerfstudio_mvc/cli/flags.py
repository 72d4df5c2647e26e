"""Types of the flags that several commands have, and values in words; what a flag means stands in each command."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Optional, Union

from nerfstudio_mvc.cli.main import UsageError
from nerfstudio_mvc.pipeline.options import QualityName

# tyro checks typing's own unions itself but imports typeguard (0.1 s) for `X | None`.
OptionalPath = Optional[Path]  # noqa: UP045
OptionalFloat = Optional[float]  # noqa: UP045
OptionalInt = Optional[int]  # noqa: UP045
OptionalText = Optional[str]  # noqa: UP045
OptionalQuality = Optional[Union[float, QualityName]]  # noqa: UP007, UP045

DeviceChoice = Literal["auto", "cpu", "cuda"]

BYTES = re.compile(r"(\d+\.?\d*|\.\d+)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


def parse_bytes(text: str, *, flag: str) -> float:
    """``"800kB"``, ``"5 MB"``, ``"1.5MiB"``, ``"123456"``: k, M, G are powers of 1000, Ki, Mi, Gi of 1024.

    Raises:
        UsageError: no such size, or nothing at all; names `flag`.
    """
    match = BYTES.fullmatch(text.strip())
    if match is None or not float(match[1]):
        raise UsageError(f'{flag} "{text}" is no size: give something like 800kB, 5MB or 1.2GB')
    return float(match[1]) * (1024 if match[3] else 1000) ** ["", "k", "m", "g", "t"].index(match[2].lower())
