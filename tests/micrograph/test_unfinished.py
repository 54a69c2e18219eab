"""What killed processes leave unfinished goes with the next run; what others are writing stays."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from steelquant.micrograph.files import atomic_write, write_bytes
from steelquant.micrograph.unfinished import TEMPORARY_PREFIX, remove_abandoned, remove_own

WRITE_SLOWLY = """
import sys, time
from pathlib import Path
from steelquant.micrograph.files import atomic_write
with atomic_write(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    print("half", flush=True)
    sys.stdin.readline()
    temporary.write_bytes(b"whole")
"""


def _hidden(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(TEMPORARY_PREFIX)]


def _half_written(target: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_SLOWLY, str(target)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    return process


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path: Path) -> None:
    process = _half_written(tmp_path / "report.xlsx")
    process.kill()
    process.communicate()
    assert len(_hidden(tmp_path)) == 1
    write_bytes(tmp_path / "another.csv", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["another.csv"]


def test_what_a_living_process_writes_stays(tmp_path: Path) -> None:
    process = _half_written(tmp_path / "report.xlsx")
    write_bytes(tmp_path / "another.csv", b"whole")
    remove_abandoned(tmp_path)
    assert len(_hidden(tmp_path)) == 1
    process.communicate("go on\n", timeout=30)
    assert process.returncode == 0
    assert (tmp_path / "report.xlsx").read_bytes() == b"whole"
    assert not _hidden(tmp_path)


def test_what_a_process_was_writing_goes_once_it_is_dead(tmp_path: Path) -> None:
    process = _half_written(tmp_path / "report.xlsx")
    write_bytes(tmp_path / "first.csv", b"whole")
    assert len(_hidden(tmp_path)) == 1
    process.kill()
    process.communicate()
    write_bytes(tmp_path / "second.csv", b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.csv", "second.csv"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_an_ended_process_that_nobody_asked_about_is_dead(tmp_path: Path) -> None:
    process = _half_written(tmp_path / "report.xlsx")
    process.kill()
    deadline = time.monotonic() + 10
    while ") Z " not in Path(f"/proc/{process.pid}/stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    write_bytes(tmp_path / "another.csv", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["another.csv"]
    process.communicate()


@pytest.mark.parametrize("name", ["01234567-99-0123456789ab.part.tif", "0123456789ab.part.tif"])
def test_files_of_another_machine_go_after_a_day(tmp_path: Path, name: str) -> None:
    left = tmp_path / f"{TEMPORARY_PREFIX}{name}"
    left.write_bytes(b"half")
    remove_abandoned(tmp_path)
    assert left.exists()
    a_day_ago = time.time() - 25 * 3600
    os.utime(left, (a_day_ago, a_day_ago))
    remove_abandoned(tmp_path)
    assert not left.exists()


def test_nothing_else_goes(tmp_path: Path) -> None:
    names = [".steelquant-lock", ".steelquant-notes.part", "0123456789ab.part.tif", ".hidden.part"]
    for name in names:
        (tmp_path / name).write_bytes(b"of somebody")
        os.utime(tmp_path / name, (0, 0))
    remove_abandoned(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_a_process_that_ends_in_haste_removes_its_own(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"half")
        remove_own()
        assert not temporary.exists()
        temporary.write_bytes(b"whole")
    assert (tmp_path / "a.bin").read_bytes() == b"whole"


def test_a_name_tells_its_process(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"")
        assert re.fullmatch(
            rf"\.steelquant-[0-9a-f]{{8}}-{os.getpid()}-[0-9a-f]{{12}}\.part\.bin", temporary.name
        )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGSTOP")
def test_a_sleeping_process_is_alive(tmp_path: Path) -> None:
    process = _half_written(tmp_path / "a.bin")
    process.send_signal(signal.SIGSTOP)
    remove_abandoned(tmp_path)
    assert len(_hidden(tmp_path)) == 1
    process.kill()
    process.communicate()
    remove_abandoned(tmp_path)
    assert not _hidden(tmp_path)
