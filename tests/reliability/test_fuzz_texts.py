"""Damaged weights, tables, recipes, records, manifests and drawn regions: one clear line each, soon."""

from __future__ import annotations

import json
import random
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from segmented_folder import squares, write_segmented
from test_reader_fuzz import GIBIBYTES, SECONDS, mutate, peak_gibibytes

from steelquant.errors import FileError, UsageError
from steelquant.learning.class_table import read_table
from steelquant.learning.dataset import read_dataset
from steelquant.learning.prepare import prepare
from steelquant.learning.synthetic.recipe import Recipe, read_recipe, recipe_yaml
from steelquant.micrograph.masks import read_mask
from steelquant.micrograph.rois import read_rois
from steelquant.networks import build
from steelquant.networks.weights import WeightsMetadata, read_weights, write_weights
from steelquant.reports.rois import write_rois
from steelquant.segmentation.folder import LocalFolder
from steelquant.segmentation.record import Record
from steelquant.stereology import quantify
from steelquant.stereology.sources import find_sources
from steelquant.stereology.specimens import read_grouping, read_limits

TABLE = b"""classes:
  - {value: 0, name: ferrite, colour: [220, 220, 210]}
  - {value: 128, name: pearlite}
  - {value: 200, name: cementite, colour: [1, 2, 3]}
ignored: [255]
"""
SPECIMENS = 'field;specimen;heat\nfield_1;A;77\nfield_2;"B;é";78\n'.encode("cp1252")
TABLE_JSON = b'{"classes": [{"value": 0, "name": "a"}, {"value": 9, "name": "b"}]}'
LIMITS = b"specimen,quantity,minimum,maximum\n*,pearlite fraction,0.1,0.5\nA,G,,9.5\n"

STRANGE = (
    *(None, True, -1, 0, 1e308, 10**400, float("nan")),
    *("", "../../x", "\0", "\ud800", "=1+1", "x" * 999),
    *([], {}, [[]]),
)
"""What a key of a document may hold where something else belongs."""


TELLING = (b"\xff\xff\xff\xff", b"\0", b"[", b"{", b"&a", b"*a", b"!!", b'"')


class Kind:
    """A kind of file: whole examples, and what reads them."""

    def __init__(self, name: str, read: Callable[[Path], object], *examples: bytes) -> None:
        self.name = name
        self.read = read
        self.examples = examples


def _twist(document: Any, chance: random.Random) -> Any:
    """Put something strange into a random place of a JSON document."""
    if isinstance(document, dict) and document and chance.random() < 0.85:
        key = chance.choice(list(document))
        if chance.random() < 0.1:
            return {name: value for name, value in document.items() if name != key}
        return {**document, key: _twist(document[key], chance)}
    if isinstance(document, list) and document and chance.random() < 0.85:
        place = chance.randrange(len(document))
        return [*document[:place], _twist(document[place], chance), *document[place + 1 :]]
    return chance.choice(STRANGE)


