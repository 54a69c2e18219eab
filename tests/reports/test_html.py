"""The report for the browser as a file: what it holds, what it must not hold, and how large it may get."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from steelquant.cli import app
from steelquant.micrograph.field import Calibration, Mask
from steelquant.micrograph.files import sha256_of
from steelquant.micrograph.masks import write_mask
from steelquant.reports.html import write_html
from steelquant.reports.html.axes import axis
from steelquant.reports.html.micrographs import Found
from steelquant.reports.html.numbers import format_number, with_interval
from steelquant.reports.html.pictures import ALL_PICTURES_BYTES, MOST_FIELDS, field_bytes, make_pictures
from steelquant.reports.html.regions import Regions
from steelquant.reports.table import SIGNED_UNIT
from steelquant.stereology import Quantification, quantify
from steelquant.stereology.features import label_phase

sys.path.insert(0, str(Path(__file__).parents[1] / "stereology"))
from segmented_folder import squares, write_segmented

HOSTILE = '"><img src=x onerror=alert(1)></script><script>alert(2)</script>{{ 7 * 7 }}'


class Elements(HTMLParser):
    """Every element with its attributes and, for some, its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def write_micrograph(path: Path, labels: np.ndarray, seed: int = 0) -> str:
    """A micrograph that a mask fits; returns its hash."""
    rng = np.random.default_rng(seed)
    grey = np.where(labels == 1, 70, 190) + rng.integers(-12, 12, labels.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey.astype(np.uint8)).save(path)
    return sha256_of(path)


def edit_run(folder: Path, change) -> None:
    record = json.loads((folder / "segmentation.json").read_text(encoding="utf-8"))
    for entry in record["fields"]:
        change(entry)
    (folder / "segmentation.json").write_text(json.dumps(record), encoding="utf-8")


def report(result: Quantification, path: Path, images: Path | None = None) -> str:
    write_html(result, path, images=images)
    return path.read_text(encoding="utf-8")


@pytest.fixture
def measured(tmp_path: Path) -> Quantification:
    masks = {"a_1": squares(0.2), "a_2": squares(0.3), "b_1": squares(0.42)}
    return quantify(write_segmented(tmp_path / "segmented", masks), output=None, specimen="{}_*")


