"""Fields into specimens, limits and verdicts, comparisons."""

from __future__ import annotations

from dataclasses import replace

import pytest

from steelquant.errors import FileError, UsageError
from steelquant.stereology.specimens import (
    UNASSIGNED,
    Assignment,
    FieldName,
    Limit,
    Verdict,
    compare,
    judge,
    limits_of,
    overall,
    read_grouping,
    read_limits,
)
from steelquant.stereology.statistics import Estimate, estimate


def named(*names: str, folder: str = "lot 7") -> list[FieldName]:
    return [FieldName(name, f"{name}.tif", folder) for name in names]


def specimens(option: str, fields: list[FieldName]) -> list[str]:
    return [assignment.specimen for assignment in read_grouping(option).assign(fields)[0]]


def test_the_folder_is_the_specimen():
    fields = [*named("a", "b", folder="C15"), *named("c", folder="C45")]

    assert specimens("folder", fields) == ["C15", "C15", "C45"]


@pytest.mark.parametrize(
    "pattern",
    [
        "{}_*",
        "{}_field?",
        r"^(.+)_field",
        r"(?P<specimen>[A-Z]\d+)_",
        r"^[A-Z]\d+",
        r"^(?:[x-z]_)?([A-Z]\d+)",
    ],
)
def test_a_pattern_takes_the_specimen_from_the_name(pattern):
    assert specimens(pattern, named("A1_field1", "A1_field2", "B22_field1")) == ["A1", "A1", "B22"]


def test_braces_stand_for_the_shortest_text_and_the_rest_is_literal():
    assert specimens("{}-(x)_*", named("S.1-(x)_3_4")) == ["S.1"]
    assert specimens("{}-(x)_*", named("S.1-x_3")) == [UNASSIGNED]


def test_fields_that_no_pattern_knows_are_told():
    found, warnings = read_grouping(r"^(A\d)_").assign(named("A1_1", "other"))

    assert [assignment.specimen for assignment in found] == ["A1", UNASSIGNED]
    assert len(warnings) == 1
    assert "other" in warnings[0]


def test_a_wrong_pattern_is_a_usage_error_that_shows_how_to_write_one():
    with pytest.raises(UsageError, match=r"\{\}_field\*"):
        read_grouping("*_1")


@pytest.mark.parametrize(
    "content",
    [
        'field,specimen,heat,operator\nf1,S1,H9,"Ms, X"\nF2.TIF,S2,H9,\n',
        "field;specimen;heat;operator\r\nf1;S1;H9;Ms, X\r\n\r\nf2;S2;H9;\r\n",
        "\ufeffField\tSpecimen\tHeat\tOperator\n f1 \tS1\tH9\tMs, X\nf2\tS2\tH9\n",
    ],
)
def test_a_table_names_specimens_and_carries_its_other_columns(tmp_path, content):
    table = tmp_path / "specimens.csv"
    table.write_text(content, encoding="utf-8", newline="")

    found, warnings = read_grouping(str(table)).assign(named("f1", "f2"))

    assert found[0] == Assignment("S1", (("heat", "H9"), ("operator", "Ms, X")))
    assert found[1].specimen == "S2"
    assert warnings == []


def test_a_table_saved_by_windows_in_latin_characters_is_read(tmp_path):
    table = tmp_path / "specimens.csv"
    table.write_bytes("field;specimen\nf1;Probe Müller\n".encode("cp1252"))

    assert specimens(str(table), named("f1")) == ["Probe Müller"]


def test_what_a_table_and_the_fields_do_not_share_is_told(tmp_path):
    table = tmp_path / "specimens.csv"
    table.write_text("field,specimen\nf1,S1\nghost,S1\n")

    found, warnings = read_grouping(str(table)).assign(named("f1", "f2"))

    assert [assignment.specimen for assignment in found] == ["S1", UNASSIGNED]
    assert any("f2" in warning for warning in warnings)
    assert any("ghost" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read"),
        ("", "is empty"),
        ("name,specimen\nf1,S1\n", "lacks the column field"),
        ("field,specimen\nf1,\n", "line 2"),
        ("field,specimen\nf1,S1\nF1,S2\n", "line 3: the field F1 is named twice"),
        ("field,specimen\nf1,S1,H9\n", "line 2: 3 cells"),
    ],
)
def test_a_wrong_table_is_told_in_one_line(tmp_path, content, problem):
    table = tmp_path / "specimens.csv"
    if content is not None:
        table.write_text(content)

    with pytest.raises(FileError, match=problem) as caught:
        read_grouping(str(table))
    assert "specimens.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def interval(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, 5, 1.0, (high - low) / 2, 1.0)


