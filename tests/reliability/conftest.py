"""Helpers of the parts that these tests go across."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
for part in ("micrograph", "reports", "segmentation", "stereology"):
    sys.path.append(str(TESTS / part))

_spec = importlib.util.spec_from_file_location(
    "segmentation_conftest", TESTS / "segmentation" / "conftest.py"
)
assert _spec is not None
assert _spec.loader is not None
_of_segmentation = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_of_segmentation)

engine = _of_segmentation.engine
weights = _of_segmentation.weights
threshold_run = _of_segmentation.threshold_run
texture = _of_segmentation.texture
micrographs = _of_segmentation.micrographs
