"""Which processor runs the network."""

from __future__ import annotations

import re

import torch

from steelquant.errors import UsageError

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def resolve_device(name: str) -> torch.device:
    """Turn what ``--device`` says into a device that is there.

    Parameters
    ----------
    name
        ``auto`` (the first of CUDA, Apple's MPS and the CPU that is there), ``cpu``, ``cuda``, ``cuda:N`` or
        ``mps``.

    Raises
    ------
    UsageError
        If the name means nothing or this machine has no such device.
    """
    if not _DEVICE.fullmatch(name):
        raise UsageError(f"--device is auto, cpu, cuda, cuda:N or mps, not {name!r}")
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda:0")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if name == "mps" and not torch.backends.mps.is_available():
        raise UsageError("--device mps: PyTorch finds no Apple GPU here; use --device cpu")
    if name.startswith("cuda"):
        return _cuda_device(name)
    return torch.device(name)


def _cuda_device(name: str) -> torch.device:
    if not torch.cuda.is_available():
        reason = "finds no NVIDIA GPU here" if torch.version.cuda else "is installed without CUDA"
        raise UsageError(f"--device {name}: PyTorch {reason}; use --device cpu")
    device = torch.device(name if ":" in name else "cuda:0")
    count = torch.cuda.device_count()
    if (device.index or 0) >= count:
        raise UsageError(f"--device {name}: this machine has {count} GPU(s), the first is cuda:0")
    return device
