"""What ``segment`` reports: one result per field and the run that made them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steelquant.locations import spelled
from steelquant.micrograph.field import Calibration


@dataclass(frozen=True)
class FieldResult:
    """What became of one field.

    Attributes
    ----------
    name
        Its name in the output folder, without ending.
    status
        ``"done"`` or ``"failed"``.
    error
        Why it failed, one line; None where done.
    path, page, sha256
        The input file, the zero-based page in it and the hash of its bytes (None where it was not read).
    run
        Fingerprint of weights, parameters and version it was made with.
    height_px, width_px
        Its size; 0 where it was not read.
    calibration
        Its scale; None where it was not read.
    mask_sha256, probability_sha256
        Hashes of the files written; None where there is none.
    excluded_px
        Pixels that do not count.
    area_fractions
        Area fraction of each class by name, over the counted pixels; NaN where none counts.
    confidence
        Mean probability of the chosen class over the counted pixels; None where none counts.
    seconds
        Reading, prediction and writing together.
    warnings
        What a user should know of it, one sentence each.
    is_kept
        Whether it was found done by an earlier run and kept.
    """

    name: str
    status: str
    error: str | None
    path: Path
    page: int
    run: str
    sha256: str | None = None
    height_px: int = 0
    width_px: int = 0
    calibration: Calibration | None = None
    mask_sha256: str | None = None
    probability_sha256: str | None = None
    excluded_px: int = 0
    area_fractions: dict[str, float] = field(default_factory=dict)
    confidence: float | None = None
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    is_kept: bool = False

    @property
    def megapixels(self) -> float:
        """Its area in millions of pixels."""
        return self.height_px * self.width_px / 1e6

    @property
    def mask(self) -> str:
        """File name of its mask."""
        return f"{self.name}.tif"

    @property
    def overlay(self) -> str:
        """File name of its overlay."""
        return f"{self.name}.overlay.png"

    @property
    def probability(self) -> str:
        """File name of its probability picture, were it written."""
        return f"{self.name}.probability.tif"

    def files(self) -> list[str]:
        """Names of the files that hold it."""
        return [self.mask, self.overlay, *([self.probability] if self.probability_sha256 else [])]

    def all_warnings(self) -> tuple[str, ...]:
        """Return its own warnings and those of its scale."""
        return (*self.warnings, *(self.calibration.warnings if self.calibration else ()))

    def to_json(self) -> dict[str, Any]:
        """Return its entry in segmentation.json."""
        done = self.status == "done"
        scale = self.calibration
        return {
            "name": self.name,
            "status": self.status,
            "error": self.error,
            "input": {
                "path": spelled(self.path),
                "folder": self.path.parent.name,
                "page": self.page,
                "sha256": self.sha256,
            },
            "run": self.run,
            "width_px": self.width_px,
            "height_px": self.height_px,
            "calibration": {
                "pixel_size_um": scale.pixel_size_um if scale else None,
                "source": scale.source if scale else "not read",
                "warnings": list(scale.warnings) if scale else [],
            },
            "mask": {"path": self.mask, "sha256": self.mask_sha256} if done else None,
            "overlay": {"path": self.overlay} if done else None,
            "probability": {"path": self.probability, "sha256": self.probability_sha256}
            if self.probability_sha256
            else None,
            "excluded_px": self.excluded_px,
            "area_fractions": {
                name: value if value == value else None  # NaN has no word in JSON
                for name, value in self.area_fractions.items()
            },
            "confidence": self.confidence,
            "seconds": round(self.seconds, 3),
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> FieldResult:
        """Read an entry of segmentation.json; KeyError, TypeError or ValueError where it is none."""
        scale = entry["calibration"]
        probability = entry["probability"]
        mask = entry["mask"]
        return cls(
            name=str(entry["name"]),
            status=str(entry["status"]),
            error=entry["error"],
            path=Path(entry["input"]["path"]),
            page=int(entry["input"]["page"]),
            run=str(entry["run"]),
            sha256=entry["input"]["sha256"],
            height_px=int(entry["height_px"]),
            width_px=int(entry["width_px"]),
            calibration=Calibration(scale["pixel_size_um"], scale["source"], tuple(scale["warnings"])),
            mask_sha256=mask["sha256"] if mask else None,
            probability_sha256=probability["sha256"] if probability else None,
            excluded_px=int(entry["excluded_px"]),
            area_fractions={
                name: float("nan") if value is None else float(value)
                for name, value in entry["area_fractions"].items()
            },
            confidence=entry["confidence"],
            seconds=float(entry["seconds"]),
            warnings=tuple(entry["warnings"]),
        )


@dataclass(frozen=True)
class SegmentationRun:
    """What one call of ``segment`` did.

    Attributes
    ----------
    output
        The folder with masks, overlays and ``segmentation.json``.
    model, weights, device
        Which network, from which file, and where it ran.
    fields
        One result per field, in the order of the inputs.
    total
        Fields in all; more than ``fields`` only where the run was interrupted.
    seconds
        From the first field to the last.
    stage_seconds
        Time spent in each stage, added over the fields: ``read``, ``network`` (the engine alone),
        ``blend`` (cutting, blending, choosing) and ``write``. Reading and writing run beside the network.
    warnings
        What concerns the whole run.
    """

    output: Path
    model: str
    weights: tuple[Path, ...]
    device: str
    fields: tuple[FieldResult, ...]
    total: int
    seconds: float
    stage_seconds: dict[str, float]
    warnings: tuple[str, ...] = ()

    @property
    def record(self) -> Path:
        """The run's ``segmentation.json``."""
        return self.output / "segmentation.json"

    @property
    def failed(self) -> tuple[FieldResult, ...]:
        """The fields that could not be segmented."""
        return tuple(result for result in self.fields if result.status == "failed")

    @property
    def megapixels(self) -> float:
        """Area predicted in this run, in millions of pixels; fields kept from an earlier run not counted."""
        return sum(r.megapixels for r in self.fields if r.status == "done" and not r.is_kept)

    @property
    def megapixels_per_second(self) -> float:
        """Throughput from files to masks on disk."""
        return self.megapixels / self.seconds if self.seconds > 0 else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the run as ``segment --json`` prints it."""
        return {
            "output": spelled(self.output),
            "record": spelled(self.record),
            "model": self.model,
            "weights": [str(path) for path in self.weights],
            "device": self.device,
            "seconds": round(self.seconds, 3),
            "megapixels": round(self.megapixels, 3),
            "megapixels_per_second": round(self.megapixels_per_second, 3),
            "stage_seconds": {stage: round(value, 3) for stage, value in self.stage_seconds.items()},
            "total": self.total,
            "failed": len(self.failed),
            "warnings": list(self.warnings),
            "fields": [{**result.to_json(), "kept": result.is_kept} for result in self.fields],
        }


class SegmentationInterrupted(KeyboardInterrupt):
    """Ctrl-C during a run; what was finished is on disk and in :attr:`run`."""

    def __init__(self, run: SegmentationRun) -> None:
        super().__init__("interrupted")
        self.run = run
