"""Memory of one field is there for the next."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from steelquant.segmentation.allocator import keep_memory
if sys.argv[1] == "kept":
    keep_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    pictures = [np.ones((1500, 2000, 3), np.uint8) for _ in range(3)]
    return [picture[::2].copy() for picture in pictures]
work()
before = faults()
for _ in range(5):
    work()
print((faults() - before) / 5)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_the_system_is_not_asked_for_the_same_memory_again():
    given, kept = (
        float(subprocess.run([sys.executable, "-c", FAULTS, how], check=True, capture_output=True).stdout)
        for how in ("given back", "kept")
    )
    if given < 1000:
        pytest.skip("this C library keeps memory by itself")
    assert kept < 0.1 * given
