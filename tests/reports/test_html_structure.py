"""Grains, sizes, directions and banding in the report for the browser."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_html import Elements, edit_run, report

from steelquant.micrograph.field import Calibration, Mask
from steelquant.micrograph.masks import write_mask
from steelquant.reports.html.grain_colours import COLOURS, CUT, CUT_COLOUR, SizeScale, size_scales
from steelquant.reports.html.micrographs import Found
from steelquant.reports.html.pictures import make_pictures
from steelquant.reports.html.regions import Regions
from steelquant.reports.html.roses import rose_charts
from steelquant.reports.html.size_charts import sizes_charts
from steelquant.stereology import Quantification, quantify
from steelquant.stereology.features import measure_features

sys.path.insert(0, str(Path(__file__).parents[1] / "stereology"))
from etched_fields import etched_field, write_etched
from segmented_folder import squares, write_segmented

BRICK = (40, 60)
"""Height and width of the grains of the drawn fields."""


def bricks(shape: tuple[int, int] = (240, 360)) -> np.ndarray:
    """A wall of equal grains, numbered from 1, every other course shifted by half a brick."""
    rows, columns = np.indices(shape)
    course = rows // BRICK[0]
    place = (columns + course % 2 * BRICK[1] // 2) // BRICK[1]
    return (course * 100 + place + 1).astype(np.int32)


@pytest.fixture(scope="module")
def walls(tmp_path_factory: pytest.TempPathFactory) -> Quantification:
    """Two specimens of two fields each: bricks of 20 × 30 µm, and bricks drawn at a quarter of the scale."""
    folder = tmp_path_factory.mktemp("walls")
    fields = {f"a_{n}": etched_field(n, pearlite=0.15, cells=bricks()) for n in (1, 2)}
    fields |= {f"b_{n}": etched_field(n + 2, cell_area_px=900.0, contrast=0.6) for n in (1, 2)}
    return quantify(write_etched(folder, fields), output=None, specimen="{}_*", axis_deg=0.0)


@pytest.fixture(scope="module")
def page(walls: Quantification, tmp_path_factory: pytest.TempPathFactory) -> str:
    return report(walls, tmp_path_factory.mktemp("page") / "r.html")


def field_of(page: str, number: int) -> str:
    return page[page.index(f'id="field-{number}"') :].split("</article>")[0]


def decoded(field: str) -> tuple[np.ndarray, np.ndarray, list[list]]:
    """The picture of numbers, the sizes and the kinds of regions, as the page's script reads them."""
    data = json.loads(re.search(r'class="regions">(.*?)</script>', field, re.DOTALL)[1])
    steps, own, sizes = (
        zlib.decompress(base64.b64decode(data[key])) for key in ("steps", "numbers", "sizes")
    )
    given = iter(np.frombuffer(own, "<u4").tolist())
    height, width = data["height"], data["width"]
    numbers = np.zeros((height + 1, width + 1), np.int64)
    for place in range(height * width):
        row, at = divmod(place, width)
        step = steps[place // 4] >> 2 * (place % 4) & 3
        told = numbers[row, at + 1] if step == 0 else numbers[row + 1, at] if step == 1 else next(given)
        numbers[row + 1, at + 1] = told
    return numbers[1:, 1:], np.frombuffer(sizes, "<u4").reshape(3, -1).astype(np.int64), data["kinds"]


def picture(address: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as opened:
        return np.asarray(opened.convert("RGBA"))


def test_pointing_at_a_grain_finds_the_size_of_the_brick_that_was_drawn(page: str) -> None:
    numbers, sizes, kinds = decoded(field_of(page, 1))
    (_, first, count) = kinds[-1]
    assert kinds[-1][0] == "ferrite grain"
    first_sized = next(start for _, start, members in kinds if members)
    areas, names, aspects = sizes
    found = 0
    for row in range(1, 5):
        for column in range(1, 5):
            y, x = row * BRICK[0] + BRICK[0] // 2, column * BRICK[1] + (row + 1) % 2 * BRICK[1] // 2
            number = int(numbers[y, x])
            if not first <= number < first + count:
                continue  # pearlite
            at = number - first_sized
            assert areas[at] >> 31 == 0
            assert areas[at] == pytest.approx(BRICK[0] * BRICK[1], rel=0.08)
            assert aspects[at] / 100 == pytest.approx(math.hypot(*BRICK) / BRICK[0], rel=0.15)
            assert names[at] > 0
            found += 1
    assert found >= 8


def test_grains_that_the_frame_cuts_say_so(page: str, walls: Quantification) -> None:
    numbers, sizes, kinds = decoded(field_of(page, 1))
    first_sized = next(start for _, start, members in kinds if members)
    grains = walls.fields[0].grains
    assert grains is not None
    first = kinds[-1][1]
    cut = sizes[0][first - first_sized :] >> 31
    assert np.array_equal(cut, grains.features.cut)
    on_frame = np.unique(np.concatenate([numbers[0], numbers[-1], numbers[:, 0], numbers[:, -1]]))
    for number in on_frame[on_frame >= first]:
        assert cut[number - first] == 1


def test_slider_uncovers_phases_boundaries_or_sizes(page: str) -> None:
    field = Elements(field_of(page, 1))
    layers = [a for a in field.all("img") if a["class"] == "layer"]
    assert [a["data-layer"] for a in layers] == ["phases", "boundaries", "grain sizes"]
    assert ["hidden" in a for a in layers] == [False, True, True]
    choices = [a for a in field.all("input") if a["type"] == "radio"]
    assert [a["value"] for a in choices] == ["phases", "boundaries", "grain sizes"]
    assert {a["name"] for a in choices} == {"field-1-layer"}


def test_boundaries_are_drawn_where_the_bricks_meet(page: str, walls: Quantification) -> None:
    layers = [a for a in Elements(field_of(page, 1)).all("img") if a["class"] == "layer"]
    drawn = picture(layers[1]["src"])[..., 3] > 0
    cells = bricks()
    meets = np.zeros(cells.shape, bool)
    meets[:, :-1] |= cells[:, 1:] != cells[:, :-1]
    meets[:-1] |= cells[1:] != cells[:-1]
    near = np.zeros_like(meets)
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            near |= np.roll(meets, (dy, dx), (0, 1))
    assert (drawn & near).sum() > 0.97 * drawn.sum()
    rows = picture(layers[0]["src"])
    assert rows.shape == (*cells.shape, 4)
    grains = walls.fields[0].grains
    assert grains is not None
    labels = grains.labels.unpack()
    assert not drawn[labels == 0].any()


def test_sizes_in_colour_follow_the_scale_and_cut_grains_stay_grey() -> None:
    # Four grains in a cross, and a small one in the middle that nothing cuts.
    grains = np.kron(np.array([[1, 2], [3, 4]], np.int32), np.ones((50, 50), np.int32))
    grains[45:55, 45:55] = 5
    labels = np.zeros((100, 100), np.uint8)
    mask = Mask(Path("m.tif"), labels, Calibration(None, ""), "")
    features = measure_features(grains)
    scale = SizeScale("px", (8.0, 8 * math.sqrt(2), 16.0))
    classes = scale.classes_of(features, 1.0)
    assert classes.tolist() == [CUT, CUT, CUT, CUT, 1]  # √(4·100/π) = 11.28

    regions = Regions("ferrite grain", grains, features, classes)
    found = Found(np.full((100, 100, 3), 200, np.uint8), "micrograph", "")
    phases, boundaries, sizes = make_pictures(found, mask, [regions], 10_000_000).layers

    assert [layer.name for layer in (phases, boundaries, sizes)] == ["phases", "boundaries", "grain sizes"]
    lines = picture(boundaries.address)[..., 3] > 0
    expected = np.zeros((100, 100), bool)
    expected[:, :-1] |= grains[:, 1:] != grains[:, :-1]
    expected[:-1] |= grains[1:] != grains[:-1]
    assert np.array_equal(lines, expected)
    coloured = picture(sizes.address)
    assert tuple(coloured[20, 20][:3]) == CUT_COLOUR
    assert tuple(coloured[49, 49][:3]) == COLOURS[1]


def test_colours_stand_for_the_same_sizes_in_all_fields(walls: Quantification, page: str) -> None:
    scales = size_scales(walls.fields)
    assert list(scales) == ["µm"]
    edges = np.array(scales["µm"].edges)
    assert edges.size == len(COLOURS) - 1
    assert np.allclose(edges[1:] / edges[:-1], math.sqrt(2))
    assert np.allclose(2 * np.log2(edges), np.round(2 * np.log2(edges)))
    for number in (1, 2, 3, 4):
        assert f"≥ {edges[-1]:.3g}</li>" in field_of(page, number)


def test_verdict_on_boundaries_stands_beside_the_grain_size(walls: Quantification, page: str) -> None:
    for number, field in enumerate(walls.fields, start=1):
        assert field.grains is not None
        assert field.pixel_size_um is not None
        text = field_of(page, number)
        intercept_um = field.grains.lines.mean_intercept_px * field.pixel_size_um
        written = f"{-6.643856 * math.log10(intercept_um / 1000) - 3.288:.1f}"
        search = field.grains.search
        chip = rf"<span class=\"chip \w+\">boundaries {search.verdict}<"
        with_interval = rf"{written}(?: ± \d+\.\d)?"
        assert re.search(rf"<b[^>]*>{with_interval}</b> <span>Grain size G \(–\)</span> {chip}", text)
        for warning in search.warnings:
            assert text.count(warning.replace("'", "&#39;")) == 1
        assert f"<dt>Grains (count)</dt><dd>{field.grains.features.count:,}, " in text


def test_verdicts_stand_beside_the_grain_size_in_the_table_of_fields(
    walls: Quantification, page: str
) -> None:
    table = page[page.index('id="fields-table"') :].split("</table>")[0]
    heads = re.findall(r"<button type=\"button\">(.*?)</button>", table)
    place = heads.index("Grain size G <small>–</small>")
    assert heads[place + 1] == "Grain boundaries"
    rows = re.findall(r"<tr>\s*<th scope=\"row\".*?</tr>", table, re.DOTALL)
    for row, field in zip(rows, walls.fields, strict=True):
        cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
        assert field.grains is not None
        assert cells[place + 1].startswith(f"<bdi>{field.grains.search.verdict}")
        assert re.fullmatch(r"\d+\.\d", cells[place])


def test_field_left_out_of_the_mean_says_so(tmp_path: Path) -> None:
    faint = etched_field(5, cell_area_px=60.0, contrast=0.02)
    folder = write_etched(tmp_path, {"a": faint, "b": etched_field(6, cell_area_px=900.0)})
    result = quantify(folder, output=None)
    assert [field.grains.counts for field in result.fields if field.grains] == [False, True]

    text = report(result, tmp_path / "r.html")

    assert "left out of the specimen&#39;s mean" in field_of(text, 1)
    assert 'class="chip fail">boundaries too faint<' in field_of(text, 1)
    assert "left out" not in field_of(text, 2)
    chart = text[text.index("<b>Grain size G per field</b>") :]
    assert "crosses are fields left out of the mean" in chart[: chart.index("</figcaption>")]


def test_summary_gives_grain_size_with_its_interval_and_what_it_rests_on(
    walls: Quantification, page: str
) -> None:
    table = page[page.index('id="grain-size"') : page.index('id="method"')]
    for specimen in walls.specimens:
        found = specimen.estimates["Grain size G (–)"]
        assert specimen.grains is not None
        assert found.mean is not None
        row = table[table.index(f"<bdi>{specimen.name}</bdi>") :]
        assert re.search(rf'main-value">{found.mean:.1f}( ± |<)', row)
        assert f"<b><bdi>{specimen.grains.grains:,} on " in row
        for remark in specimen.grains.remarks:
            assert remark in row
    assert "Pearlite bands Ω12 (–)" in table
    assert "in the manner of ASTM E112 and E1382" in page


def test_without_micrographs_the_page_says_why_there_is_no_grain_size(tmp_path: Path) -> None:
    folder = write_segmented(tmp_path / "s", {"a": squares(0.25)})

    text = report(quantify(folder, output=None), tmp_path / "r.html")
    assert "No grain size: the micrograph was not found (--images names a folder to look in)." in text
    assert 'id="grain-size"' not in text
    assert "<li><bdi>the micrograph was not found" in field_of(text, 1)
    text = report(quantify(folder, output=None, finds_grains=False), tmp_path / "r.html")
    assert "No grain size" not in text
    assert "Grain size G" not in field_of(text, 1)


def test_grains_without_a_scale_have_sizes_in_pixels(tmp_path: Path) -> None:
    folder = write_etched(tmp_path, {"a": etched_field(1, cells=bricks())}, pixel_size_um=None)
    result = quantify(folder, output=None)

    text = field_of(report(result, tmp_path / "r.html"), 1)

    assert list(size_scales(result.fields)) == ["px"]
    assert "equivalent diameter (px)" in text
    assert "no G: not calibrated: no scale in the file" in text
    assert "data-scale" not in text


def test_banding_stands_with_the_field_and_in_a_table(walls: Quantification, page: str) -> None:
    field = walls.fields[0]
    texture = field.textures["pearlite"]
    text = field_of(page, 1)
    assert texture.bands is not None
    degree = f"<dt>Pearlite bands Ω12 (–)</dt><dd>{texture.bands.degree_of_orientation:.3f}"
    assert degree.replace("-", "−") in text
    assert f"<dt>AI of single features (–)</dt><dd>{texture.banding.anisotropy_index:.2f}</dd>" in text
    assert "<dt>Deformation axis (°)</dt><dd>0, given</dd>" in text
    table = page[page.index("<h3>Banding</h3>") :].split("</table>")[0]
    heads = re.findall(r"<button type=\"button\">(.*?)</button>", table)
    assert "N_⊥ <small>1/mm</small>" in heads
    assert "SB <small>µm</small>" in heads
    assert table.count("<tr>") == 1 + len(walls.fields)


def test_bands_stand_with_their_index_spacing_contrast_and_what_was_passed_over(tmp_path: Path) -> None:
    rows = np.mgrid[:400, :600][0] % 50 < 20
    labels = (rows ^ (np.random.default_rng(0).random(rows.shape) < 0.1)).astype(np.uint8)
    write_mask(tmp_path / "m" / "a.tif", labels, pixel_size_um=0.5)
    result = quantify(tmp_path / "m", output=None, axis_deg=0.0)
    bands = result.fields[0].textures["pearlite"].bands
    assert bands is not None
    text = field_of(report(result, tmp_path / "r.html"), 1)
    assert f"<dt>Pearlite bands Ω12 (–)</dt><dd>{bands.degree_of_orientation:.3f}" in text
    assert f"<dt>Pearlite bands SB (µm)</dt><dd>{bands.spacing_px * 0.5:.1f}" in text
    assert f"<dt>Contrast of bands (–)</dt><dd>{bands.contrast:.1f}" in text
    assert f"<dt>Islands passed over below (µm)</dt><dd>{bands.smallest_island_px * 0.5:.1f}" in text


def test_unbroken_bands_have_an_infinite_index(tmp_path: Path) -> None:
    labels = np.zeros((120, 160), np.uint8)
    labels[10::30] = labels[11::30] = 1
    write_mask(tmp_path / "m" / "a.tif", labels, pixel_size_um=0.5)
    text = report(quantify(tmp_path / "m", output=None, axis_deg=0.0), tmp_path / "r.html")
    assert "<dd>∞</dd>" in field_of(text, 1)
    assert "unbroken bands: AI is infinite" in field_of(text, 1)


def test_lamellae_are_given_or_refused_with_the_reason(walls: Quantification, page: str) -> None:
    for number, field in enumerate(walls.fields, start=1):
        assert field.spacing is not None
        assert field.spacing.reason in field_of(page, number)
        assert field.spacing.reason


def test_charts_of_sizes_have_bars_of_the_shares_and_curves_of_the_fit(walls: Quantification) -> None:
    charts = {chart.title: chart for chart in sizes_charts(walls)}
    assert list(charts) == [
        "Pearlite features by number",
        "Pearlite features by area",
        "Ferrite grains by number",
        "Ferrite grains by area",
    ]
    chart = charts["Ferrite grains by area"]
    assert [series.name for series in chart.series] == ["a", "b"]
    for specimen, series in zip(walls.specimens, chart.series, strict=True):
        (grains,) = (p for p in specimen.populations if p.kind == "ferrite grains")
        scale = chart.y.end - chart.y.start
        shares = [100 * f for f in grains.sizes.by_area.fractions]
        heights = [-bar.height / scale * (chart.y.high - chart.y.low) for bar in series.bars]
        assert heights == pytest.approx(shares, abs=0.02)
        assert sum(heights) == pytest.approx(100, abs=0.2)
        fit = grains.sizes.by_area.lognormal
        assert fit is not None
        assert f"median {fit.median_um:.2f}\xa0µm" in series.fit
        points = [tuple(map(float, point.split(","))) for point in series.curve.split()]
        # The curve is highest at the fitted median, to half a class where all sizes are alike.
        x, _ = min(points, key=lambda point: point[1])
        first, second = chart.edges[:2]
        step = (second.at - first.at) / (2 * math.log2(float(second.text) / float(first.text)))
        at = first.at + step * 2 * math.log2(fit.median_um / float(first.text))
        assert x == pytest.approx(at, abs=step * (0.6 if specimen.name == "a" else 0.15))


def test_specimens_keep_their_colours_where_some_have_no_fit_or_no_grains(tmp_path: Path) -> None:
    fields = {"a": etched_field(1, cell_area_px=60.0, contrast=0.02)}  # no grains that count
    fields |= {"b": etched_field(2, cells=bricks())}  # hardly any pearlite
    fields |= {"c": etched_field(3, (300, 400), cell_area_px=350.0, contrast=0.6)}
    result = quantify(write_etched(tmp_path, fields), output=None, specimen="{}")
    charts = sizes_charts(result)
    colours = {"a": 1, "b": 2, "c": 3}
    drawn = {chart.title: {series.name: series.colour for series in chart.series} for chart in charts}
    assert drawn["Pearlite features by number"] == colours
    assert drawn["Ferrite grains by number"] == {"b": 2, "c": 3}
    assert [series.curve != "" for series in charts[0].series] == [True, False, True]

    text = report(result, tmp_path / "r.html")
    for title, names in drawn.items():
        figure = text[text.index(f"<b>{title}</b>") :].split("</figure>")[0]
        fits = re.findall(r'<polyline class="fit s(\d)"[^>]*><title>(\w): lognormal', figure)
        assert fits
        assert all(names[name] == int(number) for number, name in fits)


def test_roses_show_shares_as_areas_and_the_mean_only_where_it_is_beyond_chance(
    walls: Quantification, page: str
) -> None:
    roses = rose_charts(walls)
    assert list(roses) == ["pearlite features", "ferrite grains"]
    for specimen, chart in zip(walls.specimens, roses["ferrite grains"], strict=True):
        (grains,) = (p for p in specimen.populations if p.kind == "ferrite grains")
        radii = np.array([float(re.search(r"A([\d.]+) ", s.path)[1]) for s in chart.sectors])
        shares = np.array(grains.rose.shares)
        assert radii**2 / (radii**2).sum() == pytest.approx(shares / shares.sum(), abs=0.003)
        assert chart.even_radius**2 / (radii**2).sum() == pytest.approx(1 / 18, abs=0.003)
        assert (chart.mean is not None) == (grains.rose.p_value < 0.05)
    # The bricks lie along the horizontal.
    assert re.match(r"mean (0|180)°", roses["ferrite grains"][0].direction)
    assert "Directions of ferrite grains" in page


def test_grain_pictures_go_before_the_room_is_overstepped() -> None:
    rng = np.random.default_rng(4)
    grains = (np.arange(1200 * 1200).reshape(1200, 1200) // 8 % 150 + 1).astype(np.int32)
    grains += 150 * (np.arange(1200) // 8)[:, None].astype(np.int32)
    features = measure_features(grains)
    pixels = rng.integers(150, 230, (1200, 1200, 1), dtype=np.uint8).repeat(3, axis=2)
    mask = Mask(Path("m.tif"), np.zeros((1200, 1200), np.uint8), Calibration(None, ""), "")
    classes = rng.integers(0, CUT, features.count).astype(np.uint8)
    regions = [Regions("ferrite grain", grains, features, classes)]

    roomy = make_pictures(Found(pixels, "micrograph", ""), mask, regions, 5_000_000)
    narrow = make_pictures(Found(pixels, "micrograph", ""), mask, regions, 30_000)

    assert [layer.name for layer in roomy.layers] == ["phases", "boundaries", "grain sizes"]
    assert (roomy.left_out, roomy.width_px) == ((), 1200)
    assert narrow.width_px == 360
    assert narrow.size_bytes <= 30_000
    assert narrow.left_out[-2:] == ("grain sizes", "sizes on hovering")
    assert narrow.layers[0].name == "phases"


def test_mask_changed_after_measuring_is_shown_without_sizes(tmp_path: Path) -> None:
    folder = write_etched(tmp_path, {"a": etched_field(1, cells=bricks())})
    result = quantify(folder, output=None)
    labels = np.zeros(bricks().shape, np.uint8)
    labels[::4, ::4] = 1  # more features than were measured
    write_mask(folder / "a.tif", labels, pixel_size_um=0.5)

    text = field_of(report(result, tmp_path / "r.html"), 1)

    assert "the mask has changed since it was measured" in text
    assert 'class="regions"' not in text
    assert "left out" not in text
    assert [a["data-layer"] for a in Elements(text).all("img") if a["class"] == "layer"] == ["phases"]


def test_reasons_and_warnings_stay_texts(tmp_path: Path) -> None:
    folder = write_etched(tmp_path, {"a": etched_field(1, cells=bricks())}, pixel_size_um=None)

    def hostile(entry) -> None:
        entry["calibration"]["source"] = "<script>alert(1)</script>"

    edit_run(folder, hostile)
    text = report(quantify(folder, output=None), tmp_path / "r.html")
    assert "<script>alert" not in text
    assert "no G: not calibrated: &lt;script&gt;alert(1)&lt;/script&gt;" in text
