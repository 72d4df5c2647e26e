"""Types of the flags that several commands have; what a flag means stands in each command."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Optional

# tyro checks typing's own unions itself but imports typeguard (0.1 s) for `X | None`.
OptionalPath = Optional[Path]  # noqa: UP045
OptionalFloat = Optional[float]  # noqa: UP045
OptionalText = Optional[str]  # noqa: UP045

DeviceChoice = Literal["auto", "cpu", "cuda"]
DepthChoice = Literal["auto", "gaussians", "sparse", "none"]
EffortChoice = Literal["fast", "default", "high"]
