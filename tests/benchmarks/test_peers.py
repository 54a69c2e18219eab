"""steelquant against MONAI, PyTorch and ONNX Runtime, from files to masks on disk, side by side in one run.

``pytest -m benchmark -s tests/benchmarks/test_peers.py`` takes about 35 minutes on two idle cores, prints
the tables at its end, and writes them to ``benchmarks/peers.md`` and all figures to
``benchmarks/peers-MODEL.json`` and ``benchmarks/scaling.json`` (with ``-AVX2`` where that was asked for).
Where other programs are at work, the figures of processor time hold all the same.
``STEELQUANT_BENCH_ROUNDS`` and ``_FIELDS`` make it smaller, ``_THREADS`` limits the threads of all, and
``_ISA=AVX2`` the registers of all that can be told; targets are asserted in full runs only. Needs
``pip install -e ".[bench]"``. Fields from 3 to 400 megapixels: ``test_mosaic_speed.py``.

Every run is a process of its own; what it takes to import and load counts as being ready, not as speed. A
peer reads, predicts and writes the mask; steelquant also hashes, measures, and writes overlay and record.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import tifffile
from peers.contest import Contender, Contest
from peers.material import FIELD_MP, own, published, weights_of, work_gflop_per_mp, write_fields
from peers.table import markdown

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks"
FIELDS = int(os.environ.get("STEELQUANT_BENCH_FIELDS", "12"))
ROUNDS = int(os.environ.get("STEELQUANT_BENCH_ROUNDS", "5"))
OTHER_ROUNDS = -(-ROUNDS // 3)
"""Of the other models, whose work a field is 7 to 29 times MobileNetV2's: two, of one field each."""

THREADS = int(os.environ.get("STEELQUANT_BENCH_THREADS", str(os.cpu_count() or 1)))
ISA = os.environ.get("STEELQUANT_BENCH_ISA", "")
IS_FULL = FIELDS >= 12 and ROUNDS >= 5 and not ISA
SCALING = [count for count in (1, 3, 12, 48) if count <= 4 * FIELDS]

OURS = "steelquant"
REFERENCE = "PyTorch, whole field"
MATRIX = Contender("matrix product", {"kind": "matrix"})

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(find_spec("monai") is None, reason="needs the bench extra: MONAI"),
]


def _monai(network: str, overlap: float, mode: str = "constant", *, whole: bool = False) -> dict[str, Any]:
    task = {"kind": "peer", "way": "monai", "network": network, "overlap": overlap, "mode": mode}
    return {**task, "whole": whole}


def _torch(network: str, **switches: bool) -> dict[str, Any]:
    return {"kind": "peer", "way": "torch", "network": network, **switches}


def _ours(engine: str = "auto", **options: Any) -> dict[str, Any]:
    return {"kind": "ours", "engine": engine, **options}


MONAI_PUBLISHED_QUARTER = "MONAI 224 px, overlap 0.25, as published"
MONAI_PUBLISHED_HALF = "MONAI 224 px, overlap 0.5 gaussian, as published"
MONAI_OWN_QUARTER = "MONAI 224 px, overlap 0.25, our module"
MONAI_OWN_HALF = "MONAI 224 px, overlap 0.5 gaussian, our module"

MAIN = [
    Contender(OURS, _ours(), FIELDS),
    Contender(f"{OURS} --engine torch", _ours("torch"), min(FIELDS, 4)),
    Contender(f"{OURS} --tile 224 --overlap 0.25", _ours(tile=224, overlap=0.25), 2),
    Contender(f"{OURS} --tile 224 --overlap 0.5", _ours(tile=224, overlap=0.5)),
    Contender(f"{OURS} --probabilities", _ours(probabilities=True), min(FIELDS, 4)),
    Contender(f"{OURS} --tta", _ours(symmetries=True)),
    Contender(MONAI_PUBLISHED_HALF, _monai("published", 0.5, "gaussian")),
    Contender(MONAI_PUBLISHED_QUARTER, _monai("published", 0.25)),
    Contender(MONAI_OWN_HALF, _monai("own", 0.5, "gaussian")),
    Contender(MONAI_OWN_QUARTER, _monai("own", 0.25)),
    Contender("MONAI, whole field, as published", _monai("published", 0, whole=True)),
    Contender("MONAI, whole field, our module", _monai("own", 0, whole=True)),
    Contender("PyTorch, whole field, as published", _torch("published")),
    Contender(REFERENCE, _torch("own")),
    Contender("PyTorch, whole field, channels last, folded", _torch("own", channels_last=True, folded=True)),
]
if find_spec("onnxruntime") and find_spec("onnx") and not ISA:
    MAIN.append(
        Contender("ONNX Runtime, whole field", {**_torch("own"), "way": "onnx"}, min(FIELDS, 2)),
    )

OTHERS = {
    name: [
        Contender(OURS, _ours()),
        *([Contender(f"{OURS} --engine torch", _ours("torch"))] if name in ("resnet18", "segnet") else []),
        Contender(MONAI_PUBLISHED_QUARTER, _monai("published", 0.25)),
    ]
    for name in ("resnet18", "resnet50", "unet", "segnet")
}

TARGETS = {
    MONAI_PUBLISHED_QUARTER: 4.0,
    MONAI_PUBLISHED_HALF: 10.0,
    MONAI_OWN_QUARTER: 2.8,
    MONAI_OWN_HALF: 7.0,
}
"""How many times as fast as these MobileNetV2 must be; every other model as MONAI at 0.25: twice."""

TARGET_OTHERS = 2.0
TARGET_SHARE_OF_BOUND = 0.8


