"""Nothing that comes with a picture, a mask, a table or a weight file is run, nor written elsewhere."""

from __future__ import annotations

import ast
import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import openpyxl
import pytest
import tifffile
from chromium import Chromium, find_chromium
from segmented_folder import squares, write_segmented

import steelquant
from steelquant.stereology import quantify

PACKAGE = Path(steelquant.__file__).parent

UNSAFE_IMPORTS = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
}
UNSAFE_CALLS = {
    *("eval", "exec", "compile", "os.system", "os.popen", "torch.load", "yaml.full_load", "yaml.unsafe_load"),
    *("np.load", "numpy.load", "pd.read_pickle", "pandas.read_pickle", "torch.jit.load", "torch.hub.load"),
    *("extractall", "shutil.unpack_archive", "input"),
}


def _calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def _unsafe(source: str) -> list[str]:
    """Name what a source text does that could run what a file holds."""
    tree = ast.parse(source)
    found = []
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [f"imports {name}" for name in names if name.split(".")[0] in UNSAFE_IMPORTS]
    for name, call in _calls(tree):
        keywords = {word.arg: ast.unparse(word.value) for word in call.keywords}
        if name in UNSAFE_CALLS or name.endswith(".extractall"):
            found.append(f"calls {name}")
        if name == "yaml.load" and keywords.get("Loader") != "_plain_loader()":
            found.append("calls yaml.load")
        if keywords.get("shell") == "True":
            found.append("starts a shell")
        if keywords.get("weights_only") == "False" or keywords.get("allow_pickle") == "True":
            found.append("lets pickles in")
    return found


def test_no_file_is_read_in_a_way_that_could_run_it() -> None:
    sources = sorted(PACKAGE.rglob("*.py"))
    assert len(sources) > 150
    told = {str(path): _unsafe(path.read_text(encoding="utf-8")) for path in sources}
    assert {path: lines for path, lines in told.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        *(
            "import pickle",
            "from joblib import load",
            "eval(x)",
            "torch.load(p)",
            "yaml.load(t, Loader=Loader)",
        ),
        *(
            "run(c, shell=True)",
            "fit(weights_only=False)",
            "np.load(p, allow_pickle=True)",
            "z.extractall(d)",
        ),
    ],
)
def test_the_search_finds_what_it_is_for(line: str) -> None:
    assert _unsafe(line)


HOSTILE = "<img src=x onerror='window.hacked=1'>"
FORMULAS = ("=cmd|'C'!A0", "@SUM(1+1)", "+1+1", "=HYPERLINK(1)")


@pytest.fixture
def hostile_report(
    threshold_run: Callable[..., object], tmp_path: Path, texture: Callable[..., np.ndarray]
) -> Path:
    """Fields whose names and tags are formulas and markup, from micrographs to every kind of report."""
    images = tmp_path / f"lot {HOSTILE}"
    images.mkdir()
    zeiss = f"AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 9 {HOSTILE}\r\n"
    for place, name in enumerate((*FORMULAS, HOSTILE, "\"><svg onload='window.hacked=1'>")):
        tifffile.imwrite(
            images / f"{name}.tif",
            texture(100 + place, 120),
            photometric="rgb",
            description=f"ImageJ=1.5\nunit={FORMULAS[place % 4]}{HOSTILE}\n",
            software=HOSTILE,
            resolution=(40_000, 40_000),
            resolutionunit="CENTIMETER",
            extratags=[(315, "s", 0, "=1+1", True), (34118, "s", 0, zeiss, True)],
        )
    threshold_run(images, output=tmp_path / "masks")
    quantify(
        [tmp_path / "masks"],
        output=tmp_path / "report.xlsx",
        html=tmp_path / "report.html",
        specimen="^(.+)$",
    )
    return tmp_path


def test_names_and_tags_of_pictures_are_texts_in_every_report(hostile_report: Path) -> None:
    book = openpyxl.load_workbook(hostile_report / "report.xlsx")
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert not [cell.coordinate for cell in cells if cell.data_type == "f" or cell.hyperlink]
    texts = {str(cell.value) for cell in cells}
    assert {*FORMULAS[1:3]} <= texts
    with zipfile.ZipFile(hostile_report / "report.xlsx") as archive:
        for name in archive.namelist():
            assert b"<f>" not in archive.read(name) or "chart" in name, name
            assert "vba" not in name.lower()
            assert "externalLink" not in name
    tables = sorted(hostile_report.glob("report.*.csv"))
    assert len(tables) > 3
    for path in tables:
        for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))):
            assert not [cell for cell in row if cell.startswith(("=", "@", "\t", "\r"))], path.name
            assert not [cell for cell in row if cell.startswith(("+", "-")) and not _is_number(cell)], (
                path.name
            )
    page = (hostile_report / "report.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert "<svg onload" not in page
    assert "&lt;img src=x onerror=" in page


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium")
def test_a_browser_runs_nothing_of_a_picture(hostile_report: Path) -> None:
    program = find_chromium()
    assert program is not None
    browser = Chromium(program, hostile_report / "profile")
    try:
        browser.open(hostile_report / "report.html")
        assert browser.problems == []
        assert browser.run("new Promise((done) => setTimeout(() => done(window.hacked ?? 0), 500))") == 0
        assert browser.run("document.querySelectorAll('img[onerror], svg[onload]').length") == 0
        assert HOSTILE in browser.run("document.body.textContent")
    finally:
        browser.close()


@pytest.mark.parametrize(
    "name", ["../../evil", "/tmp/evil", "..\\..\\evil", "C:\\evil", "a/../../evil", "..", "con"]
)
def test_names_in_a_record_lead_nowhere(name: str, tmp_path: Path) -> None:
    masks = write_segmented(tmp_path / "a" / "b" / "masks", {"f": squares(0.2)})
    content = json.loads((masks / "segmentation.json").read_text(encoding="utf-8"))
    content["fields"][0]["name"] = name
    (masks / "segmentation.json").write_text(json.dumps(content), encoding="utf-8")
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    out = tmp_path / "a" / "b" / "out"
    quantify([masks], output=out / "r.xlsx", html=out / "r.html", rois=out / "rois", workers=1)
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert new
    assert all(path.is_relative_to(out) for path in new)
    assert len([path for path in new if path.is_relative_to(out / "rois")]) == 2
    assert not [path for path in new if path.stem.casefold() in {"con", "..", ""}]


def test_entries_of_an_archive_are_names_and_no_places(tmp_path: Path) -> None:
    masks = write_segmented(tmp_path / "a" / "masks", {"f": squares(0.2)})
    quantify([masks], output=None, rois=tmp_path / "rois", workers=1)
    with (
        zipfile.ZipFile(tmp_path / "rois" / "f.zip") as good,
        zipfile.ZipFile(masks / "f.zip", "w") as evil,
    ):
        for number, entry in enumerate(good.namelist()):
            evil.writestr(f"../../../evil_{number}.roi", good.read(entry))
    before = set(tmp_path.rglob("*"))
    result = quantify([masks, masks / "f.zip"], output=None, workers=1)
    assert len(result.fields) == 1
    assert set(tmp_path.rglob("*")) == before
    assert not list(tmp_path.parent.glob("evil*"))
