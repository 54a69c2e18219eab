"""Where the µm/px of a field come from, and whether to trust them.

The order, and what does not count as a scale, are one table for all formats: the command line, then what
microscopes wrote (Olympus SIS, Zeiss SEM, Zeiss LSM, FEI, OME, ImageJ), then the resolution of the
picture itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree  # nosec B405 # see _ome

import tifffile

from steelquant.errors import UsageError
from steelquant.micrograph.field import Calibration

TRUSTED_RANGE_UM = (0.005, 50.0)
"""Pixel edges that a metallographic field can have, from high-resolution SEM to a macro photograph."""

AGREEMENT = 0.01
"""Relative difference up to which two sources, or x and y, say the same."""

_SCREEN_DPI = (72.0, 96.0, 150.0, 300.0, 600.0, 1200.0)
"""What programs write when they know no scale: screen densities, and those of printers and scanners."""

_UM_PER_UNIT = {
    "pm": 1e-6,
    "å": 1e-4,
    "angstrom": 1e-4,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "mm": 1e3,
    "millimeter": 1e3,
    "cm": 1e4,
    "centimeter": 1e4,
    "dm": 1e5,
    "m": 1e6,
    "meter": 1e6,
    "metre": 1e6,
    "in": 25400.0,
    "inch": 25400.0,
}
_INCH_UM = 25400.0
_CENTIMETRE_UM = 10000.0


@dataclass(frozen=True)
class ScaleStatement:
    """What one source states about the scale.

    Attributes
    ----------
    source
        The source in words for the report.
    x_um, y_um
        Width and height of a pixel in µm.
    density
        True where the source is the picture's own resolution, which programs fill with screen densities.
    """

    source: str
    x_um: float
    y_um: float
    density: bool = False


@dataclass(frozen=True)
class GivenScale:
    """A scale that the user states, in µm/px, and where, in words for the report."""

    pixel_size_um: float
    source: str = "command line"


def calibrate(
    statements: Sequence[ScaleStatement], pixel_size_um: float | GivenScale | None = None
) -> Calibration:
    """Choose the scale of a field.

    Parameters
    ----------
    statements
        What the file states, most trusted source first.
    pixel_size_um
        The user's own figure in µm, from the command line unless it says otherwise; it wins over the file.

    Returns
    -------
    Calibration
        With the first trustworthy statement. Sources that differ by more than 1 %, unequal x and y
        (then the geometric mean is used, which keeps areas right) and sizes outside 0.005–50 µm give a
        warning each.

    Raises
    ------
    UsageError
        `pixel_size_um` is not a finite positive number.
    """
    warnings: list[str] = []
    reasons: list[str] = []
    trusted: list[ScaleStatement] = []
    for statement in statements:
        objection, remarkable = _objection(statement)
        if objection is None:
            trusted.append(statement)
            continue
        reasons.append(objection)
        if remarkable:
            warnings.append(f"{objection}; not used")
    if pixel_size_um is not None:
        given = pixel_size_um if isinstance(pixel_size_um, GivenScale) else GivenScale(pixel_size_um)
        trusted.insert(0, _from_user(given, warnings))
    if not trusted:
        return Calibration(None, "; ".join(reasons) or "the file states no scale", tuple(warnings))
    chosen = trusted[0]
    size = chosen.x_um
    if not _agree(chosen.x_um, chosen.y_um):
        size = math.sqrt(chosen.x_um * chosen.y_um)
        warnings.append(
            f"{chosen.source} gives {chosen.x_um:.6g} µm/px in x but {chosen.y_um:.6g} in y; "
            f"their geometric mean {size:.6g} is used, lengths are distorted"
        )
    for other in trusted[1:]:
        if not (_agree(size, other.x_um) and _agree(size, other.y_um)):
            warnings.append(
                f"{chosen.source} gives {size:.6g} µm/px but {other.source} {other.x_um:.6g}; "
                f"{chosen.source} is used"
            )
    return Calibration(size, chosen.source, tuple(warnings))


def density_statement(source: str, x: float, y: float, unit_um: float) -> ScaleStatement:
    """Turn `x` and `y` pixels per unit of `unit_um` µm into a statement about the scale."""
    return ScaleStatement(source, _reciprocal(x, unit_um), _reciprocal(y, unit_um), density=True)


def tiff_statements(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> list[ScaleStatement]:
    """Collect what a TIFF file states about the scale of one of its pages, most trusted source first."""
    found: list[ScaleStatement] = []
    for reader in (_olympus, _zeiss_sem, _zeiss_lsm, _fei, _ome):
        found += _attempt(lambda reader=reader: reader(tiff))  # type: ignore[misc]
    # ImageJ fills the baseline resolution with its own unit, so the two are never both read.
    return found + (_attempt(lambda: _imagej(tiff)) or _attempt(lambda: _baseline(page)))


def _attempt(read: Callable[[], Iterator[ScaleStatement]]) -> list[ScaleStatement]:
    """Read one source; vendors' tags hold anything, and one that cannot be read states nothing."""
    try:
        return list(read())
    except Exception:
        return []


