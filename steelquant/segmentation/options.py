"""What ``segment`` was asked for, checked before any work begins."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from steelquant.errors import FileError, UsageError
from steelquant.locations import is_url, spelled
from steelquant.micrograph.calibration import calibrate
from steelquant.micrograph.exclusion import Exclusion
from steelquant.micrograph.files import reason, sha256_of
from steelquant.segmentation.tiles import MAX_OVERLAP, SMALLEST_TILE_PX

DEFAULT_MODEL = "mobilenetv2"
SCALE_RANGE = (0.05, 20.0)


@dataclass(frozen=True)
class SegmentOptions:
    """The options of a run; see :func:`steelquant.segmentation.segment` for their meaning."""

    inputs: tuple[Path, ...]
    model: str | None
    output: Path
    weights: Path | None
    device: str
    engine: str
    tile: int | None
    overlap: float | None
    scale: float
    pixel_size_um: float | None
    recursive: bool
    exclusion: Exclusion | None
    probabilities: bool
    ensemble: tuple[str, ...]
    symmetries: bool
    overwrite: bool
    scheduler: str | None

    def __post_init__(self) -> None:
        """Refuse what no run could do.

        Raises
        ------
        UsageError
            With the option's name and what it takes.
        FileError
            If a path cannot be looked at.
        """
        low, high = SCALE_RANGE
        if not (math.isfinite(self.scale) and low <= self.scale <= high):
            raise UsageError(f"--scale is a factor from {low:g} to {high:g}, not {self.scale:g}")
        if self.tile is not None and self.tile < SMALLEST_TILE_PX:
            raise UsageError(f"--tile is auto or at least {SMALLEST_TILE_PX} px, not {self.tile}")
        if self.overlap is not None and not 0 <= self.overlap <= MAX_OVERLAP:
            raise UsageError(
                f"--overlap is auto or a fraction of a tile from 0 to {MAX_OVERLAP}, not {self.overlap:g}"
            )
        for path in (*self.inputs, self.output):
            if self.scheduler is None and is_url(path):
                raise UsageError(f"{spelled(path)}: only workers of a cluster read URLs; add --scheduler")
        if self.ensemble and self.model is not None:
            raise UsageError("--model and --ensemble exclude each other; name every network after --ensemble")
        if len(set(self.ensemble)) != len(self.ensemble):
            raise UsageError(f"--ensemble {','.join(self.ensemble)} names a network twice")
        if len(self.ensemble) > 1 and self.weights is not None and self.weights.is_file():
            raise UsageError(f"--weights {self.weights} is one file for an ensemble; name its folder")
        if self.pixel_size_um is not None:
            calibrate((), self.pixel_size_um)
        mask = self.exclusion.mask if self.exclusion else None
        try:
            if mask is not None and not mask.is_file():
                raise UsageError(f"--exclude names {mask}, but there is no such file")
            if self.output.exists() and not self.output.is_dir():
                raise UsageError(f"--output names {self.output}, which is a file, not a folder")
        except OSError as error:
            raise FileError(error.filename, f"cannot be used: {reason(error)}") from error

    def deciding(self) -> dict[str, Any]:
        """Return the options that decide a mask; the exclusion mask by the hash of its bytes."""
        exclusion = self.exclusion or Exclusion()
        return {
            "tile": self.tile,
            "overlap": self.overlap,
            "scale": self.scale,
            "tta": self.symmetries,
            "pixel_size_um": self.pixel_size_um,
            "crop_bottom_px": exclusion.crop_bottom_px,
            "exclude_sha256": sha256_of(exclusion.mask) if exclusion.mask else None,
            "rectangles": [list(rectangle) for rectangle in exclusion.rectangles],
        }

    def to_json(self) -> dict[str, Any]:
        """Return every option as segmentation.json lists it."""
        exclusion = self.exclusion or Exclusion()
        return {
            **{
                key: value
                for key, value in asdict(self).items()
                if key not in ("inputs", "exclusion", "symmetries")
            },
            "inputs": [spelled(path) for path in self.inputs],
            "output": spelled(self.output),
            "weights": str(self.weights) if self.weights else None,
            "tile": self.tile or "auto",
            "overlap": "auto" if self.overlap is None else self.overlap,
            "tta": self.symmetries,
            "crop_bottom_px": exclusion.crop_bottom_px,
            "exclude": str(exclusion.mask) if exclusion.mask else None,
            "rectangles": [list(rectangle) for rectangle in exclusion.rectangles],
        }


def parse_auto(text: str | float, kind: type[int] | type[float], option: str) -> Any:
    """Read ``auto`` as None and anything else as a number.

    Raises
    ------
    UsageError
        If it is neither.
    """
    if text == "auto":
        return None
    try:
        return kind(text)
    except (TypeError, ValueError, OverflowError):
        what = "a whole number" if kind is int else "a number"
        raise UsageError(f"{option} is auto or {what}, not {text!r}") from None
