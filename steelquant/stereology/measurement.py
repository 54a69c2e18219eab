"""Everything measured in one field: a mask and its micrograph go in, a :class:`FieldResult` comes out.

The only step between pictures on disk and numbers; it runs in worker processes, so it takes and returns
plain dataclasses. Measurements that later parts of the package add to a field belong here, as one more
attribute of :class:`FieldResult`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steelquant.errors import FileError
from steelquant.micrograph.field import EXCLUDED, FERRITE, PEARLITE, Calibration, Mask, PhaseClass
from steelquant.micrograph.masks import read_probability
from steelquant.micrograph.scale_table import PixelSizes, given_scale
from steelquant.stereology.banding import DeformationAxis, estimate_axis, given_axis
from steelquant.stereology.corrections import read_field_mask
from steelquant.stereology.features import Features, measure_phase
from steelquant.stereology.grain_measurement import GrainMeasures, measure_grains
from steelquant.stereology.micrographs import find_micrograph
from steelquant.stereology.phases import PhaseMeasures, measure_fractions, threshold_sensitivity
from steelquant.stereology.single_field import FieldInterval, field_interval
from steelquant.stereology.sources import FieldSource
from steelquant.stereology.spacing import LamellarSpacing, lamellar_spacing
from steelquant.stereology.texture import Texture, measure_texture

NOT_LOOKED_FOR = "grains were not looked for (--no-grains)"

_SAME_SCALE = 0.01
"""Scales that differ by less are the same, written with other digits."""


@dataclass(frozen=True)
class FieldSettings:
    """How fields are measured, the same for all fields of a report.

    Attributes
    ----------
    pixel_size_um
        Scale that wins over what files state, for all fields or by a table.
    smallest_feature_px
        Features of fewer pixels are not counted.
    axis_deg
        Deformation axis, counter-clockwise from the horizontal; None estimates each field's own.
    finds_grains
        Whether micrographs are looked into, for grains and lamellae.
    boundary_threshold
        Probability from which a border is a grain boundary; None takes 0.5.
    """

    pixel_size_um: PixelSizes | None = None
    smallest_feature_px: int = 1
    axis_deg: float | None = None
    finds_grains: bool = True
    boundary_threshold: float | None = None


@dataclass(frozen=True, eq=False)
class FieldResult:
    """One field, measured.

    Attributes
    ----------
    source
        The mask's history.
    mask_sha256
        Hash of the mask as it was measured.
    calibration
        The scale that lengths rest on.
    width_px, height_px, excluded_px
        Size of the field and pixels that count nowhere.
    classes
        The classes of the mask, the matrix (ferrite) first.
    phases
        Amount and fineness by class name.
    features
        Features by class name, for every class but the matrix.
    intervals
        Single-field interval by class name.
    sensitivity
        Pearlite fraction at probability thresholds 0.4, 0.5 and 0.6, or None without a probability picture.
    axis
        Deformation axis.
    textures
        Banding and arrangement by class name, for every class but the matrix.
    micrograph_path, micrograph_sha256
        The file that grains and lamellae were measured in, or None.
    grains
        The ferrite grains, or None.
    grains_reason
        Why there are no grains; empty where there are.
    spacing
        Interlamellar spacing of pearlite or why it was refused; None without micrograph, pearlite or scale.
    warnings
        One sentence each.
    """

    source: FieldSource
    mask_sha256: str
    calibration: Calibration
    width_px: int
    height_px: int
    excluded_px: int
    classes: tuple[PhaseClass, ...]
    phases: Mapping[str, PhaseMeasures]
    features: Mapping[str, Features]
    intervals: Mapping[str, FieldInterval]
    sensitivity: tuple[float, ...] | None
    axis: DeformationAxis
    textures: Mapping[str, Texture]
    micrograph_path: Path | None
    micrograph_sha256: str | None
    grains: GrainMeasures | None
    grains_reason: str
    spacing: LamellarSpacing | None
    warnings: tuple[str, ...]

    @property
    def pixel_size_um(self) -> float | None:
        """µm per pixel, or None where the field is not calibrated."""
        return self.calibration.pixel_size_um

    @property
    def counted_px(self) -> int:
        """Pixels that count."""
        return self.width_px * self.height_px - self.excluded_px

    @property
    def counted_area_mm2(self) -> float | None:
        """Area that counts, in mm², or None where the field is not calibrated."""
        size = self.pixel_size_um
        return None if size is None else self.counted_px * (size / 1000) ** 2


def measure_field(
    source: FieldSource, settings: FieldSettings, micrographs: Sequence[Path] = ()
) -> FieldResult:
    """Read and measure one mask and its micrograph.

    Parameters
    ----------
    source
        The mask and its history.
    settings
        How to measure.
    micrographs
        Files that may be its micrograph; see :class:`steelquant.stereology.micrographs.Micrographs`.

    Raises
    ------
    FileError
        If the mask cannot be read, or all of it is excluded.
    """
    files = (path for path in (source.original_path or source.mask_path, source.image_path) if path)
    scale, remarks = given_scale(settings.pixel_size_um, *files)
    mask = read_field_mask(source, pixel_size_um=scale)
    source = replace(source, mask_path=mask.path)
    labels, excluded = mask.labels, mask.labels == EXCLUDED
    if excluded.all():
        raise FileError(source.mask_path, "all of it is excluded, so there is nothing to measure")
    warnings = [*source.warnings, *mask.notes, *remarks]
    changed = source.mask_sha256 is not None and mask.sha256 != source.mask_sha256
    if changed:
        warnings.append("the mask was changed after segmentation (corrected by hand); measured as it is now")
    calibration = _calibration(mask, source, is_given=scale is not None)
    phases, features, intervals = {}, {}, {}
    for phase in mask.classes:
        found = measure_phase(labels, phase.label, smallest_px=settings.smallest_feature_px)
        phases[phase.name] = measure_fractions(labels, phase.label, found)
        intervals[phase.name] = field_interval(labels, phase.label)
        if phase is not mask.classes[0]:
            features[phase.name] = found
    axis = _axis(mask, excluded, settings)
    textures = {
        phase.name: measure_texture(labels == phase.label, features[phase.name], axis, excluded)
        for phase in mask.classes[1:]
    }
    within = _look_into_micrograph(source, mask, excluded, settings, micrographs, axis, calibration)
    if within.grains is not None:
        warnings += within.grains.search.warnings
    sensitivity = None if changed else _sensitivity(source, labels, warnings)
    return FieldResult(
        source=source,
        mask_sha256=mask.sha256,
        calibration=calibration,
        width_px=labels.shape[1],
        height_px=labels.shape[0],
        excluded_px=int(np.count_nonzero(excluded)),
        classes=mask.classes,
        phases=phases,
        features=features,
        intervals=intervals,
        sensitivity=sensitivity,
        axis=axis,
        textures=textures,
        micrograph_path=within.path,
        micrograph_sha256=within.sha256,
        grains=within.grains,
        grains_reason=within.reason,
        spacing=within.spacing,
        warnings=tuple(dict.fromkeys([*warnings, *calibration.warnings])),
    )


def _axis(mask: Mask, excluded: NDArray[np.bool_], settings: FieldSettings) -> DeformationAxis:
    """Return the given axis, or that of everything in the field that is not matrix."""
    if settings.axis_deg is not None:
        return given_axis(settings.axis_deg)
    return estimate_axis((mask.labels != mask.classes[0].label) & ~excluded, excluded=excluded)


@dataclass(frozen=True, eq=False)
class _Within:
    """What the micrograph adds to the mask."""

    path: Path | None = None
    sha256: str | None = None
    grains: GrainMeasures | None = None
    reason: str = ""
    spacing: LamellarSpacing | None = None


def _look_into_micrograph(
    source: FieldSource,
    mask: Mask,
    excluded: NDArray[np.bool_],
    settings: FieldSettings,
    micrographs: Sequence[Path],
    axis: DeformationAxis,
    calibration: Calibration,
) -> _Within:
    labels = {phase.name: phase.label for phase in mask.classes}
    if not settings.finds_grains:
        return _Within(reason=NOT_LOOKED_FOR)
    if FERRITE.name not in labels:
        return _Within(reason="no class of the mask is called ferrite")
    found = find_micrograph(source, (mask.labels.shape[1], mask.labels.shape[0]), micrographs)
    if found.micrograph is None or found.remark:
        return _Within(reason=found.remark)
    pixels = found.micrograph.pixels
    spacing = None
    if PEARLITE.name in labels and calibration.pixel_size_um is not None:
        pearlite = mask.labels == labels[PEARLITE.name]
        spacing = lamellar_spacing(pixels, pearlite, calibration.pixel_size_um)
    grains = measure_grains(
        pixels,
        mask.labels == labels[FERRITE.name],
        excluded=excluded,
        axis_deg=axis.angle_deg,
        threshold=settings.boundary_threshold,
    )
    return _Within(found.micrograph.path, found.micrograph.sha256, grains, "", spacing)


def _calibration(mask: Mask, source: FieldSource, *, is_given: bool) -> Calibration:
    """Choose between the scale in the mask's file and the one found when its micrograph was segmented."""
    own, known = mask.calibration, source.calibration
    if is_given or known is None:
        return own
    if source.size_px is not None and source.size_px != mask.labels.shape[::-1]:
        size = "×".join(map(str, source.size_px))
        return Calibration(
            own.pixel_size_um,
            own.source,
            (*own.warnings, f"the mask's size was changed after segmentation ({size} px then)"),
        )
    if own.pixel_size_um is None or known.pixel_size_um is None:
        return known if own.pixel_size_um is None else own
    if abs(own.pixel_size_um / known.pixel_size_um - 1) <= _SAME_SCALE:
        return known
    conflict = (
        f"the mask's file states {own.pixel_size_um:g} µm/px, its micrograph {known.pixel_size_um:g}; "
        "the micrograph's is used"
    )
    return Calibration(known.pixel_size_um, known.source, (*known.warnings, conflict))


def _sensitivity(
    source: FieldSource, labels: NDArray[np.uint8], warnings: list[str]
) -> tuple[float, ...] | None:
    if source.probability_path is None:
        return None
    try:
        probability = read_probability(source.probability_path)
    except FileError as error:
        warnings.append(str(error))
        return None
    if probability.shape != labels.shape:
        warnings.append(f"{source.probability_path.name} has another size than the mask and is passed over")
        return None
    return threshold_sensitivity(probability, labels != EXCLUDED)
