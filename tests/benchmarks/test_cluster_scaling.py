"""Two workers of a cluster against one, each of one thread, from files to masks on disk.

``pytest -m benchmark tests/benchmarks/test_cluster_scaling.py`` writes ``benchmarks/cluster_scaling.json``.
"""

from __future__ import annotations

import json
import os
import statistics
from importlib.metadata import version
from pathlib import Path

import pytest
from peers.material import FIELD_MP, write_fields

from steelquant.micrograph.provenance import machine
from steelquant.segmentation import segment

distributed = pytest.importorskip("distributed")

RESULT = Path(__file__).resolve().parents[2] / "benchmarks" / "cluster_scaling.json"
FIELDS, ROUNDS = 16, 3
TARGET = 1.8


@pytest.mark.benchmark
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two workers need two cores")
def test_two_workers_do_nearly_twice_the_fields_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = write_fields(tmp_path / "fields", FIELDS)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the workers' processes take it over
    rates: dict[int, list[float]] = {1: [], 2: []}
    masks: dict[int, bytes] = {}
    for number in range(ROUNDS):
        for workers in (1, 2) if number % 2 == 0 else (2, 1):
            output = tmp_path / f"segmented-{number}-{workers}"
            with distributed.LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=None
            ) as cluster:
                run = segment(fields, output=output, device="cpu", scheduler=cluster.scheduler_address)
            assert not run.failed
            rates[workers].append(FIELDS * FIELD_MP / run.seconds)
            masks[workers] = b"".join((output / path.name).read_bytes() for path in fields)
    assert masks[1] == masks[2]
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    result = {
        "machine": machine(),
        "versions": {name: version(name) for name in ("steelquant", "distributed", "openvino", "numpy")},
        "fields": FIELDS,
        "megapixels_per_field": FIELD_MP,
        "threads_per_worker": 1,
        "mp_per_s": {str(workers): [round(rate, 3) for rate in found] for workers, found in rates.items()},
        "ratio_median": round(statistics.median(ratios), 3),
        "ratio_spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "target": TARGET,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2), encoding="utf-8")
    print(json.dumps(result, indent=2))
    assert result["ratio_median"] >= TARGET