def _objection(statement: ScaleStatement) -> tuple[str | None, bool]:
    """Return why a statement is no scale, or None, and whether the user should be warned of it."""
    x, y = statement.x_um, statement.y_um
    low, high = TRUSTED_RANGE_UM
    if statement.density:
        if not (0 < x < math.inf and 0 < y < math.inf):
            return f"{statement.source} holds no positive resolution", False
        dpi = _INCH_UM / x
        if dpi <= 1.01 or abs(_CENTIMETRE_UM / x - 1) < 0.01:
            return f"{statement.source} is 1 pixel per unit, which is no scale", False
        if any(_agree(dpi, screen) for screen in _SCREEN_DPI) or (x > high and _agree(x, y)):
            return f"{statement.source} is {dpi:.0f} dpi, a screen or print density and no scale", False
    if not (low <= x <= high and low <= y <= high):
        size = f"{x:.6g}" if _agree(x, y) else f"{x:.6g} x {y:.6g}"
        return f"{statement.source} gives {size} µm/px, outside the {low:g}–{high:g} of micrographs", True
    return None, False


def _from_user(given: GivenScale, warnings: list[str]) -> ScaleStatement:
    """Check the user's own figure."""
    size = given.pixel_size_um
    if not (math.isfinite(size) and size > 0):
        raise UsageError(f"a pixel size of {size} µm is impossible; give a positive number of µm/px")
    low, high = TRUSTED_RANGE_UM
    if not low <= size <= high:
        what = "the command line" if given.source == GivenScale.source else given.source
        warnings.append(
            f"{what} gives {size:.6g} µm/px, outside the {low:g}–{high:g} of micrographs; is it in µm?"
        )
    return ScaleStatement(given.source, size, size)


def _agree(a: float, b: float) -> bool:
    """Tell whether two pixel sizes differ by no more than 1 %."""
    return abs(a - b) <= AGREEMENT * max(a, b)


def _reciprocal(density: float, unit_um: float) -> float:
    return unit_um / density if density > 0 else math.inf


def _micrometres(value: Any, unit: Any) -> float:
    """Convert a length with its unit to µm; an unknown unit raises ``KeyError``."""
    name = str(unit).strip().lower().replace("\u00b5", "u").replace("\u03bc", "u").replace("\\u00b5", "u")
    name = {"\u212b": "å", "a\u030a": "å"}.get(name, name)
    return float(value) * _UM_PER_UNIT[name]


def _olympus(tiff: tifffile.TiffFile) -> Iterator[ScaleStatement]:
    """Olympus SIS: the structure of tag 33560, beside the text of tag 33471, in metres."""
    metadata = tiff.sis_metadata or {}
    if metadata.get("pixelsizex"):
        yield _in_metres("Olympus SIS tag 33560", metadata["pixelsizex"], metadata.get("pixelsizey"))