@pytest.fixture(scope="module")
def tables() -> Iterator[list[str]]:
    """Tables for the README, told and written when all are there."""
    found: list[str] = []
    yield found
    text = "\n\n".join(found)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"peers{'-' + ISA if ISA else ''}.md").write_text(text + "\n", encoding="utf-8")
    print(f"\n\n{text}\n")


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_fields(tmp_path_factory.mktemp("fields") / "micrographs", FIELDS)


@pytest.fixture
def contest(fields: list[Path], tmp_path: Path) -> Iterator[Contest]:
    yield Contest(fields, tmp_path, THREADS, ISA)
    shutil.rmtree(tmp_path)


def _result(
    contest: Contest, contenders: list[Contender], model: str, weights: Path, tables: list[str]
) -> dict[str, Any]:
    work = work_gflop_per_mp(own(weights))
    gflops = contest.median_of(MATRIX.name, "gflops")
    in_processor_time = contest.median_of(MATRIX.name, "gflop_per_processor_second")
    rows = contest.summary(contenders, REFERENCE)
    bound = gflops / work
    result = {
        "model": model,
        **contest.circumstances(),
        "rounds": len(contest.rounds[MATRIX.name]),
        "field_mp": FIELD_MP,
        "matrix_gflops": gflops,
        "work_gflop_per_mp": round(work, 1),
        "work_as_published_gflop_per_mp": round(work_gflop_per_mp(published(weights)), 1),
        "bound_mp_per_s": round(bound, 3),
        "share_of_bound": round(rows[0]["mp_per_s_median"] / bound, 3),
        "share_of_bound_in_processor_time": round(
            work / in_processor_time / rows[0]["processor_seconds_per_mp_median"], 3
        ),
        "ratios": {row["name"]: contest.ratios(OURS, row["name"]) for row in rows[1:]},
        "contenders": rows,
    }
    _write(f"peers-{model}", result)
    tables.append(markdown(result, OURS))
    return result


def _write(name: str, result: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}{'-' + ISA if ISA else ''}.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _prepare(contest: Contest, model: str, weights: Path, count: int) -> None:
    """Let PyTorch's masks of the first fields be there to compare with, and the export in the cache."""
    common = {"model": model, "weights": str(weights), "threads": THREADS}
    if count:
        contest.one(Contender(REFERENCE, _torch("own"), count), common, 0)
        contest.rounds.clear()
    small = contest.folder / "small.tif"
    tifffile.imwrite(small, tifffile.imread(contest.fields[0])[:256, :256], photometric="rgb")
    Contest([small], contest.folder / "small", THREADS, ISA).one(Contender(OURS, _ours()), common, 0)


def test_mobilenetv2(contest: Contest, tables: list[str], tmp_path: Path) -> None:
    weights, is_trained = weights_of("mobilenetv2", contest.fields, tmp_path)
    assert is_trained
    _prepare(contest, "mobilenetv2", weights, FIELDS)
    contest.run([*MAIN, MATRIX], "mobilenetv2", weights, ROUNDS)
    result = _result(contest, MAIN, "mobilenetv2", weights, tables)
    agreement = {row["name"]: row["agreement_least"] for row in result["contenders"]}
    assert agreement[OURS] >= 0.999
    assert agreement[f"{OURS} --engine torch"] >= 0.999
    if IS_FULL:
        reached = {peer: result["ratios"][peer]["median"] for peer in TARGETS}
        assert all(reached[peer] >= target for peer, target in TARGETS.items()), reached
        assert result["share_of_bound"] >= TARGET_SHARE_OF_BOUND


@pytest.mark.parametrize("model", OTHERS)
def test_other_models(contest: Contest, tables: list[str], tmp_path: Path, model: str) -> None:
    weights, is_trained = weights_of(model, contest.fields, tmp_path)
    _prepare(contest, model, weights, int(is_trained))
    contest.run([*OTHERS[model], MATRIX], model, weights, OTHER_ROUNDS)
    result = _result(contest, OTHERS[model], model, weights, tables)
    assert not is_trained or result["contenders"][0]["agreement_least"] >= 0.999
    if IS_FULL:
        assert result["ratios"][MONAI_PUBLISHED_QUARTER]["median"] >= TARGET_OTHERS


def test_scaling(contest: Contest, tables: list[str], tmp_path: Path) -> None:
    """From one field to 48; those beyond the seeded ones are copies under other names."""
    weights, _ = weights_of("mobilenetv2", contest.fields, tmp_path)
    more = tmp_path / "more"
    more.mkdir()
    fields = [
        shutil.copy(contest.fields[place % FIELDS], more / f"field_{place:02}.tif")
        for place in range(SCALING[-1])
    ]
    _prepare(contest, "mobilenetv2", weights, 1)
    larger = Contest([Path(path) for path in fields], tmp_path / "larger", THREADS, ISA)
    contenders = [Contender(f"{count} fields", _ours(), count) for count in SCALING]
    larger.run(contenders, "mobilenetv2", weights, 1)
    rows = {
        count: {key: larger.rounds[f"{count} fields"][0][key] for key in ("mp_per_s", "seconds", "peak_mib")}
        for count in SCALING
    }
    _write("scaling", {**larger.circumstances(), "fields": rows})
    lines = ["| fields | MP/s | s | peak memory |", "|---|---|---|---|"]
    for count, row in rows.items():
        peak = f"{row['peak_mib'] / 1024:.1f} GiB"
        lines.append(f"| {count} | {row['mp_per_s']:.2f} | {row['seconds']:.1f} | {peak} |")
    tables.append("\n".join(lines))
    assert rows[SCALING[-1]]["peak_mib"] <= 1.5 * rows[SCALING[0]]["peak_mib"]
