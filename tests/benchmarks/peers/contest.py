"""Contenders in turns, each run in a new process; what they took and how far their masks agree."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from peers.material import FIELD_MP
from steelquant.micrograph.provenance import machine

_PACKAGES = ("steelquant", "torch", "openvino", "monai", "onnxruntime", "onnx", "numpy", "tifffile")
_ISA_VARIABLES = {"AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}}
"""oneDNN is in PyTorch and in OpenVINO, and both honour it; ONNX Runtime knows no such switch."""


@dataclass(frozen=True)
class Contender:
    """A way to turn fields into masks.

    Attributes
    ----------
    name
        In tables.
    task
        What :mod:`peers.contender` must know.
    fields
        How many fields a round has for it: fewer for slow ones, whose figures are per megapixel.
    """

    name: str
    task: dict[str, Any]
    fields: int = 1


@dataclass
class Contest:
    """Rounds of contenders over the same fields with the same weights.

    Attributes
    ----------
    fields
        Files; a contender with fewer fields a round takes the next ones every round.
    folder
        For outputs.
    threads
        For every contender.
    isa
        ``AVX2`` to do without wider registers; empty for what the processor has.
    """

    fields: list[Path]
    folder: Path
    threads: int
    isa: str = ""
    rounds: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))

    def run(self, contenders: list[Contender], model: str, weights: Path, rounds: int) -> None:
        """Run all, the order rotated by one from round to round."""
        common = {"model": model, "weights": str(weights), "threads": self.threads}
        for number in range(rounds):
            turn = number % len(contenders)
            for contender in contenders[turn:] + contenders[:turn]:
                self.one(contender, common, number)

    def one(self, contender: Contender, common: dict[str, Any], number: int) -> None:
        """Run one contender once."""
        count = min(contender.fields, len(self.fields))
        some = [self.fields[(number * count + place) % len(self.fields)] for place in range(count)]
        output = self.folder / "work"
        shutil.rmtree(output, ignore_errors=True)
        task = {**common, **contender.task, "fields": [str(path) for path in some], "output": str(output)}
        done = subprocess.run(
            [sys.executable, "-m", "peers.contender", json.dumps(task)],
            check=False,
            env=self._environment(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{contender.name}: {done.stderr[-2000:]}"
        result = json.loads(done.stdout.splitlines()[-1])
        if "seconds" in result:
            result |= {
                "fields": [path.stem for path in some],
                "mp_per_s": count * FIELD_MP / result["seconds"],
            }
            self._keep_masks(contender.name, output, some)
        self.rounds[contender.name].append(result)
        print(
            f"{number + 1}. {contender.name}: {result.get('mp_per_s', result.get('gflops')):.3g}", flush=True
        )

    def summary(self, contenders: list[Contender], reference: str) -> list[dict[str, Any]]:
        """Return a row per contender: medians and spread, memory, stages, agreement with a reference."""
        rows = []
        for contender in contenders:
            rounds = self.rounds[contender.name]
            rates = [one["mp_per_s"] for one in rounds]
            rows.append(
                {
                    "name": contender.name,
                    "fields_per_round": len(rounds[0]["fields"]),
                    "mp_per_s_median": _median(rates),
                    "mp_per_s_least": round(min(rates), 3),
                    "mp_per_s_most": round(max(rates), 3),
                    "ready_seconds_median": _median(one["ready_seconds"] for one in rounds),
                    "processor_seconds_per_mp_median": _median(
                        one["processor_seconds"] / one["seconds"] / one["mp_per_s"] for one in rounds
                    ),
                    "peak_mib": max(one["peak_mib"] for one in rounds),
                    "seconds_per_mp_by_stage": {
                        stage: round(
                            statistics.median(
                                o["stages"][stage] * o["mp_per_s"] / o["seconds"] for o in rounds
                            )
                            / statistics.median(rates) ** 2,
                            4,
                        )
                        for stage in rounds[0]["stages"]
                    },
                    "agreement_least": self._agreement(contender.name, reference),
                }
            )
        return rows

    def ratios(self, of: str, to: str) -> dict[str, float]:
        """Return how many times as fast one is as another: the median over rounds, the least, the most."""
        pairs = zip(self.rounds[of], self.rounds[to], strict=True)
        ratios = [first["mp_per_s"] / second["mp_per_s"] for first, second in pairs]
        values = statistics.median(ratios), min(ratios), max(ratios)
        return dict(zip(("median", "least", "most"), (round(value, 2) for value in values), strict=True))

    def median_of(self, name: str, key: str) -> float:
        """Return the median over rounds of a figure that a contender tells."""
        return _median(one[key] for one in self.rounds[name])

    def circumstances(self) -> dict[str, Any]:
        """Return machine, versions and what else a figure depends on."""
        return {
            "machine": machine(),
            "versions": {name: found for name in _PACKAGES if (found := _version(name))},
            "threads": self.threads,
            "isa": self.isa or "as the processor has it",
            "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
        }

    def _environment(self) -> dict[str, str]:
        here = str(Path(__file__).resolve().parents[1])
        paths = [here, str(Path(here).parents[1]), os.environ.get("PYTHONPATH", "")]
        return {
            **os.environ,
            **_ISA_VARIABLES.get(self.isa, {}),
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "OMP_NUM_THREADS": str(self.threads),
            "MKL_NUM_THREADS": str(self.threads),
        }

    def _keep_masks(self, name: str, output: Path, fields: list[Path]) -> None:
        kept = self.folder / "masks" / name.replace("/", "-")
        kept.mkdir(parents=True, exist_ok=True)
        for path in fields:
            (output / path.name).replace(kept / path.name)

    def _agreement(self, name: str, reference: str) -> float | None:
        """Return the least share of equal labels over the fields that both have masks of, None without."""
        folder = self.folder / "masks"
        own, other = folder / name.replace("/", "-"), folder / reference.replace("/", "-")
        if not other.is_dir():
            return None  # without trained weights there is nothing to agree on
        both = sorted({path.name for path in own.iterdir()} & {path.name for path in other.iterdir()})
        shares = [float(np.mean(tifffile.imread(own / n) == tifffile.imread(other / n))) for n in both]
        return round(min(shares), 6) if shares else None


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 4)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
