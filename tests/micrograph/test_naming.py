from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steelquant.micrograph.naming import natural_key, output_names


def names(*paths: str, roots: tuple[str, ...] = ("in",)) -> list[str]:
    return output_names([(Path(path), 0, 1) for path in paths], [Path(root) for root in roots])


def test_a_field_is_named_as_its_file() -> None:
    assert names("in/field 1.tif", "in/b.ome.tif") == ["field 1", "b.ome"]


def test_those_that_share_a_name_keep_their_ending_and_the_others_do_not() -> None:
    assert names("in/a.tif", "in/a.png", "in/b.png") == ["a.tif", "a.png", "b"]


def test_case_and_accents_that_windows_or_macos_do_not_tell_apart_collide() -> None:
    assert names("in/A.tif", "in/a.png") == ["A.tif", "a.png"]
    assert len({name.casefold() for name in names("in/A.tif", "in/a.tif")}) == 2
    composed, decomposed = "in/\u00e9.tif", "in/e\u0301.tif"
    assert len(set(names(composed, decomposed))) == 2


def test_those_of_sub_folders_are_told_by_them() -> None:
    assert names("in/left/1.tif", "in/right/1.tif", "in/right/2.tif") == ["left_1", "right_1", "2"]


def test_those_of_several_inputs_are_told_by_their_folder() -> None:
    assert names("x/s1/1.tif", "x/s2/1.tif", roots=("x/s1", "x/s2")) == ["s1_1", "s2_1"]
    assert names("x/s1/1.tif", "x/s1/1.png", "x/s2/1.tif", roots=("x",)) == ["s1_1", "1.png", "s2_1"]
    assert len(set(names("x/1.tif", "x/../x/1.tif", roots=("x",)))) == 2


def test_a_name_made_longer_does_not_take_a_name_that_is_there() -> None:
    got = names("in/a.tif", "in/a.png", "in/a.tif.bmp")
    assert got[2] == "a.tif"
    assert len(set(got)) == 3


def test_pages_are_numbered_from_one() -> None:
    fields = [(Path("in/stack.tif"), page, 12) for page in range(12)]
    got = output_names([*fields, (Path("in/single.tif"), 0, 1)], [Path("in")])
    assert got[0] == "stack.p01"
    assert got[11] == "stack.p12"
    assert got[12] == "single"
    hundred = output_names([(Path("s.tif"), page, 100) for page in range(100)], [])
    assert hundred[0] == "s.p001"
    assert hundred == sorted(hundred)


def test_a_page_does_not_take_the_name_of_another_file() -> None:
    fields = [(Path("s.tif"), 0, 2), (Path("s.tif"), 1, 2), (Path("s.p01.tif"), 0, 1)]
    assert len(set(output_names(fields, []))) == 3


@pytest.mark.parametrize("name", ["CON", "con", "nul", "COM1", "lpt9", "aux.x", "COM\u00b9", "PRN "])
def test_names_that_windows_reserves_are_changed(name: str) -> None:
    (got,) = names(f"in/{name}.tif")
    assert got.startswith("_")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("in/a\nb.tif", "a_b"),
        ('in/"q".tif', "_q_"),
        ("in/x?.tif", "x_"),
        ("in/dot..tif", "dot"),
        ("in/ sp .tif", "sp"),
        ("in/\U0001f52c.tif", "\U0001f52c"),
        ("in/-rf.tif", "_-rf"),
        ("in/a\udcff.tif", "a_"),
    ],
)
def test_characters_that_some_system_refuses_are_replaced(path: str, expected: str) -> None:
    assert names(path) == [expected]


def test_long_names_are_cut_and_stay_apart() -> None:
    stem = "\U0001f52c" * 60
    got = names(f"in/{stem}a.tif", f"in/{stem}b.tif", f"in/{'n' * 246}.tif")
    assert len(set(got)) == 3
    assert all(len(name.encode()) <= 200 for name in got)


WINDOWS_REFUSES = re.compile(
    r'[<>:"/\\|?*\x00-\x1f]|[. ]$|^$|^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)', re.IGNORECASE
)
FILE_NAME = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=()) | st.sampled_from("aA. ~_"),
    min_size=1,
    max_size=30,
).filter(lambda name: name not in (".", ".."))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(st.sampled_from(["", "s", "S", "s_s"]), FILE_NAME), min_size=1, max_size=8, unique=True
    )
)
def test_any_names_give_different_names_that_every_system_takes(entries: list[tuple[str, str]]) -> None:
    paths = list(dict.fromkeys(Path("in") / folder / name for folder, name in entries))
    got = output_names([(path, 0, 1) for path in paths], [Path("in")])
    assert len({name.casefold() for name in got}) == len(paths)
    for name in got:
        assert not WINDOWS_REFUSES.search(name), name
        assert len(name.encode()) <= 210


def test_natural_order_does_not_depend_on_the_order_given() -> None:
    expected = [Path(name) for name in ("Field 1.tif", "field 2.tif", "field 2b.tif", "Field 10.tif", "g")]
    for order in itertools.permutations(expected):
        assert sorted(order, key=natural_key) == expected
