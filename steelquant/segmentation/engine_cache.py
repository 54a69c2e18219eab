"""Exported networks kept from one start to the next, so that the next needs no PyTorch.

One safetensors file per network: its graph, its constants, what it was made from, and the hash of all that.
A file that is damaged, of another version or of other weights is not used; it is made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from steelquant.errors import FileError
from steelquant.micrograph.files import atomic_write

ENVIRONMENT_VARIABLE = "STEELQUANT_CACHE"
"""Names another cache folder."""

_SUFFIX = ".openvino.safetensors"
_KEPT = 12
"""Files beyond this number go, those that were used longest ago first."""

Origin = dict[str, str]
"""What an export follows from: weights, versions and our own code. Others are not equal to it."""


@dataclass(frozen=True)
class ExportedNetwork:
    """A network as OpenVINO's intermediate representation.

    Attributes
    ----------
    graph
        Its XML text.
    constants
        The weights that the graph refers to.
    """

    graph: bytes
    constants: bytes

    def sha256(self) -> str:
        """Return the hash of both as 64 hexadecimal digits."""
        return hashlib.sha256(hashlib.sha256(self.graph).digest() + self.constants).hexdigest()


def cache_folder() -> Path:
    """Return the folder of this user's exported networks; it need not exist.

    What ``STEELQUANT_CACHE`` names, or ``steelquant`` in the system's folder for caches.
    """
    if stated := os.environ.get(ENVIRONMENT_VARIABLE):
        return Path(stated)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        return base / "steelquant" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "steelquant"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "steelquant"


def can_keep_exports() -> bool:
    """Tell whether the folder can be written, or made."""
    folder = cache_folder()
    place = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return place.is_dir() and os.access(place, os.W_OK)


def find_export(origin: Origin) -> ExportedNetwork | None:
    """Return the export with exactly this origin; None if there is none that is whole."""
    from safetensors import SafetensorError, safe_open

    path = _path(origin)
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            network = ExportedNetwork(*(file.get_tensor(key).tobytes() for key in ("graph", "constants")))
        is_whole = json.loads(header["origin"]) == origin and header["sha256"] == network.sha256()
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
    if not is_whole:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # it was used
    return network


def keep_export(origin: Origin, network: ExportedNetwork) -> None:
    """Write an export for the next start, and remove what has not been used for long.

    A folder that cannot be written only means that the next start exports again.
    """
    from safetensors.numpy import save_file

    path = _path(origin)
    tensors = {
        "graph": np.frombuffer(network.graph, np.uint8),
        "constants": np.frombuffer(network.constants, np.uint8),
    }
    header = {"origin": json.dumps(origin, sort_keys=True), "sha256": network.sha256()}
    with contextlib.suppress(FileError, OSError):
        with atomic_write(path) as temporary:
            save_file(tensors, temporary, metadata=header)
        files = sorted(path.parent.glob(f"*{_SUFFIX}"), key=lambda file: file.stat().st_mtime, reverse=True)
        for file in files[_KEPT:]:
            file.unlink()


def _path(origin: Origin) -> Path:
    digest = hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()
    return cache_folder() / f"{digest[:32]}{_SUFFIX}"
