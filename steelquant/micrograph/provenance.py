"""What a result was made with: versions, machine and time."""

from __future__ import annotations

import os
import platform
import re
import subprocess  # nosec B404 # for _sysctl
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from steelquant import __version__

_PACKAGES = (
    "numpy",
    "scipy",
    "scikit-image",
    "opencv-python-headless",
    "pillow",
    "tifffile",
    "imagecodecs",
    "pandas",
    "openpyxl",
    "torch",
    "torchvision",
    "segmentation-models-pytorch",
    "lightning",
    "openvino",
)


def utc_now() -> str:
    """Return the time in ISO 8601 with seconds, in UTC: ``2026-01-31T12:00:00Z``."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def versions() -> dict[str, str]:
    """Return the versions of steelquant, Python and the libraries that touch pixels or numbers.

    Read from the installed packages' metadata, so that nothing is imported; what is not installed is
    left out.
    """
    found = {"steelquant": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = _version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _version(name: str) -> str:
    """Return a package's version; ``metadata.version`` would parse its whole description for it."""
    facts = metadata.distribution(name).read_text("METADATA") or ""
    stated = re.search(r"^Version: *(\S+)", facts, re.MULTILINE)
    return stated[1] if stated else metadata.version(name)


def machine() -> dict[str, Any]:
    """Return operating system, processor, usable cores and memory of this machine.

    Returns
    -------
    dict
        ``system`` and ``processor`` (text), ``cores`` (int: logical cores that this process may use),
        ``memory_gib`` (float, or None where the system does not tell).
    """
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}".strip(),
        "processor": _processor(),
        "cores": _cores(),
        "memory_gib": memory_gib(),
    }


def _cores() -> int:
    """Count the logical cores that this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only; tells what a job scheduler granted
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _processor() -> str:
    """Name the processor as its maker does, or as well as the system can."""
    name = ""
    try:
        if sys.platform == "linux":
            lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
            name = next((line.split(":", 1)[1] for line in lines if line.startswith("model name")), "")
        elif sys.platform == "darwin":
            name = _sysctl("machdep.cpu.brand_string")
        elif sys.platform == "win32":
            import winreg

            key = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as handle:
                name = str(winreg.QueryValueEx(handle, "ProcessorNameString")[0])
    except (OSError, IndexError, subprocess.SubprocessError):
        name = ""
    return " ".join(name.split()) or platform.processor() or platform.machine()


def memory_gib() -> float | None:
    """Return the physical memory in GiB; None where the system does not tell."""
    try:
        if sys.platform == "win32":
            size = _windows_memory()
        elif sys.platform == "darwin":
            size = int(_sysctl("hw.memsize"))
        else:
            size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return round(size / 2**30, 1)


def _sysctl(name: str) -> str:
    """Ask macOS for one of its values."""
    command = ["/usr/sbin/sysctl", "-n", name]
    # A program of the system by its full path, and names that stand in this file
    done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)  # nosec B603
    return done.stdout.strip()


def _windows_memory() -> int:
    """Ask Windows for the size of the physical memory in bytes."""
    import ctypes

    class MemoryStatus(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_uint32),
            ("load", ctypes.c_uint32),
            ("total_physical", ctypes.c_uint64),
            *((name, ctypes.c_uint64) for name in ("free", "page", "page_free", "virtual", "virtual_free")),
            ("extended", ctypes.c_uint64),
        )

    status = MemoryStatus()
    status.length = ctypes.sizeof(MemoryStatus)
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):  # type: ignore[attr-defined,unused-ignore]
        raise OSError("the size of the memory is unknown")
    return int(status.total_physical)