def _damaged(example: bytes, chance: random.Random) -> bytes:
    """Damage an example: its values where it is JSON, else and half of the time its bytes."""
    if chance.random() < 0.5:
        try:
            document = json.loads(example)
        except ValueError:
            pass
        else:
            return json.dumps(_twist(document, chance)).encode("utf-8", "surrogatepass")
    changes = []
    for _ in range(chance.randint(1, 6)):
        kind = chance.choice(["overwrite"] * 3 + ["insert", "delete", "cut"])
        place = chance.random() * chance.choice([0.05, 0.3, 1])
        data = chance.choice(
            [b"\xff\xff\xff\xff", b"\0", b"[", b"{", b"&a", b"*a", b"!!", b'"', chance.randbytes(3)]
        )
        changes.append((kind, place, data))
    return mutate(example, changes)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> list[Kind]:
    folder = tmp_path_factory.mktemp("whole")
    masks = write_segmented(folder / "masks", {f"field_{n}": squares(0.1 + n / 10) for n in range(3)})
    result = quantify([masks], output=folder / "report.xlsx", workers=1)
    rois = {path.suffix: path for path in write_rois(result, folder / "rois")}
    single = folder / "one.roi"
    with zipfile.ZipFile(rois[".zip"]) as archive:
        single.write_bytes(archive.read(archive.namelist()[1]))
    for place in range(4):
        for part, data in (("images", np.full((64, 64, 3), 40 * place, np.uint8)), ("masks", np.eye(64) > 0)):
            path = folder / "set" / part / f"{place}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(path, data.astype(np.uint8))
    prepare(folder / "set/images", folder / "set/masks", folder / "set", crop_px=32)
    weights = folder / "unet.safetensors"
    write_weights(weights, build("smp:FPN:mobilenet_v2", 2), WeightsMetadata("smp:FPN:mobilenet_v2"))
    original = read_mask(masks / "field_0.tif")

    def segment_again(path: Path) -> object:
        _named(path, "segmentation.json")
        return Record(LocalFolder(path.parent))

    def quantify_again(path: Path) -> object:
        _named(path, "segmentation.json")
        _, _, warnings = find_sources([path.parent / "field_0.tif"])
        if any("is damaged" in warning for warning in warnings):
            raise FileError(path, "is passed over with a warning")
        return warnings

    def dataset(path: Path) -> object:
        return read_dataset(_named(path, "dataset.json").parent)

    content = json.loads((masks / "segmentation.json").read_text(encoding="utf-8"))
    content["engine"] = {"name": "torch"}
    content["fields"] = [{**field, "confidence": 0.9} for field in content["fields"]]
    record = json.dumps(content).encode()
    drawn = {ending: path.read_bytes() for ending, path in rois.items()}

    def named(name: str, read: Callable[[Path], object]) -> Callable[[Path], object]:
        return lambda path: read(_named(path, name))

    def corrects(path: Path) -> object:
        return read_rois(path, original=original)

    return [
        Kind("weights", read_weights, weights.read_bytes()),
        Kind("class table", read_table, TABLE),
        Kind("class table in JSON", named("t.json", read_table), TABLE_JSON),
        Kind("recipe", read_recipe, recipe_yaml(Recipe(), {"seed": 1}).encode()),
        Kind("specimens", named("t.csv", lambda path: read_grouping(str(path))), SPECIMENS),
        Kind("limits", read_limits, LIMITS),
        Kind("dataset", dataset, (folder / "set/dataset.json").read_bytes()),
        Kind("record of segment", segment_again, record),
        Kind("record for quantify", quantify_again, record),
        Kind("GeoJSON", named("t.geojson", corrects), drawn[".geojson"]),
        Kind("GeoJSON alone", named("t.geojson", read_rois), drawn[".geojson"]),
        Kind("ROI zip", named("t.zip", corrects), drawn[".zip"]),
        Kind("ROI", named("t.roi", corrects), single.read_bytes()),
    ]


def _named(path: Path, name: str) -> Path:
    path.with_name(name).write_bytes(path.read_bytes())
    return path.with_name(name)


def _check(kind: Kind, content: bytes, folder: Path) -> bool:
    """Read a damaged file; return whether it was refused."""
    path = folder / "damaged"
    path.write_bytes(content)
    before, start = peak_gibibytes(), time.process_time()
    told = None
    try:
        kind.read(path)
    except (FileError, UsageError) as error:
        told = str(error)
        assert "\n" not in told, kind.name
        assert len(told) < 1000, kind.name
    assert time.process_time() - start < SECONDS, kind.name
    assert peak_gibibytes() - before < GIBIBYTES, kind.name
    return told is not None


def _damage_all(kinds: list[Kind], count: int, folder: Path) -> None:
    for kind in kinds:
        for example in kind.examples:
            assert not _check(kind, example, folder), f"{kind.name}: the undamaged file is refused"
        refused = 0
        for seed in range(count):
            chance = random.Random(f"{kind.name} {seed}")
            content = _damaged(chance.choice(kind.examples), chance)
            try:
                refused += _check(kind, content, folder)
            except BaseException as error:
                error.add_note(f"{kind.name}, seed {seed}: {content[:300]!r}")
                raise
        print(f"{kind.name}: {refused} of {count} refused, the others were still whole")
        assert refused


def test_damaged_tables_records_and_weights(kinds: list[Kind], tmp_path: Path) -> None:
    _damage_all(kinds, 12, tmp_path)


@pytest.mark.slow
def test_2000_damaged_tables_records_and_weights(kinds: list[Kind], tmp_path: Path) -> None:
    _damage_all(kinds, 160, tmp_path)


LAUGHS = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "content",
    [
        LAUGHS + "classes: *i\npearlite_fraction: *i\n",
        LAUGHS + "classes:\n- {value: *i, name: a}\n",
        "classes: !!python/object/apply:os.system ['touch owned']\n",
        "[" * 100_000,
        '{"classes": ' + "[" * 100_000,
        "classes: " + "{a: " * 20_000,
        "",
        "\0",
        "- just\n- a list\n",
    ],
    ids=["laughs", "laughs within", "object", "deep", "deep JSON", "deep map", "empty", "null byte", "list"],
)
@pytest.mark.parametrize("name", ["classes.yaml", "classes.json", "recipe.yaml", "dataset.json", "a.geojson"])
def test_documents_made_to_harm(
    content: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    readers: dict[str, Callable[[Path], object]] = {
        "classes": read_table,
        "recipe": read_recipe,
        "dataset": read_dataset,
        "a": read_rois,
    }
    kind = Kind(name, lambda _: readers[path.stem](path))
    assert _check(kind, b"", tmp_path) or (name == "recipe.yaml" and not content)
    assert not (tmp_path / "owned").exists()
