"""The package `openvino`, imported so that it reports to nobody.

Importing it sends an event to Google Analytics, unless the package `openvino-telemetry` cannot be
imported: then OpenVINO takes a stand-in of its own that sends nothing. So that package is hidden
before the first import, for this process. Whoever needs OpenVINO calls `load`.

A process has one `core`, which lives as long as it does. Each one that computes on the CPU replaces
the stack on which signals are handled, and when it is deleted puts back what was there before, even
where that is gone: then the next signal, such as Ctrl-C or the end of a child process, is a crash.
"""

import sys
from functools import lru_cache
from importlib.util import find_spec
from types import ModuleType
from typing import Any

TELEMETRY = "openvino_telemetry"


def disable_telemetry() -> None:
    """Hide the package that reports, unless this process has imported it already."""
    modules: dict[str, Any] = sys.modules
    modules.setdefault(TELEMETRY, None)  # None makes an import fail


def load() -> ModuleType:
    """Return the package `openvino`.

    Raises:
        ImportError: It is not installed, or its libraries do not load here.
    """
    disable_telemetry()
    import openvino

    return openvino  # type: ignore[no-any-return]


@lru_cache(maxsize=1)
def core() -> Any:
    """Return the process's `openvino.Core`; raises ImportError as `load` does."""
    return load().Core()


def is_installed() -> bool:
    """Whether the package can be imported, as far as can be told without importing it."""
    try:
        return find_spec("openvino") is not None
    except ValueError:  # what sys.modules has under this name is no package
        return False
