"""The report in a real browser: it loads clean, its slider moves, its tables sort, texts stay texts."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chromium import Chromium, find_chromium
from test_html import HOSTILE, edit_run, write_micrograph

from steelquant.reports.html import write_html
from steelquant.stereology import Quantification, quantify

sys.path.insert(0, str(Path(__file__).parents[1] / "stereology"))
from segmented_folder import squares, write_segmented

pytestmark = [
    pytest.mark.slow,  # a browser on a loaded machine answers late
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine"),
]

FRACTIONS = {"a_1": 0.36, "a_2": 0.09, "a_3": 0.16, "b_1": 0.49, "b_2": 0.25}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    program = find_chromium()
    assert program is not None
    page = Chromium(program, tmp_path_factory.mktemp("profile"))
    yield page
    page.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Quantification]:
    folder = tmp_path_factory.mktemp("report")
    masks = {name: squares(fraction) for name, fraction in FRACTIONS.items()}
    write_segmented(folder / "s", masks)
    hashes = {name: write_micrograph(folder / "images" / f"{name}.png", mask) for name, mask in masks.items()}

    def found(entry) -> None:
        entry["input"]["path"] = str(folder / "images" / f"{entry['name']}.png")
        entry["input"]["sha256"] = hashes[entry["name"]]

    edit_run(folder / "s", found)
    result = quantify(folder / "s", output=None, specimen="{}_*")
    write_html(result, folder / "r.html")
    return folder / "r.html", result


@pytest.fixture
def page(browser: Chromium, written: tuple[Path, Quantification]) -> Iterator[Chromium]:
    browser.resize(1280, 900)
    browser.prefer("light")
    browser.open(written[0])
    yield browser
    assert browser.problems == []


def attribute(page: Chromium, selector: str, name: str) -> str:
    return page.run(f"document.querySelector({json.dumps(selector)}).getAttribute({json.dumps(name)})")


def share(page: Chromium) -> int:
    return int(attribute(page, "#field-1 .divider", "aria-valuenow"))


def clip(page: Chromium) -> str:
    return page.run("document.querySelector('#field-1 .over').style.clipPath")


def column(page: Chromium, number: int) -> list[str]:
    cells = f"#fields-table tbody tr > :nth-child({number})"
    return page.run(
        f"[...document.querySelectorAll({json.dumps(cells)})].map((cell) => cell.textContent.trim())"
    )


def view_box(page: Chromium) -> tuple[float, float, float, float]:
    page.centre("#field-1 .view")
    x, y, width, height = page.run(
        "(() => { const b = document.querySelector('#field-1 .view').getBoundingClientRect();"
        "return [b.x, b.y, b.width, b.height]; })()"
    )
    return x, y, width, height


def test_page_loads_with_all_its_pictures_and_nothing_to_complain_of(page: Chromium) -> None:
    page.wait_for("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    assert page.run("document.images.length") == 2 * len(FRACTIONS)
    assert page.run("document.querySelectorAll('#field-1 .scale-bar span')[0].textContent") == "20 µm"
    assert page.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_slider_moves_by_keyboard_and_by_hand(page: Chromium) -> None:
    assert (share(page), clip(page)) == (50, "inset(0px 0px 0px 50%)")
    page.run("document.querySelector('#field-1 .divider').focus()")
    page.press("ArrowRight")
    assert share(page) == 52
    page.press("PageDown")
    assert share(page) == 42
    page.press("Home")
    assert (share(page), clip(page)) == (0, "inset(0px 0px 0px 0%)")
    page.press("End")
    assert share(page) == 100
    assert attribute(page, "#field-1 .divider", "aria-valuetext") == "100 % picture, 0 % phases"

    x, y = page.centre("#field-1 .divider")
    left, _, width, _ = view_box(page)
    y = page.centre("#field-1 .divider")[1]
    page.mouse("mousePressed", x - 4, y)
    page.mouse("mouseMoved", left + width * 0.6, y, held=True)
    page.mouse("mouseMoved", left + width * 0.25, y, held=True)
    page.mouse("mouseReleased", left + width * 0.25, y)
    assert share(page) == 25
    assert float(re.search(r"([\d.]+)%", clip(page))[1]) == pytest.approx(25, abs=0.5)


def test_table_sorts_by_mouse_and_keyboard(page: Chromium, written: tuple[Path, Quantification]) -> None:
    values = [f"{field.phases['pearlite'].area_fraction * 100:.2f}" for field in written[1].fields]
    assert column(page, 3) == values
    head = "#fields-table thead th:nth-child(3)"

    page.click(f"{head} button")
    assert column(page, 3) == sorted(values, key=float)
    assert column(page, 2) == sorted(FRACTIONS, key=FRACTIONS.get)
    assert attribute(page, head, "aria-sort") == "ascending"
    page.press("Enter", "\r")
    assert column(page, 3) == sorted(values, key=float, reverse=True)
    assert attribute(page, head, "aria-sort") == "descending"

    page.run("document.querySelector('#fields-table thead th:nth-child(2) button').focus()")
    page.press("Enter", "\r")
    assert column(page, 2) == sorted(FRACTIONS)
    assert attribute(page, head, "aria-sort") == "none"


def test_pointing_at_a_feature_tells_its_size(page: Chromium, written: tuple[Path, Quantification]) -> None:
    field = written[1].fields[0]
    found = field.features["pearlite"]
    left, top, width, height = view_box(page)
    number = int(np.argmin(abs(found.centroid_x_px - 90) + abs(found.centroid_y_px - 50)))
    x = left + width * (found.centroid_x_px[number] + 0.5) / field.width_px
    y = top + height * (found.centroid_y_px[number] + 0.5) / field.height_px
    readout = "document.querySelector('#field-1 .readout').textContent"

    page.mouse("mouseMoved", x, y)
    told = page.wait_for(readout)

    # A square of 12 px at 0.5 µm/px: 36 µm², and a circle of that area is 6.77 µm wide.
    assert told == f"pearlite {found.label[number]}: area 36.00 µm², equivalent diameter 6.77 µm"
    assert page.run("document.querySelector('#field-1 .mark').hidden") is False
    page.mouse("mouseMoved", left + 3, top + 3)
    assert page.wait_for(f"{readout} === 'ferrite'")


def test_cross_hair_reads_sizes_by_keyboard(page: Chromium) -> None:
    page.run("document.querySelector('#field-1 .view').focus()")
    for _ in range(4):
        page.press("ArrowRight")
    assert page.run("document.querySelector('#field-1 .cross').hidden") is False
    assert page.wait_for(
        "/^(pearlite \\d+: area|ferrite$)/.test(document.querySelector('#field-1 .readout').textContent)"
    )
    page.press("Escape")
    assert page.run("document.querySelector('#field-1 .cross').hidden") is True


def test_picture_zooms_by_button_key_and_wheel_and_moves_with_the_hand(page: Chromium) -> None:
    zoom = "document.querySelector('#field-1 .zoom').textContent"
    stage = "document.querySelector('#field-1 .stage').style.transform"
    left, top, width, height = view_box(page)
    middle = left + width / 3, top + height / 3

    page.mouse("mouseWheel", *middle, deltaX=0, deltaY=-100)
    assert page.run(zoom) == "1.0×", "the wheel must scroll the page until the picture is clicked"
    time.sleep(1)  # the page scrolls smoothly, and a click aims at where the button stands now
    page.click("#field-1 .zoom-in")
    assert page.run(zoom) == "1.5×"
    page.run("document.querySelector('#field-1 .view').focus({preventScroll: true})")
    page.press("+", "+")
    assert page.run(zoom) == "2.3×"
    left, top, width, height = view_box(page)
    middle = left + width / 3, top + height / 3
    page.mouse("mouseWheel", *middle, deltaX=0, deltaY=-120)
    page.wait_for(f"{zoom} === '3.4×'")
    before = page.run(stage)
    page.mouse("mousePressed", *middle)
    page.mouse("mouseMoved", middle[0] + 30, middle[1] + 10, held=True)
    page.mouse("mouseReleased", middle[0] + 30, middle[1] + 10)
    assert page.run(stage) != before
    page.press("0", "0")
    assert page.run(zoom) == "1.0×"
    assert page.run(stage) == "translate(0px, 0px) scale(1)"


def test_light_and_dark_follow_the_system_and_the_button(page: Chromium) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.run(paper)
    page.prefer("dark")
    dark = page.run(paper)
    assert dark != light
    assert page.wait_for("document.querySelector('#theme').getAttribute('aria-pressed') === 'true'")
    page.click("#theme")
    assert page.wait_for(f"{paper} === '{light}'")
    page.prefer("light")
    page.click("#theme")
    assert page.wait_for(f"{paper} === '{dark}'")


def test_narrow_screens_need_no_sideways_scrolling_of_the_page(page: Chromium) -> None:
    page.resize(390, 800)
    assert page.run("document.documentElement.scrollWidth") <= 390


def test_print_opens_what_is_folded_and_closes_it_again(page: Chromium, tmp_path: Path) -> None:
    closed = "document.querySelectorAll('details:not([open])').length"
    before = page.run(closed)
    page.run("addEventListener('beforeprint', () => { window.seen = " + closed + "; })")
    page.pdf(tmp_path / "r.pdf")
    assert before > 0
    assert page.run("window.seen") == 0
    assert page.run(closed) == before
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF")


def test_hostile_names_are_read_and_not_run(browser: Chromium, tmp_path: Path) -> None:
    folder = write_segmented(tmp_path / "s", {"a": squares(0.2)})

    def hostile(entry) -> None:
        entry["name"] = f"a{HOSTILE}"
        entry["input"]["folder"] = f"lot{HOSTILE}"
        entry["calibration"]["source"] = f"scale{HOSTILE}"
        entry["warnings"] = [f"warning{HOSTILE}"]

    edit_run(folder, hostile)
    table = tmp_path / "specimens.csv"
    quoted = HOSTILE.replace('"', '""')
    table.write_text(f'field,specimen,heat\n"a{quoted}","s{quoted}","h{quoted}"\n', encoding="utf-8")
    write_html(quantify(folder, output=None, specimen=str(table)), tmp_path / "r.html")

    browser.open(tmp_path / "r.html")

    assert browser.problems == []
    assert (
        browser.run("document.querySelectorAll('img:not([src^=\"data:\"]), script:not(.regions)').length")
        == 1
    )
    texts = browser.run("document.body.textContent")
    for start in ("a", "s", "h", "scale", "warning"):
        assert f"{start}{HOSTILE}" in texts, start
    # The policy in the page would stop a script that slipped through.
    browser.run(
        "document.body.insertAdjacentHTML('beforeend', '<img src=data:, onerror=\"window.hacked = 1\">')"
    )
    assert browser.run("new Promise((done) => setTimeout(() => done(window.hacked ?? 0), 300))") == 0
    browser.problems.clear()
