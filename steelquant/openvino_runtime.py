"""OpenVINO, which says nothing to anybody: the one access that this process has to it."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry, which would tell a web service of every start."""
    if "openvino" not in sys.modules and "openvino_telemetry" not in sys.modules:
        modules: dict[str, Any] = sys.modules
        modules["openvino_telemetry"] = None  # OpenVINO goes on with a stub that sends nothing
        try:
            import openvino
        finally:
            del modules["openvino_telemetry"]
    import openvino

    return openvino


@cache
def openvino_core() -> Any:
    """Return the one access to OpenVINO's devices in this process."""
    return import_openvino().Core()
