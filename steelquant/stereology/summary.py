"""From measured fields to specimens: averages, verdicts, comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from steelquant.errors import FileError
from steelquant.stereology.grain_quantities import GRAIN_SIZE
from steelquant.stereology.measurement import FieldResult
from steelquant.stereology.phases import THRESHOLDS
from steelquant.stereology.populations import Population, populations_of
from steelquant.stereology.quantity import Quantity, find_quantity
from steelquant.stereology.specimen_grains import SpecimenGrains, specimen_grains
from steelquant.stereology.specimens import (
    EVERY_SPECIMEN,
    Assignment,
    Comparison,
    Judgement,
    Limit,
    Verdict,
    compare,
    judge,
    limits_of,
    overall,
)
from steelquant.stereology.statistics import Estimate, fields_needed, fields_needed_by_points

WANTED_ACCURACY_PERCENT = 10.0
"""%RA that the standards aim at."""

WANTED_FIELDS = 5
"""Fewest fields of a specimen by the standards."""


@dataclass(frozen=True, eq=False)
class SpecimenResult:
    """The fields of one specimen together.

    Attributes
    ----------
    name, details
        Its name, and what a table said of it.
    fields
        Its fields in the order of the masks.
    estimates
        By the quantity's name.
    judgements, verdict
        Against each limit, and over all of them; None without limits.
    fields_needed
        Number of fields with which the mean of the first quantity would reach %RA ≤ 10, or None.
    grains
        Its ferrite grains; None where no field has any.
    populations
        Features and grains of all fields together, by kind.
    remarks
        Where the specimen misses the standards' aims, one sentence each; those on grains stand in `grains`.
    """

    name: str
    details: tuple[tuple[str, str], ...]
    fields: tuple[FieldResult, ...]
    estimates: dict[str, Estimate]
    judgements: tuple[Judgement, ...]
    verdict: Verdict | None
    fields_needed: int | None
    grains: SpecimenGrains | None
    populations: tuple[Population, ...]
    remarks: tuple[str, ...]


def summarise(
    fields: Sequence[FieldResult],
    assignments: Sequence[Assignment],
    quantities: Sequence[Quantity],
    limits: Sequence[Limit],
) -> tuple[SpecimenResult, ...]:
    """Average the fields of each specimen and hold the averages against its limits.

    Parameters
    ----------
    fields, assignments
        Each field and its specimen.
    quantities
        What to average; the first decides how many fields are needed.
    limits
        With the quantities' own names, as :func:`name_limits` gives them.
    """
    groups: dict[str, list[tuple[FieldResult, Assignment]]] = {}
    for field, assignment in zip(fields, assignments, strict=True):
        groups.setdefault(assignment.specimen, []).append((field, assignment))
    return tuple(_specimen(name, members, quantities, limits) for name, members in groups.items())


def compare_specimens(
    specimens: Sequence[SpecimenResult], quantities: Sequence[Quantity]
) -> tuple[Comparison, ...]:
    """Compare each two specimens in every quantity that is meant for it."""
    found: list[Comparison] = []
    for quantity in quantities:
        if quantity.is_compared:
            values = {
                specimen.name: [v for field in specimen.fields if (v := quantity.counted(field)) is not None]
                for specimen in specimens
            }
            found += compare(quantity.name, values)
    return tuple(found)


def idle_limits(specimens: Sequence[SpecimenResult], limits: Sequence[Limit]) -> list[str]:
    """Return the specimens that have limits but no fields."""
    known = {specimen.name.casefold() for specimen in specimens} | {EVERY_SPECIMEN}
    return list(dict.fromkeys(limit.specimen for limit in limits if limit.specimen.casefold() not in known))


def name_limits(limits: Sequence[Limit], quantities: Sequence[Quantity], path: Path) -> tuple[Limit, ...]:
    """Return the limits with the quantities' own names.

    Raises
    ------
    FileError
        If a limit names no quantity.
    """
    named = []
    for limit in limits:
        quantity = find_quantity(limit.quantity, quantities)
        if quantity is None:
            known = ", ".join(quantity.name for quantity in quantities)
            raise FileError(path, f"no quantity is called {limit.quantity}; there are: {known}")
        named.append(Limit(limit.specimen, quantity.name, limit.minimum, limit.maximum))
    return tuple(named)


def _specimen(
    name: str,
    members: Sequence[tuple[FieldResult, Assignment]],
    quantities: Sequence[Quantity],
    limits: Sequence[Limit],
) -> SpecimenResult:
    fields = tuple(field for field, _ in members)
    details: dict[str, dict[str, None]] = {}
    for _, assignment in members:
        for key, value in assignment.details:
            details.setdefault(key, {})[value] = None
    estimates = {quantity.name: quantity.over(fields) for quantity in quantities}
    judgements = tuple(judge(name, estimates[limit.quantity], limit) for limit in limits_of(name, limits))
    needed = fields_needed(estimates[quantities[0].name], WANTED_ACCURACY_PERCENT)
    return SpecimenResult(
        name=name,
        details=tuple(
            (key, "; ".join(value for value in values if value)) for key, values in details.items()
        ),
        fields=fields,
        estimates=estimates,
        judgements=judgements,
        verdict=overall(judgements),
        fields_needed=needed,
        grains=specimen_grains(fields, estimates[GRAIN_SIZE]) if GRAIN_SIZE in estimates else None,
        populations=populations_of(fields),
        remarks=tuple(_remarks(fields, quantities[0], estimates, needed)),
    )


def _sensitivity(fields: Sequence[FieldResult]) -> Iterator[str]:
    """Say between what the mean fraction lies as the probability that makes pearlite is moved."""
    known = [field.sensitivity for field in fields if field.sensitivity is not None]
    if known:
        most, least = (100 * sum(found[place] for found in known) / len(known) for place in (0, -1))
        which = "" if len(known) == len(fields) else f" ({len(known)} of {len(fields)} fields)"
        yield (
            f"pearlite {least:.2f} to {most:.2f} % at probability thresholds {THRESHOLDS[-1]:g} to "
            f"{THRESHOLDS[0]:g}{which}"
        )


def _more_fields(fields: Sequence[FieldResult], found: Estimate, needed: int | None) -> str:
    """Say how many more fields would reach the wanted %RA; one field is planned for as E562 does."""
    if needed is not None:
        more = needed - found.n
        return f": about {more} more {'field' if more == 1 else 'fields'} would reach it, {needed} in all"
    points = next(iter(fields[0].phases.values())).point_count.points
    if len(fields) > 1 or not found.mean or not points:
        return ""
    planned = fields_needed_by_points(found.mean, points, WANTED_ACCURACY_PERCENT / 100)
    return f": E562 plans {planned} fields of {points} points for it"


def _remarks(
    fields: Sequence[FieldResult],
    main: Quantity,
    estimates: dict[str, Estimate],
    needed: int | None,
) -> Iterator[str]:
    if len(fields) < WANTED_FIELDS:
        yield f"{len(fields)} of at least {WANTED_FIELDS} fields"
    accuracy = estimates[main.name].relative_accuracy_percent
    if accuracy is not None and accuracy > WANTED_ACCURACY_PERCENT:
        more = _more_fields(fields, estimates[main.name], needed)
        yield f"%RA {accuracy:.1f} above {WANTED_ACCURACY_PERCENT:g}{more}"
    yield from _sensitivity(fields)
    sizes = {field.pixel_size_um for field in fields}
    if None in sizes:
        count = sum(field.pixel_size_um is None for field in fields)
        which = "" if count == len(fields) else f"{count} of {len(fields)} fields "
        yield f"{which}not calibrated: lengths are empty"
    if len(sizes - {None}) > 1:
        yield "fields of different µm/px are averaged"
    uncertain = sum(not field.axis.certain for field in fields)
    if uncertain:
        which = "" if uncertain == len(fields) else f" in {uncertain} of {len(fields)} fields"
        yield f"no certain deformation axis{which}: banding is measured along the likeliest (or give --axis)"
