"""Fields into specimens, specimens against limits and against each other.

A specimen is what fields are averaged over. Its name comes from a folder, from a pattern on the field's
name, or from a table.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from steelquant.errors import FileError, UsageError
from steelquant.micrograph.lists import read_list, read_number
from steelquant.stereology.statistics import Difference, Estimate, holm, welch

UNASSIGNED = "(no specimen)"
EVERY_SPECIMEN = "*"

_FEWEST_FIELDS = 2
"""Fields without which a specimen's spread, and so its verdict, is unknown."""


@dataclass(frozen=True)
class FieldName:
    """What grouping may look at: the field's name, its file's name and its folder's name."""

    name: str
    file_name: str
    folder: str


@dataclass(frozen=True)
class Assignment:
    """The specimen of one field, and what a table says about it, such as heat and operator."""

    specimen: str
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Grouping:
    """How fields become specimens; made by :func:`read_grouping`.

    Attributes
    ----------
    source
        The option as given, for the report.
    pattern
        Expression on the field's name, or None. Its group ``specimen``, else its first group, else all that
        it matches is the specimen.
    table
        Assignment by the field's or file's name, in lower case, or None.
    """

    source: str
    pattern: re.Pattern[str] | None = None
    table: Mapping[str, Assignment] | None = None

    def assign(self, fields: Sequence[FieldName]) -> tuple[list[Assignment], list[str]]:
        """Return each field's specimen, and one sentence per thing that did not fit.

        A field that neither pattern nor table knows belongs to ``(no specimen)``.
        """
        found = [self._find(field) for field in fields]
        lost = [field.name for field, match in zip(fields, found, strict=True) if match is None]
        warnings = []
        if lost:
            warnings.append(f"{_some(lost)}: no specimen by {self.source}")
        if self.table is not None:
            known = {_key(text) for field in fields for text in (field.name, field.file_name)}
            unused = [name for name in self.table if name not in known]
            if unused:
                warnings.append(f"{_some(unused)}: named in {self.source}, but no such field was measured")
        return [match or Assignment(UNASSIGNED) for match in found], warnings

    def _find(self, field: FieldName) -> Assignment | None:
        if self.table is not None:
            return self.table.get(_key(field.name)) or self.table.get(_key(field.file_name))
        if self.pattern is not None:
            match = self.pattern.search(field.name)
            group = 1 if self.pattern.groups else 0
            name = match["specimen" if "specimen" in self.pattern.groupindex else group] if match else ""
            return Assignment(name) if name else None
        return Assignment(field.folder) if field.folder else None


def read_grouping(option: str) -> Grouping:
    r"""Understand the option ``--specimen``.

    Parameters
    ----------
    option
        ``folder``: the folder of the micrographs (of the masks, where no ``segmentation.json`` names them).
        A name that ends in ``.csv``: a table with the columns ``field`` and ``specimen`` and any others, such
        as ``heat`` and ``operator``, which are carried into the report. Anything else is a pattern on the
        field's name. With ``{}`` it is the whole name, ``{}`` standing for the specimen, ``*`` for any text
        and ``?`` for any character: ``{}_field*``. Otherwise it is a regular expression, searched anywhere,
        whose group is the specimen, or all that it matches: ``^(.+)_\d+$``, ``[A-Z]\d+``.

    Raises
    ------
    UsageError
        If the pattern cannot be understood.
    FileError
        If the table cannot be read.
    """
    if option == "folder":
        return Grouping("folder")
    if option.lower().endswith(".csv"):
        return Grouping(option, table=_read_table(Path(option)))
    return Grouping(f"pattern {option}", pattern=_compile(option))


def _compile(option: str) -> re.Pattern[str]:
    if option.count("{}") == 1:
        parts = {"*": ".*?", "?": ".", "\0": "(?P<specimen>.+?)"}
        whole = "".join(parts.get(char, re.escape(char)) for char in option.replace("{}", "\0"))
        return re.compile(f"^{whole}$")
    try:
        return re.compile(option)
    except re.error as error:
        raise UsageError(
            f"--specimen {option}: neither `folder`, nor a .csv file, nor a pattern: {error}; "
            "write {} where the specimen stands, such as '{}_field*', or a regular expression with a (group)"
        ) from None


def _read_table(path: Path) -> dict[str, Assignment]:
    rows = read_list(path, required=("field", "specimen"))
    table: dict[str, Assignment] = {}
    for line, row in rows:
        field, specimen = row.pop("field"), row.pop("specimen")
        if not field or not specimen:
            raise FileError(path, f"line {line}: field and specimen must both be given")
        if _key(field) in table:
            raise FileError(path, f"line {line}: the field {field} is named twice")
        table[_key(field)] = Assignment(specimen, tuple(row.items()))
    return table


def _key(name: str) -> str:
    return name.strip().casefold()


def _some(names: Sequence[str], most: int = 5) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


