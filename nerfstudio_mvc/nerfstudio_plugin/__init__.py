"""What nerfstudio's commands find by entry point: a specification each of the dataparser and of the method.

nerfstudio does not survive a plugin that fails, so one that fails is left out here, in a line on stderr.
"""

import sys
from importlib import import_module
from typing import Any

_MODULES = {"dataparser_specification": "dataparser_entry", "method_specification": "method_entry"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return import_module(f"{__name__}.{_MODULES[name]}").specification
    except Exception as error:
        print(f"nerfstudio_mvc: left out of nerfstudio's commands: {type(error).__name__}: {error}", file=sys.stderr)
        return None  # nerfstudio goes on without it
