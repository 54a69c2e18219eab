"""Which processor runs the network. Asks PyTorch only where there may be a GPU that PyTorch can use."""

from __future__ import annotations

import ctypes
import platform
import re
import sys
from pathlib import Path

from steelquant.errors import UsageError
from steelquant.micrograph.provenance import memory_gib

DEVICES = "auto, cpu, cuda, cuda:N, mps, gpu, gpu.N or npu"
"""What ``--device`` takes; ``gpu`` and ``npu`` are Intel's, through OpenVINO."""

_TORCH_GPU = re.compile(r"mps|cuda(:\d+)?")
_INTEL = re.compile(r"gpu(\.\d+)?|npu", re.IGNORECASE)

_NVIDIA_DRIVERS = {"linux": "libcuda.so.1", "win32": "nvcuda.dll"}
_AMD_DRIVER = Path("/dev/kfd")


def is_torch_gpu(device: str) -> bool:
    """Tell whether a device is a GPU that PyTorch runs on."""
    return _TORCH_GPU.fullmatch(device) is not None


def is_intel(device: str) -> bool:
    """Tell whether a device is one that OpenVINO runs on and PyTorch does not."""
    return _INTEL.fullmatch(device) is not None


def resolve_device(name: str) -> str:
    """Turn what ``--device`` says into a device's own name: ``cpu``, ``cuda:0``, ``mps``, ``gpu``, ``npu``.

    Parameters
    ----------
    name
        ``auto`` (the first of CUDA, Apple's MPS and the CPU that is there), ``cpu``, ``cuda``, ``cuda:N``,
        ``mps``, or Intel's ``gpu``, ``gpu.N`` and ``npu``; whether those are there OpenVINO knows.

    Raises
    ------
    UsageError
        If the name means nothing, or PyTorch finds no such GPU.
    """
    if name == "auto":
        return _best_torch_gpu() or "cpu"
    if name == "cpu":
        return name
    if is_intel(name):
        return name.lower()
    if not is_torch_gpu(name):
        raise UsageError(f"--device is {DEVICES}, not {name!r}")
    import torch

    if name.startswith("cuda"):
        return _cuda_device(name)
    if not torch.backends.mps.is_available():
        raise UsageError("--device mps: PyTorch finds no Apple GPU here; use --device cpu")
    return name


def may_have_torch_gpu() -> bool:
    """Tell, without the seconds that importing PyTorch takes, whether it might find a GPU.

    An Apple processor, NVIDIA's driver or AMD's kernel driver is there.
    """
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    driver = _NVIDIA_DRIVERS.get(sys.platform)
    if driver is None:
        return False
    try:
        ctypes.CDLL(driver)
    except OSError:
        return _AMD_DRIVER.exists()
    return True


def memory_bytes(device: str) -> int | None:
    """Return how much memory a device has in all; None where that is not told.

    In all, and not what is free at the moment: the same machine is to cut the same tiles on every day.

    Parameters
    ----------
    device
        As :func:`resolve_device` names it. Intel's graphics share the processor's memory.
    """
    if not is_torch_gpu(device):
        gib = memory_gib()
        return None if gib is None else round(gib * 2**30)
    import torch

    try:
        if device == "mps":
            return int(torch.mps.recommended_max_memory())
        return int(torch.cuda.get_device_properties(device).total_memory)
    except (RuntimeError, AssertionError, AttributeError):  # no such GPU here, or a PyTorch that cannot tell
        return None


def _best_torch_gpu() -> str | None:
    if not may_have_torch_gpu():
        return None
    import torch

    if torch.cuda.is_available():
        return "cuda:0"
    return "mps" if torch.backends.mps.is_available() else None


def _cuda_device(name: str) -> str:
    import torch

    if not torch.cuda.is_available():
        reason = "finds no NVIDIA GPU here" if torch.version.cuda else "is installed without CUDA"
        raise UsageError(f"--device {name}: PyTorch {reason}; use --device cpu")
    index = int(name.partition(":")[2] or 0)
    count = torch.cuda.device_count()
    if index >= count:
        raise UsageError(f"--device {name}: this machine has {count} GPU(s), the first is cuda:0")
    return f"cuda:{index}"
