"""Helpers of the parts that these tests go across."""

from __future__ import annotations

import sys
from pathlib import Path

for part in ("micrograph", "segmentation", "stereology"):
    sys.path.append(str(Path(__file__).resolve().parents[1] / part))