@pytest.mark.parametrize(
    ("low", "high", "minimum", "maximum", "verdict"),
    [
        (21, 29, 20, 30, Verdict.PASS),
        (20, 30, 20, 30, Verdict.PASS),
        (19, 29, 20, 30, Verdict.UNDECIDED),
        (21, 31, 20, 30, Verdict.UNDECIDED),
        (10, 40, 20, 30, Verdict.UNDECIDED),
        (31, 39, 20, 30, Verdict.FAIL),
        (10, 19, 20, 30, Verdict.FAIL),
        (10, 19, None, 20, Verdict.PASS),
        (10, 21, None, 20, Verdict.UNDECIDED),
        (21, 23, None, 20, Verdict.FAIL),
        (21, 23, 20, None, Verdict.PASS),
    ],
)
def test_a_limit_inside_the_interval_decides_nothing(low, high, minimum, maximum, verdict):
    judgement = judge("S", interval(low, high), Limit("S", "Pearlite (%)", minimum, maximum))

    assert judgement.verdict is verdict


@pytest.mark.parametrize(
    ("quantity", "low", "high", "minimum", "maximum", "verdict"),
    [
        ("Pearlite (%)", -1, 9, 0, 30, Verdict.PASS),
        ("Ferrite (%)", 91, 101, 60, 100, Verdict.PASS),
        ("Pearlite mean free path (µm)", -1, 9, 0, 30, Verdict.PASS),
        ("Grain size G (–)", -1, 9, 0, 30, Verdict.UNDECIDED),  # G may be below 0
    ],
)
def test_an_interval_beyond_what_is_possible_does_not_touch_a_limit_there(
    quantity, low, high, minimum, maximum, verdict
):
    assert judge("S", interval(low, high), Limit("S", quantity, minimum, maximum)).verdict is verdict


@pytest.mark.parametrize(
    ("low", "high", "where"), [(21, 29, "within"), (31, 39, "outside"), (19, 29, "around")]
)
def test_one_field_decides_nothing_however_narrow_its_interval(low, high, where):
    alone = replace(interval(low, high), n=1, reason="one field: interval from 64 blocks of it")

    judgement = judge("S", alone, Limit("S", "Pearlite (%)", 20, 30))

    assert judgement.verdict is Verdict.UNDECIDED
    assert "one field does not stand for a specimen" in judgement.reason
    assert where in judgement.reason


def test_without_an_interval_nothing_is_decided():
    judgement = judge("S", estimate([25.0]), Limit("*", "Pearlite (%)", 20, 30))

    assert judgement.verdict is Verdict.UNDECIDED
    assert "one field" in judgement.reason


def test_limits_are_read_and_a_specimens_own_limit_replaces_the_shared_one(tmp_path):
    path = tmp_path / "limits.csv"
    path.write_text(
        "specimen;quantity;minimum;maximum\n*;Pearlite (%);20;30,5\n"
        "S1;Pearlite (%);;40\n*;Carbon (wt%);0.1;\n"
    )

    limits = read_limits(path)

    assert limits[0] == Limit("*", "Pearlite (%)", 20, 30.5)
    assert [limit.text for limit in limits_of("S1", limits)] == ["at most 40", "at least 0.1"]
    assert [limit.text for limit in limits_of("S2", limits)] == ["20 to 30.5", "at least 0.1"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("*,Pearlite (%),,", "line 2"),
        ("*,,1,2", "line 2"),
        ("*,Pearlite (%),3,2", "lies above"),
        ("*,Pearlite (%),few,2", "minimum is not a number: few"),
        ("*,Pearlite (%),nan,2", "minimum is not a number"),
    ],
)
def test_a_limit_that_makes_no_sense_is_told(tmp_path, row, problem):
    path = tmp_path / "limits.csv"
    path.write_text(f"specimen,quantity,minimum,maximum\n{row}\n")

    with pytest.raises(FileError, match=problem):
        read_limits(path)


def test_the_worst_verdict_is_the_specimens():
    limit = Limit("*", "Pearlite (%)", 20, 30)
    results = {low: judge("S", interval(low, low + 4), limit) for low in (22, 28, 32)}

    assert overall([]) is None
    assert overall([results[22]]) is Verdict.PASS
    assert overall([results[22], results[28]]) is Verdict.UNDECIDED
    assert overall([results[22], results[28], results[32]]) is Verdict.FAIL


def test_all_pairs_are_compared_with_adjusted_p_values():
    values = {"A": [10.0, 11.0, 12.0], "B": [20.0, 21.0, 22.5], "C": [10.5, 11.0, 12.0], "single": [5.0]}

    comparisons = compare("Pearlite (%)", values)

    assert [(c.first, c.second) for c in comparisons] == [("A", "B"), ("A", "C"), ("B", "C")]
    raw = [c.result.p_value for c in comparisons]
    # smallest times 3, next times 2, largest times 1
    for rank, factor in zip(sorted(range(3), key=raw.__getitem__), (3, 2, 1), strict=True):
        assert comparisons[rank].p_holm == pytest.approx(min(1, factor * raw[rank]))
