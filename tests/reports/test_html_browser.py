"""The report in a real browser: it loads clean, its slider moves, its tables sort, texts stay texts."""

from __future__ import annotations

import json
import math
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chromium import Chromium, find_chromium
from test_html import HOSTILE, edit_run

from steelquant.micrograph.masks import read_mask
from steelquant.reports.html import write_html
from steelquant.stereology import Quantification, quantify
from steelquant.stereology.features import label_phase

sys.path.insert(0, str(Path(__file__).parents[1] / "stereology"))
from etched_fields import etched_field, write_etched
from segmented_folder import squares, write_segmented

pytestmark = [
    pytest.mark.slow,  # a browser on a loaded machine answers late
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine"),
]

FRACTIONS = {"a_1": 0.36, "a_2": 0.09, "a_3": 0.16, "b_1": 0.49, "b_2": 0.25}
LAYERS = ("phases", "boundaries", "grain sizes")


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
    fields = {
        name: etched_field(seed, cell_area_px=700.0, pearlite=fraction)
        for seed, (name, fraction) in enumerate(FRACTIONS.items())
    }
    result = quantify(write_etched(folder, fields), output=None, specimen="{}_*")
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
    assert page.run("document.images.length") == (1 + len(LAYERS)) * len(FRACTIONS)
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
    assert attribute(page, "#field-1 .divider", "aria-valuetext") == "100 % micrograph, 0 % phases"

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
    assert column(page, 2) == [name for _, name in sorted(zip(map(float, values), FRACTIONS, strict=True))]
    assert attribute(page, head, "aria-sort") == "ascending"
    page.press("Enter", "\r")
    assert column(page, 3) == sorted(values, key=float, reverse=True)
    assert attribute(page, head, "aria-sort") == "descending"

    page.run("document.querySelector('#fields-table thead th:nth-child(2) button').focus()")
    page.press("Enter", "\r")
    assert column(page, 2) == sorted(FRACTIONS)
    assert attribute(page, head, "aria-sort") == "none"


def shown_layers(page: Chromium) -> list[str]:
    return page.run(
        "[...document.querySelectorAll('#field-1 .layer')].filter((e) => e.checkVisibility())"
        ".map((e) => e.dataset.layer)"
    )


def test_buttons_choose_what_the_slider_uncovers(page: Chromium) -> None:
    chosen = "document.querySelector('#field-1 .layers input:checked')"
    assert shown_layers(page) == ["phases"]
    page.click("#field-1 .layers label:nth-of-type(2)")
    assert shown_layers(page) == ["boundaries"]
    assert page.run("document.querySelector('#field-1 .side.right').textContent") == "boundaries"
    # The arrow keys go on from there, and the legend goes along.
    page.press("ArrowRight")
    assert page.run(f"{chosen}.value") == "grain sizes"
    assert shown_layers(page) == ["grain sizes"]
    legend = "[...document.querySelectorAll('#field-1 .legend')].filter((e) => e.checkVisibility())"
    assert page.run(f"{legend}.length") == 1
    assert page.run(f"{legend}[0].textContent.trim()").startswith("equivalent diameter (µm)")
    assert attribute(page, "#field-1 .divider", "aria-valuetext") == "50 % micrograph, 50 % grain sizes"
    assert page.run("document.querySelectorAll('#field-2 .layer:not([hidden])').length") == 1


def told_at(page: Chromium, number: int, x_px: float, y_px: float) -> str:
    """What the page tells of the region at a place of the first field."""
    width, height = page.run(
        "(({width, height}) => [+width, +height])(document.querySelector('#field-1 .viewer').dataset)"
    )
    left, top, shown_width, shown_height = view_box(page)
    page.mouse(
        "mouseMoved", left + shown_width * (x_px + 0.5) / width, top + shown_height * (y_px + 0.5) / height
    )
    readout = "document.querySelector('#field-1 .readout').textContent"
    return page.wait_for(f"(/ {number}: /.test({readout}) && {readout})")


@pytest.mark.parametrize("kind", ["pearlite", "ferrite grain"])
def test_pointing_at_a_feature_or_grain_tells_its_size(
    page: Chromium, written: tuple[Path, Quantification], kind: str
) -> None:
    field = written[1].fields[0]
    assert field.grains is not None
    features = field.features["pearlite"] if kind == "pearlite" else field.grains.features
    labels = label_phase(read_mask(field.source.mask_path).labels, 1)
    labels = labels if kind == "pearlite" else field.grains.labels.unpack()
    rows, columns = np.indices(labels.shape)
    inside = ~features.cut & (
        labels[features.centroid_y_px.round().astype(int), features.centroid_x_px.round().astype(int)]
        == features.label
    )
    number = int(np.flatnonzero(inside)[0])
    pixels = labels == features.label[number]
    area_px = int(pixels.sum())
    x, y = (features.centroid_x_px[number].round(), features.centroid_y_px[number].round())
    assert np.isclose(columns[pixels].mean(), features.centroid_x_px[number])
    assert np.isclose(rows[pixels].mean(), features.centroid_y_px[number])

    told = told_at(page, features.label[number], x, y)

    size = f"{math.sqrt(4 * area_px * 0.25 / math.pi):.2f} µm, area {area_px * 0.25:.2f} µm²"
    assert told.startswith(f"{kind} {features.label[number]}: equivalent diameter {size}, aspect ratio ")
    ratio = features.feret_max_px[number] / features.feret_min_px[number]
    assert float(told.rpartition(" ")[2]) == pytest.approx(ratio, abs=0.0051)
    assert page.run("document.querySelector('#field-1 .mark').checkVisibility()")
    assert page.run("document.querySelector('#field-1 .tip').innerText.split('\\n')[0]") == (
        f"{kind} {features.label[number]}"
    )
    tip = "document.querySelector('#field-1 .tip').getBoundingClientRect()"
    box = "document.querySelector('#field-1 .view').getBoundingClientRect()"
    assert page.run(f"{tip}.left >= {box}.left && {tip}.right <= {box}.right && {tip}.bottom <= {box}.bottom")


def test_cut_grains_say_that_they_are_cut(page: Chromium, written: tuple[Path, Quantification]) -> None:
    grains = written[1].fields[0].grains
    assert grains is not None
    labels = grains.labels.unpack()
    at = int(np.flatnonzero(labels[0] > 0)[20])
    told = told_at(page, int(labels[0, at]), at, 0)
    assert told.endswith("cut: only this part is in the field")


def test_cross_hair_reads_sizes_by_keyboard(page: Chromium) -> None:
    page.run("document.querySelector('#field-1 .view').focus()")
    for _ in range(4):
        page.press("ArrowRight")
    assert page.run("document.querySelector('#field-1 .cross').hidden") is False
    assert page.wait_for(
        "/^(pearlite|ferrite grain) \\d+: equivalent/.test("
        "document.querySelector('#field-1 .readout').textContent)"
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
    prints = "document.querySelectorAll('.prints figure').length"
    page.run(
        f"addEventListener('beforeprint', () => {{ window.seen = {closed}; window.prints = {prints}; }})"
    )
    page.pdf(tmp_path / "r.pdf")
    assert before > 0
    assert page.run("window.seen") == 0
    assert page.run("window.prints") == len(FRACTIONS) * (1 + len(LAYERS))
    assert page.run(closed) == before
    assert page.run("document.querySelectorAll('.prints').length") == 0
    assert shown_layers(page) == ["phases"]
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
