"""Reports as plain JSON values; where the text goes is the business of `cli` and `benchmarking`."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any


def json_values(value: Any) -> Any:
    """Dataclasses as objects, tuples as lists, paths as strings; infinite numbers and NaN become null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: json_values(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): json_values(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_values(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has neither
    return str(value) if isinstance(value, Path) else value