class Verdict(StrEnum):
    """What the interval says about a limit."""

    PASS = "pass"  # nosec B105 # no password
    FAIL = "fail"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Limit:
    """What a quantity's mean may be, for one specimen or, as ``*``, for each that has no limit of its own."""

    specimen: str
    quantity: str
    minimum: float | None
    maximum: float | None

    @property
    def text(self) -> str:
        """The limit in words of a report: ``20 to 30``, ``at most 30``."""
        if self.minimum is not None and self.maximum is not None:
            return f"{self.minimum:g} to {self.maximum:g}"
        return f"at least {self.minimum:g}" if self.minimum is not None else f"at most {self.maximum:g}"


@dataclass(frozen=True)
class Judgement:
    """A limit, the estimate that it was held against, and the verdict with its reason."""

    specimen: str
    limit: Limit
    estimate: Estimate
    verdict: Verdict
    reason: str


def read_limits(path: Path) -> tuple[Limit, ...]:
    """Read limits from a CSV with the columns ``specimen``, ``quantity``, ``minimum`` and ``maximum``.

    The specimen ``*`` is each that has no limit of its own for the quantity. An empty minimum or maximum is
    no limit on that side.

    Raises
    ------
    FileError
        If the file cannot be read or a row makes no sense.
    """
    limits = []
    for line, row in read_list(path, required=("specimen", "quantity", "minimum", "maximum")):
        minimum, maximum = (read_number(path, line, name, row[name]) for name in ("minimum", "maximum"))
        if not row["quantity"] or (minimum is None and maximum is None):
            raise FileError(path, f"line {line}: give a quantity and a minimum, a maximum or both")
        if minimum is not None and maximum is not None and minimum > maximum:
            raise FileError(path, f"line {line}: the minimum {minimum:g} lies above the maximum {maximum:g}")
        limits.append(Limit(row["specimen"] or EVERY_SPECIMEN, row["quantity"], minimum, maximum))
    return tuple(limits)


def limits_of(specimen: str, limits: Sequence[Limit]) -> list[Limit]:
    """Return the limits that hold for a specimen: its own, and ``*`` where it has none for the quantity."""
    own = [limit for limit in limits if _key(limit.specimen) == _key(specimen)]
    named = {limit.quantity for limit in own}
    shared = (limit for limit in limits if limit.specimen == EVERY_SPECIMEN and limit.quantity not in named)
    return [*own, *shared]


def judge(specimen: str, estimate: Estimate, limit: Limit) -> Judgement:
    """Hold an estimate against a limit, the interval respected.

    Pass when the whole 95 % interval lies within the limits, fail when it lies wholly outside, and
    otherwise undecided, as it is without an interval. One field decides nothing either way: its interval
    comes from within and cannot know how the specimen differs elsewhere.
    """
    low, high = estimate.low, estimate.high
    lower, upper = limit.minimum, limit.maximum
    if estimate.mean is None or low is None or high is None:
        return Judgement(specimen, limit, estimate, Verdict.UNDECIDED, f"no interval: {estimate.reason}")
    least, most = _possible(limit.quantity)
    within = (lower is None or max(low, least) >= lower) and (upper is None or min(high, most) <= upper)
    outside = (lower is not None and high < lower) or (upper is not None and low > upper)
    interval = f"the 95 % interval {low:.4g} to {high:.4g}"
    if estimate.n < _FEWEST_FIELDS:
        where = "within the limits" if within else "outside the limits" if outside else "around a limit"
        reason = f"one field does not stand for a specimen ({interval} of its own blocks lies {where})"
        return Judgement(specimen, limit, estimate, Verdict.UNDECIDED, reason)
    if within:
        return Judgement(specimen, limit, estimate, Verdict.PASS, f"{interval} lies within the limits")
    if outside:
        return Judgement(specimen, limit, estimate, Verdict.FAIL, f"{interval} lies outside the limits")
    return Judgement(specimen, limit, estimate, Verdict.UNDECIDED, f"a limit lies inside {interval}")


def _possible(quantity: str) -> tuple[float, float]:
    """Return between what a quantity lies by its nature, for a symmetric interval may reach beyond."""
    if quantity.endswith("(–)"):
        return -math.inf, math.inf
    return 0.0, 100.0 if quantity.endswith("(%)") else math.inf


def overall(judgements: Sequence[Judgement]) -> Verdict | None:
    """Return fail if any limit failed, else undecided if any is, else pass; None without limits."""
    verdicts = {judgement.verdict for judgement in judgements}
    return next((v for v in (Verdict.FAIL, Verdict.UNDECIDED, Verdict.PASS) if v in verdicts), None)


@dataclass(frozen=True)
class Comparison:
    """Two specimens compared in one quantity; ``p_holm`` is adjusted for all pairs of the quantity."""

    quantity: str
    first: str
    second: str
    result: Difference
    p_holm: float


def compare(quantity: str, values: Mapping[str, Sequence[float]]) -> list[Comparison]:
    """Compare every pair of specimens by Welch's t, p-values adjusted by Holm's rule.

    Parameters
    ----------
    quantity
        What the values are, with its unit.
    values
        One value per field, by specimen; specimens with fewer than two fields are left out.
    """
    pairs = []
    for first, second in itertools.combinations(values, 2):
        result = welch(values[first], values[second])
        if result is not None:
            pairs.append((first, second, result))
    adjusted = holm([result.p_value for _, _, result in pairs])
    return [Comparison(quantity, *pair, p) for pair, p in zip(pairs, adjusted, strict=True)]
