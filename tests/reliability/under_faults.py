"""A program for `test_faults`: fails each call that writes, one after the other, and looks at what is left.

Arguments: ``segment`` or ``quantify``, a folder to work in, a weight file, and the step from one call to the
next. It must run with the library made of ``faults.c`` in LD_PRELOAD.
"""

from __future__ import annotations

import ctypes
import errno
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import tifffile

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "segmentation"), str(TESTS / "stereology")]

from segmented_folder import squares, write_segmented  # noqa: E402
from threshold_engine import ThresholdEngine  # noqa: E402
from whole_files import is_whole  # noqa: E402

from steelquant.errors import FileError  # noqa: E402
from steelquant.micrograph.files import sha256_of  # noqa: E402
from steelquant.networks.weights import read_metadata  # noqa: E402
from steelquant.segmentation import pipeline, segment  # noqa: E402
from steelquant.stereology import quantify  # noqa: E402

FAULTS = ctypes.CDLL(None)
KINDS = ((errno.ENOSPC, True), (errno.EIO, False))
"""A disk that is full stays full; a reading head fails once."""


def with_fault(work: Callable[[], object], folder: Path, call: int, kind: int, *, lasts: bool) -> str:
    """Do the work while its `call`-th writing call fails; return the line it was told in, or nothing."""
    FAULTS.faults_arm(str(folder).encode(), call, kind, lasts)
    try:
        work()
    except FileError as error:
        return str(error)
    finally:
        FAULTS.faults_disarm()
    return ""


def is_one_line(told: str) -> bool:
    return "\n" not in told and len(told) < 500


def count_calls(work: Callable[[], object], folder: Path) -> int:
    FAULTS.faults_arm(str(folder).encode(), 0, 0, 0)
    work()
    return FAULTS.faults_disarm()


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "segmentation.json"}


def check_segment(place: Path, weights: Path, step: int) -> int:
    images, out = place / "images", place / "out"
    images.mkdir()
    for number in range(3):
        write_segmented(place / "drawn", {"a": squares(0.1 + number / 10)})
        shutil.copy(place / "drawn" / "a.overlay.png", images / f"field_{number}.png")
    pipeline.load_engine = lambda path, *_: (ThresholdEngine(), read_metadata(path))

    def work() -> object:
        run = segment(images, output=out, weights=weights, probabilities=True)
        assert not run.failed, run.failed
        return run

    calls = count_calls(work, out)
    expected = files(out)
    tried = 0
    for kind, lasts in KINDS:
        for call in range(1, calls + 1, step):
            shutil.rmtree(out)
            told = with_fault(work, out, call, kind, lasts=lasts)
            tried += 1
            where = f"call {call} of {calls}, error {kind}: {told}"
            # Nothing is told of a folder that cannot be flushed: not every disk can, and nothing is lost.
            assert told or not lasts or files(out) == expected, where
            assert is_one_line(told), where
            if told:
                assert "disk is full" in told or "input/output error" in told, where
            left = files(out) if out.exists() else {}
            assert {name: expected.get(name) for name in left} == left, where
            record = out / "segmentation.json"
            if record.exists():
                for entry in json.loads(record.read_text(encoding="utf-8"))["fields"]:
                    assert entry["status"] == "done", where
                    assert sha256_of(out / entry["mask"]["path"]) == entry["mask"]["sha256"], where
            work()
            assert files(out) == expected, where
    return tried


def check_quantify(place: Path, step: int) -> int:
    masks, out = place / "masks", place / "out"
    write_segmented(masks, {f"field_{n}": squares(0.1 + n / 10) for n in range(2)})

    def work() -> object:
        return quantify(
            [masks], output=out / "report.xlsx", html=out / "report.html", rois=out / "rois", workers=1
        )

    def everything() -> dict[str, bytes]:
        found = [p for p in out.rglob("*") if p.is_file()] if out.exists() else []
        return {str(p.relative_to(out)): p.read_bytes() for p in found}

    calls = count_calls(work, out)
    expected = everything()
    tried = 0
    for kind, lasts in KINDS:
        for call in range(1, calls + 1, step):
            for has_old in (False, True):
                shutil.rmtree(out, ignore_errors=True)
                if has_old:
                    for name in expected:
                        (out / name).parent.mkdir(parents=True, exist_ok=True)
                        (out / name).write_bytes(b"an older report")
                told = with_fault(work, out, call, kind, lasts=lasts)
                tried += 1
                where = f"call {call} of {calls}, error {kind}: {told}"
                assert is_one_line(told), where
                if told:
                    assert "disk is full" in told or "input/output error" in told, where
                left = everything()
                for name, content in left.items():
                    assert name in expected, f"{where}: {name}"
                    old = has_old and content == b"an older report"
                    assert old or is_whole(out / name), f"{where}: {name}"
                    if not old and not name.endswith((".xlsx", ".html")):  # these tell the time
                        assert content == expected[name], f"{where}: {name}"
                if has_old or not told:
                    assert left.keys() == expected.keys(), where
    return tried


if __name__ == "__main__":
    kind, folder, weight_file, every = sys.argv[1:]
    tifffile.logger().setLevel("CRITICAL")
    if kind == "segment":
        count = check_segment(Path(folder), Path(weight_file), int(every))
    else:
        count = check_quantify(Path(folder), int(every))
    print(f"{count} faults survived by {kind}")