def test_page_needs_no_network_and_lets_only_its_own_script_run(
    measured: Quantification, tmp_path: Path
) -> None:
    text = report(measured, tmp_path / "r.html")
    page = Elements(text)

    assert not re.search(r"https?://|//www\.|url\(|@import", text)
    for tag, attributes in page.found:
        assert not any(name.startswith("on") or name in ("style", "srcdoc") for name in attributes), tag
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#")), (tag, attributes)
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    (style,), (script,) = (
        re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL) for tag in ("style", "script")
    )
    for source, content in (("style-src", style), ("script-src", script)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{source} 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert text.index("Content-Security-Policy") < text.index("<style>")


def test_texts_of_images_and_tables_stay_texts(tmp_path: Path) -> None:
    folder = write_segmented(tmp_path / "segmented", {"a": squares(0.2), "b": squares(0.3)})

    def hostile(entry) -> None:
        entry["name"] += HOSTILE
        entry["input"]["folder"] = f"lot {HOSTILE}\udce9\x00"
        entry["calibration"]["source"] = HOSTILE
        entry["warnings"] = [HOSTILE]

    edit_run(folder, hostile)
    text = report(quantify(folder, output=None), tmp_path / "r.html")

    page = Elements(text)
    scripts = [attributes.get("type") for attributes in page.all("script")]
    assert scripts == ["application/json", "application/json", None]
    assert all(attributes["src"].startswith("data:image/") for attributes in page.all("img"))
    assert "{{ 7 * 7 }}" in text
    assert "49</" not in text
    assert "\x00" not in text


def test_same_results_give_the_same_bytes(measured: Quantification, tmp_path: Path) -> None:
    assert report(measured, tmp_path / "r.html") == report(measured, tmp_path / "again.html")


def test_summary_gives_mean_interval_accuracy_and_count_of_each_specimen(
    measured: Quantification, tmp_path: Path
) -> None:
    text = report(measured, tmp_path / "r.html")

    summary = text[text.index('<table class="summary"') : text.index('id="method"')]
    # Squares of 9 and 11 px on a lattice of 20: 20.25 and 30.25 %; t(0.975, 1)·s/√2 = 12.706·5.
    assert re.search(r"<bdi>a</bdi>.*?>2</td>.*?25\.25 ± 63\.53.*?>7\.07<.*?>251\.6<", summary, re.DOTALL)
    assert "in the manner of ASTM E562 and E1245" in text
    assert "no certificate" in text
    assert "no limits were given" in text


def test_verdicts_stand_first_with_their_reasons(tmp_path: Path) -> None:
    folder = write_segmented(tmp_path / "s", {f"a{n}": squares(0.25) for n in range(3)})
    limits = tmp_path / "limits.csv"
    limits.write_text("specimen,quantity,minimum,maximum\n*,Pearlite (%),40,50\n", encoding="utf-8")

    text = report(quantify(folder, output=None, limits=limits), tmp_path / "r.html")

    assert '<p class="verdict fail" id="verdict"><strong>Fail</strong>' in text
    assert "Pearlite (%) should be 40 to 50; fail: the 95 % interval 25 to 25 lies outside" in text


def test_what_is_not_calibrated_is_empty_and_says_why(tmp_path: Path) -> None:
    folder = write_segmented(tmp_path / "s", {"a": squares(0.25)}, pixel_size_um=None)
    text = report(quantify(folder, output=None), tmp_path / "r.html")

    table = text[text.index('id="fields-table"') : text.index('id="pictures"')]
    assert "not calibrated: no scale in the file" in table
    assert table.count('aria-label="not calibrated, note 1"') >= 6
    assert "No distribution of sizes: not calibrated: no scale in the file" in text
    assert "data-scale" not in text


def test_failures_and_warnings_are_told(tmp_path: Path) -> None:
    folder = write_segmented(tmp_path / "s", {"a": squares(0.25)})
    (folder / "broken.tif").write_bytes(b"II*\0 no picture")
    result = quantify(folder, output=None)

    text = report(result, tmp_path / "r.html")

    assert "1 mask could not be measured" in text
    assert "broken.tif" in text


def base_of(text: str) -> str:
    return next(a["alt"] or "" for a in Elements(text).all("img") if a["class"] == "base")


def test_micrographs_are_found_at_their_place_or_by_name_and_hash(tmp_path: Path) -> None:
    labels = squares(0.25)
    folder = write_segmented(tmp_path / "s", {"a": labels})
    place = tmp_path / "microscope" / "a.png"
    digest = write_micrograph(place, labels)

    def known(entry) -> None:
        entry["input"]["path"], entry["input"]["sha256"] = str(place), digest

    edit_run(folder, known)
    result = quantify(folder, output=None)
    assert base_of(report(result, tmp_path / "r.html")) == "Micrograph of a"

    moved = tmp_path / "archive" / "2026"
    moved.mkdir(parents=True)
    place.rename(moved / "A.PNG")
    write_micrograph(tmp_path / "archive" / "a.png", labels, seed=9)  # another picture of that name
    text = report(result, tmp_path / "r.html")
    assert base_of(text) == "Overlay of the segmentation of a"
    assert "--images names a folder to look in" in text
    text = report(result, tmp_path / "r.html", images=tmp_path / "archive")
    assert base_of(text) == "Micrograph of a"
    assert "SHA-256 differs" not in text

    (moved / "A.PNG").unlink()
    text = report(result, tmp_path / "r.html", images=tmp_path / "archive")
    assert "the micrograph is not the file that was segmented: its SHA-256 differs" in text.replace(
        "The m", "the m"
    )
    write_micrograph(tmp_path / "archive" / "a.png", labels[:60], seed=9)
    text = report(result, tmp_path / "r.html", images=tmp_path / "archive")
    assert base_of(text) == "Overlay of the segmentation of a"
    assert "another size" in text


def test_masks_made_elsewhere_find_micrographs_of_their_names_or_stand_alone(tmp_path: Path) -> None:
    labels = squares(0.25)
    write_mask(tmp_path / "masks" / "f7.tif", labels, pixel_size_um=0.5)
    write_micrograph(tmp_path / "images" / "f7.png", labels)
    result = quantify(tmp_path / "masks", output=None)

    assert base_of(report(result, tmp_path / "r.html")) == "Mask of f7"
    assert base_of(report(result, tmp_path / "r.html", images=tmp_path / "images")) == "Micrograph of f7"


def test_overlay_of_a_mask_that_was_changed_since_is_not_shown(tmp_path: Path) -> None:
    folder = write_segmented(tmp_path / "s", {"a": squares(0.25)})
    write_mask(folder / "a.tif", squares(0.36), pixel_size_um=0.5)

    assert base_of(report(quantify(folder, output=None), tmp_path / "r.html")) == "Mask of a"


def noisy_field(side: int) -> tuple[Found, Mask]:
    """The worst case: noise, which no picture format makes small, and a feature every few pixels."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 255, (side, side, 3), dtype=np.uint8)
    labels = (rng.random((side, side)) < 0.3).astype(np.uint8)
    return Found(pixels, "micrograph", ""), Mask(Path("m.tif"), labels, Calibration(None, ""), "")


def test_pictures_keep_to_their_room_and_say_how_much_they_are_reduced(tmp_path: Path) -> None:
    found, mask = noisy_field(900)
    large = make_pictures(found, mask, (), 10_000_000)
    small = make_pictures(found, mask, (), 250_000)

    assert (large.width_px, large.reduction) == (900, 1.0)
    assert small.size_bytes <= 250_000
    assert 360 <= small.width_px < 900
    assert small.reduction == pytest.approx(900 / small.width_px, rel=0.01)
    with Image.open(_file(tmp_path / "b.webp", small.base)) as picture:
        assert picture.size == (small.width_px, small.height_px)


def _file(path: Path, address: str) -> Path:
    path.write_bytes(base64.b64decode(address.partition(",")[2]))
    return path


def test_large_fields_are_shown_1400_px_wide() -> None:
    labels = np.zeros((20, 3000), np.uint8)
    mask = Mask(Path("m.tif"), labels, Calibration(None, ""), "")
    pictures = make_pictures(Found(None, "none", ""), mask, (), 10_000_000)
    assert (pictures.width_px, pictures.height_px) == (1400, 9)


@pytest.mark.parametrize("fields", [1, 26, 40, 400, 5000])
def test_room_of_all_pictures_is_bounded(fields: int) -> None:
    assert min(fields, MOST_FIELDS) * field_bytes(fields) <= ALL_PICTURES_BYTES


def test_regions_under_the_pointer_have_the_sizes_of_the_table_of_features(tmp_path: Path) -> None:
    labels = squares(0.25, shape=(200, 1700))
    labels[100:140, 50:80] = 255
    write_mask(tmp_path / "m" / "a.tif", labels, pixel_size_um=0.5)
    (field,) = quantify(tmp_path / "m", output=None).fields
    mask = Mask(tmp_path / "m" / "a.tif", labels, Calibration(0.5, ""), "")

    found = field.features["pearlite"]
    regions = [Regions("pearlite", label_phase(labels, 1), found)]
    pictures = make_pictures(Found(None, "none", ""), mask, regions, 10_000_000)

    encoded = pictures.regions
    assert encoded is not None
    height, width = pictures.height_px, pictures.width_px
    steps = np.frombuffer(zlib.decompress(base64.b64decode(encoded.steps)), np.uint8)
    given = iter(np.frombuffer(zlib.decompress(base64.b64decode(encoded.numbers)), "<u4").tolist())
    numbers = np.zeros((height + 1, width + 1), np.int64)
    for place in range(height * width):
        row, at = divmod(place, width)
        step = steps[place // 4] >> 2 * (place % 4) & 3
        told = numbers[row, at + 1] if step == 0 else numbers[row + 1, at] if step == 1 else next(given)
        numbers[row + 1, at + 1] = told
    numbers = numbers[1:, 1:]
    sizes = np.frombuffer(zlib.decompress(base64.b64decode(encoded.sizes)), "<u4").reshape(3, -1)
    names, firsts, counts = zip(*encoded.kinds, strict=True)
    assert names == ("excluded", "ferrite", "pearlite", "pearlite")
    assert counts == (0, 0, 0, found.count)
    assert np.array_equal(sizes[0] & 0x7FFFFFFF, found.area_px)
    assert np.array_equal(sizes[0] >> 31, found.cut)
    assert np.array_equal(sizes[1], found.label)
    assert np.allclose(sizes[2] / 100, found.aspect_ratio, atol=0.0051)
    rows = ((np.arange(height) + 0.5) * 200 / height).astype(int)
    columns = ((np.arange(width) + 0.5) * 1700 / width).astype(int)
    reduced = labels[np.ix_(rows, columns)]
    assert (numbers[reduced == 255] == 1).all()
    assert (numbers[reduced == 0] == 2).all()
    assert (numbers[reduced == 1] >= firsts[3]).all()
    at = np.argmin(abs(rows - found.centroid_y_px[7])), np.argmin(abs(columns - found.centroid_x_px[7]))
    assert numbers[at] == firsts[3] + 7


def test_numbers_are_written_as_excel_writes_them() -> None:
    assert format_number(1234.56, "#,##0.0") == "1,234.6"
    assert format_number(0.32261234, "0.0000##") == "0.322612"
    assert format_number(0.5, "0.0000##") == "0.5000"
    any_unit = "[>=100]#,##0.0;[>=1]0.00;0.0000"
    assert [format_number(v, any_unit) for v in (1234.5, 12.345, 0.01)] == ["1,234.5", "12.35", "0.0100"]
    assert [format_number(v, SIGNED_UNIT) for v in (-1234.5, -0.01, 0.113, 12.28, 123.45)] == [
        "−1,234.500",
        "−0.010",
        "0.113",
        "12.280",
        "123.5",
    ]
    assert format_number(100, "0") == "100"
    assert format_number(-0.0001, "0.00") == "0.00"
    assert format_number(float("nan"), "0.00") == "–"
    assert with_interval(24.126, 1.2, "0.00") == "24.13 ± 1.20"
    assert with_interval(8.31, 0.04, "0.0") == "8.3 ± 0.04"
    assert with_interval(8.31, 0.0, "0.0") == "8.3 ± 0.0"


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.13, 0.17), (0, 99.7), (5, 5), (12_000, 48_000)])
def test_axes_hold_their_values_and_have_few_round_marks(low: float, high: float) -> None:
    scale = axis(low, high, 300, 20)
    marks = [float(tick.text.replace(",", "").replace("−", "-")) for tick in scale.ticks]
    assert scale.low <= low <= high <= scale.high
    assert 2 <= len(marks) <= 9
    assert np.allclose(np.diff(marks), marks[1] - marks[0])
    assert [tick.at for tick in scale.ticks] == sorted((tick.at for tick in scale.ticks), reverse=True)


def contrast(first: str, second: str) -> float:
    """Contrast of two colours by WCAG 2.2."""

    def luminance(colour: str) -> float:
        digits = colour.lstrip("#")
        digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
        parts = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colours_have_the_contrast_that_readers_need() -> None:
    source = Path(write_html.__code__.co_filename).parent / "templates" / "page.css"
    themes = re.findall(
        r"\{\s*color-scheme: (?:light|dark);(.*?)\}", source.read_text(encoding="utf-8"), re.DOTALL
    )
    assert len(themes) == 3
    assert " ".join(themes[1].split()) == " ".join(themes[2].split()), "dark by system and by button differ"
    for theme in themes:
        colour = dict(re.findall(r"--([\w-]+): (#[0-9a-f]+)", theme))
        for back in ("paper", "card", "shade", "hover"):
            for ink in ("ink", "soft", "accent"):
                assert contrast(colour[ink], colour[back]) >= 4.5, (ink, back)
        for name in ("pass", "fail", "unsure"):
            assert contrast(colour[name], colour[f"{name}-bg"]) >= 4.5, name
        assert contrast(colour["faint"], colour["card"]) >= 4.5
        assert contrast(colour["focus"], colour["card"]) >= 3


def test_command_writes_the_page_and_the_regions(tmp_path: Path) -> None:
    folder = write_segmented(tmp_path / "s", {"a": squares(0.25)})
    page, rois = tmp_path / "out" / "report.html", tmp_path / "rois"
    arguments = ["quantify", str(folder), "--output", str(tmp_path / "r.xlsx"), "--workers", "1"]

    done = CliRunner().invoke(app, [*arguments, "--html", str(page), "--rois", str(rois), "--json"])

    assert done.exit_code == 0, done.output
    assert page.is_file()
    assert sorted(path.name for path in rois.iterdir()) == ["a.geojson", "a.zip"]
    assert {str(page), str(rois)} <= set(json.loads(done.stdout)["files"])
    for wrong in (["--html", "report.pdf"], ["--html", str(page), "--images", str(tmp_path / "none")]):
        assert CliRunner().invoke(app, [*arguments, *wrong]).exit_code == 2


def test_templates_are_not_left_out_of_the_wheel() -> None:
    # The build backend leaves out what git ignores, and report*.html is ignored.
    root = Path(__file__).parents[2]
    templates = sorted((root / "steelquant/reports/html/templates").iterdir())
    if not (root / ".git").exists() or shutil.which("git") is None:
        pytest.skip("no git checkout")
    command = ["git", "check-ignore", "--no-index", *templates]
    ignored = subprocess.run(command, cwd=root, capture_output=True, check=False)
    assert {path.suffix for path in templates} == {".html", ".css", ".js"}
    assert ignored.stdout == b""
