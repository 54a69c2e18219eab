"""Batch quantitative metallography of carbon steel: micrographs to masks to numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["__version__", "quantify", "segment"]

if TYPE_CHECKING:
    from steelquant.segmentation import segment
    from steelquant.stereology.quantify import quantify


def __getattr__(name: str) -> Any:
    """Import the two main functions on first use, so that neither pays for the other's libraries."""
    if name == "segment":
        from steelquant.segmentation import segment

        return segment
    if name == "quantify":
        from steelquant.stereology.quantify import quantify

        return quantify
    raise AttributeError(f"module 'steelquant' has no attribute {name!r}")
