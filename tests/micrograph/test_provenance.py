from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys

import numpy as np

from steelquant import __version__
from steelquant.micrograph.provenance import machine, utc_now, versions


def test_the_time_is_utc_to_the_second() -> None:
    now = datetime.datetime.now(datetime.UTC)
    stated = datetime.datetime.fromisoformat(utc_now())
    assert stated.utcoffset() == datetime.timedelta(0)
    assert abs((stated - now).total_seconds()) < 5


def test_versions_are_those_of_what_runs() -> None:
    found = versions()
    assert found["steelquant"] == __version__
    assert found["numpy"] == np.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))


def test_the_machine_in_words_and_numbers() -> None:
    found = machine()
    assert json.loads(json.dumps(found)) == found
    assert found["system"]
    assert found["processor"]
    assert 1 <= found["cores"] <= (os.cpu_count() or 1)
    assert found["memory_gib"] is None or 0.1 < found["memory_gib"] < 100_000


def test_micrograph_imports_neither_torch_nor_what_comes_after_it() -> None:
    code = (
        "import sys\n"
        "from steelquant.micrograph import discovery, masks, overlay, provenance, reading\n"
        "provenance.versions(), provenance.machine()\n"
        "bad = ('torch', 'steelquant.segmentation', 'steelquant.networks', 'steelquant.stereology')\n"
        "print([name for name in bad if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
