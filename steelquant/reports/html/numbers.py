"""Numbers as the report writes them, by the same formats as in Excel."""

from __future__ import annotations

import math
import re

_SECTION = re.compile(
    r"(?:\[(?P<sign>>=|<)(?P<limit>[\d.]+)\])?-?(?P<whole>[#0,]+)(?:\.(?P<decimals>[0#]+))?$"
)
MISSING = "–"


def format_number(value: float | None, number_format: str) -> str:
    """Write a number by one of the report's number formats.

    Parameters
    ----------
    value
        The number; None and what is not finite become a dash.
    number_format
        Excel's: sections such as ``[>=100]#,##0.0`` or ``[<0]-0.00`` separated by semicolons, the first
        whose condition the number meets counts; of decimals, ``#`` is left out where it would be a zero at
        the end. The sign is written by the number, whether the section has one or not.

    Examples
    --------
    >>> format_number(1234.5, "#,##0.0"), format_number(0.1234, "[>=1]0.00;0.0000")
    ('1,234.5', '0.1234')
    >>> format_number(-0.001, "0.00")
    '0.00'
    """
    if value is None or not math.isfinite(value):
        return MISSING
    section = _section(value, number_format)
    decimals = section["decimals"] or ""
    text = f"{abs(value):{',' if ',' in section['whole'] else ''}.{len(decimals)}f}"
    optional = len(decimals) - len(decimals.rstrip("#"))
    for _ in range(optional):
        text = text.removesuffix("0")
    if decimals:
        text = text.removesuffix(".")
    is_negative = value < 0 and any(digit in "123456789" for digit in text)
    return f"−{text}" if is_negative else text


def _section(value: float, number_format: str) -> re.Match[str]:
    """Return the part of a format that counts for a number."""
    for section in number_format.split(";"):
        match = _SECTION.match(section)
        if match is None:
            break
        limit = float(match["limit"] or 0)
        if match["sign"] is None or (value < limit if match["sign"] == "<" else value >= limit):
            return match
    raise ValueError(f"no number format of the report: {number_format}")


def with_interval(mean: float | None, half_width: float | None, number_format: str) -> str:
    """Write a mean and the half-width of its interval: ``24.13 ± 1.20``.

    A half-width that would read 0 gets one decimal more: ``8.3 ± 0.04``.
    """
    if mean is None or half_width is None:
        return format_number(mean, number_format)
    width = format_number(half_width, number_format)
    if half_width > 0 and not any(digit in "123456789" for digit in width):
        decimals = len(width.partition(".")[2]) + 1
        width = f"{half_width:.{decimals}f}"
    return f"{format_number(mean, number_format)} ± {width}"