def _zeiss_sem(tiff: tifffile.TiffFile) -> Iterator[ScaleStatement]:
    """Zeiss SEM, tag 34118: the size of a pixel of the image as stored, with its unit."""
    entry = (tiff.sem_metadata or {}).get("ap_image_pixel_size")
    if entry:
        size = _micrometres(entry[1], entry[2])
        yield ScaleStatement("Zeiss SEM tag 34118", size, size)


def _zeiss_lsm(tiff: tifffile.TiffFile) -> Iterator[ScaleStatement]:
    """Zeiss LSM, tag 34412, in metres."""
    metadata = tiff.lsm_metadata or {}
    if metadata.get("VoxelSizeX"):
        yield _in_metres("Zeiss LSM tag 34412", metadata["VoxelSizeX"], metadata.get("VoxelSizeY"))


def _fei(tiff: tifffile.TiffFile) -> Iterator[ScaleStatement]:
    """FEI and Thermo Fisher SEM, tags 34680 and 34682, in metres."""
    scan = (tiff.fei_metadata or {}).get("Scan", {})
    if scan.get("PixelWidth"):
        tag = 34682 if 34682 in tiff.pages.first.tags else 34680
        yield _in_metres(f"FEI tag {tag}", scan["PixelWidth"], scan.get("PixelHeight"))


def _in_metres(source: str, x: Any, y: Any) -> ScaleStatement:
    """State a pixel size given in metres; a missing height equals the width."""
    return ScaleStatement(source, float(x) * 1e6, float(y or x) * 1e6)


def _ome(tiff: tifffile.TiffFile) -> Iterator[ScaleStatement]:
    """OME-XML: PhysicalSizeX and Y of the first image, in µm where no unit is named."""
    text = tiff.ome_metadata
    if not text or "<!DOCTYPE" in text or "<!ENTITY" in text:
        return  # OME-XML needs neither, and entities can be made to fill the memory
    # Without entities XML cannot grow beyond its own size.
    pixels = ElementTree.fromstring(text).find(".//{*}Pixels")  # nosec B314
    if pixels is None or pixels.get("PhysicalSizeX") is None:
        return
    x = _micrometres(pixels.get("PhysicalSizeX"), pixels.get("PhysicalSizeXUnit", "um"))
    y = x
    if pixels.get("PhysicalSizeY") is not None:
        y = _micrometres(pixels.get("PhysicalSizeY"), pixels.get("PhysicalSizeYUnit", "um"))
    yield ScaleStatement("OME PhysicalSizeX", x, y)


def _imagej(tiff: tifffile.TiffFile) -> Iterator[ScaleStatement]:
    """ImageJ: pixels per the unit that its description names."""
    unit = (tiff.imagej_metadata or {}).get("unit")
    resolution = _resolution(tiff.pages.first)
    if unit and resolution:
        size = _micrometres(1.0, unit)
        x, y = (_reciprocal(density, size) for density in resolution)
        yield ScaleStatement("ImageJ unit and XResolution", x, y, density=size == _INCH_UM)


def _baseline(page: tifffile.TiffPage) -> Iterator[ScaleStatement]:
    """TIFF's own resolution, tags 282, 283 and 296, in pixels per inch or centimetre."""
    resolution = _resolution(page)
    unit_um = {2: _INCH_UM, 3: _CENTIMETRE_UM}.get(int(page.tags.valueof(296, 2)))
    if resolution is not None and unit_um is not None:
        yield density_statement("TIFF XResolution", *resolution, unit_um)


def _resolution(page: tifffile.TiffPage) -> tuple[float, float] | None:
    """Return pixels per unit in x and y, or None where the page names none."""
    values = []
    for code in (282, 283):
        numerator, denominator = page.tags.valueof(code, (0, 0))[:2]
        if not (numerator and denominator):
            break
        values.append(float(numerator) / float(denominator))
    return (values[0], values[-1]) if values else None
