"""What a quantity of a report is: one number per field, with its name, its meaning and how it is averaged."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from steelquant.stereology.measurement import FieldResult
from steelquant.stereology.statistics import Estimate, estimate

_MOST_REASONS = 2


@dataclass(frozen=True)
class Quantity:
    """One number per field.

    Attributes
    ----------
    name
        Its header in every output, with the unit in parentheses.
    number_format
        Excel's number format for it.
    meaning
        Definition for the report, one sentence.
    value
        The number of a field, or None where the field has none.
    single
        Estimate from one field alone, for specimens of one field; None where there is no such interval.
    average
        From one number per field, None among them, to mean and interval.
    reason
        Why a field has no number, or why its number is left out of the average; empty where neither holds.
        A number that has a reason is shown for its field alone.
    needs_scale
        Whether it is empty in fields that are not calibrated.
    is_compared
        Whether specimens are compared in it.
    is_on_page
        Whether its mean stands on the printed page of the Summary.
    """

    name: str
    number_format: str
    meaning: str
    value: Callable[[FieldResult], float | None]
    single: Callable[[FieldResult], Estimate] | None = None
    average: Callable[[Sequence[float | None]], Estimate] = estimate
    reason: Callable[[FieldResult], str] | None = None
    needs_scale: bool = False
    is_compared: bool = False
    is_on_page: bool = False

    def why_not(self, field: FieldResult) -> str:
        """Say why a field has no number here or does not enter the average; empty where it does."""
        if self.needs_scale and field.pixel_size_um is None:
            return f"not calibrated: {field.calibration.source}"
        return "" if self.reason is None else self.reason(field)

    def counted(self, field: FieldResult) -> float | None:
        """Return the number with which a field enters averages and comparisons, or None."""
        return None if self.why_not(field) else self.value(field)

    def over(self, fields: Sequence[FieldResult]) -> Estimate:
        """Average over the fields of a specimen.

        A specimen of one field gets the interval that the field itself gives, where there is one; what is
        missing or left out says why.
        """
        result = self.average([self.counted(field) for field in fields])
        if len(fields) == 1 and result.n == 1 and self.single is not None:
            return self.single(fields[0])
        left_out = [text for field in fields if (text := self.why_not(field))]
        if not left_out:
            return result
        reasons = list(dict.fromkeys(left_out))
        why = "; ".join(reasons[:_MOST_REASONS]) + (" …" if len(reasons) > _MOST_REASONS else "")
        if result.n > 0:
            why = f"{len(left_out)} of {len(fields)} fields left out: {why}"
            why += f"; {result.reason}" if result.reason else ""
        return replace(result, reason=why)


def label_of(phase: str) -> str:
    """Return a class name as headers write it."""
    return phase[:1].upper() + phase[1:]


def find_quantity(text: str, quantities: Iterable[Quantity]) -> Quantity | None:
    """Return the quantity that a user means by ``text``: its name with or without unit, in any case."""
    wanted = _plain(text)
    for quantity in quantities:
        if wanted in (_plain(quantity.name), _plain(quantity.name.split(" (")[0])):
            return quantity
    return None


def _plain(name: str) -> str:
    # NFKC makes one of the two characters for µ and of ² and 2.
    text = unicodedata.normalize("NFKC", name).casefold().replace("_", " ").replace("percent", "%")
    return re.sub(r"[\s()]+", "", text)
