"""Weight files: where they are, what their header says, reading and writing.

Only the tensors need torch: searching, and reading what a file says of itself, do not.

A weight file is safetensors with one JSON text under ``steelquant`` in its metadata; never a pickle.
Convolutions are stored as float16, what batch norms remember as float32; the fixed upsampler is not stored.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steelquant.errors import FileError, UsageError
from steelquant.micrograph.documents import MALFORMED, parse_json, told
from steelquant.micrograph.field import STEEL_CLASSES, PhaseClass
from steelquant.networks.familiarity import Familiarity, parse_familiarity
from steelquant.networks.registry import model_info

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMAT = "steelquant weights 1"
_METADATA_KEY = "steelquant"
_CHECKSUM_KEY = "tensors_sha256"
ENVIRONMENT_VARIABLE = "STEELQUANT_WEIGHTS"
_PACKAGE = Path(__file__).resolve().parent.parent
SEARCH_FOLDERS = (_PACKAGE / "_weights", _PACKAGE.parent / "weights")
"""The installed package's weights, then the checkout's."""


@dataclass(frozen=True)
class WeightsMetadata:
    """What a weight file says of itself.

    Attributes
    ----------
    model
        The network's name in the registry.
    classes
        Labels, names and colours, in the order of the network's channels.
    mean, std
        Normalisation of RGB values 0–255: ``(x - mean) / std``.
    crop_px
        Edge of the crops it was trained on.
    feature_size_px
        Smallest and largest grain diameter (px) it was trained on; None where not known.
    pixel_size_um
        Smallest and largest µm/px of the training fields; None where not known.
    familiarity
        What the training fields look like, which ``segment`` compares others with; None where not known.
    training
        Data, its hash, protocol, crops seen, time; for the model card and ``steelquant models``.
    metrics
        By name of the set: measured figures, each with its number of fields.
    version
        Of steelquant that trained it.
    licence
        Of the weights, SPDX, with the sources it started from.
    """

    model: str
    classes: tuple[PhaseClass, ...] = STEEL_CLASSES
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    std: tuple[float, float, float] = (127.5, 127.5, 127.5)
    crop_px: int = 224
    feature_size_px: tuple[float, float] | None = None
    pixel_size_um: tuple[float, float] | None = None
    familiarity: Familiarity | None = None
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    version: str = ""
    licence: str = ""

    def for_record(self) -> dict[str, Any]:
        """Return what a run's record tells of the weights: all but how training fields look.

        That is thousands of numbers, found by the file's hash.
        """
        return asdict(replace(self, familiarity=None))

    def to_json(self) -> str:
        """Return the header's JSON text, keys sorted, so that equal contents give equal bytes."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True, ensure_ascii=False)


def weights_file_name(model: str) -> str:
    """Return the file name that belongs to a model: ``:`` and ``/`` cannot stand in one."""
    return re.sub(r"[:/\\]+", "-", model) + ".safetensors"


def find_weights(model: str, explicit: Path | None = None) -> Path:
    """Find the weight file of a model.

    Looked for in this order: ``explicit`` (a file, or a folder of them), the file or folder that the
    environment variable ``STEELQUANT_WEIGHTS`` names, the installed package, the checkout's ``weights/``.

    Raises
    ------
    UsageError
        If there is none; the message says where it was looked for.
    """
    model_info(model)
    name = weights_file_name(model)
    if explicit is not None:
        return _file_in(Path(explicit), name, "--weights")
    if stated := os.environ.get(ENVIRONMENT_VARIABLE):
        return _file_in(Path(stated), name, ENVIRONMENT_VARIABLE)
    for folder in SEARCH_FOLDERS:
        if (folder / name).is_file():
            return folder / name
    raise UsageError(
        f"no trained weights for {model!r}: {name} is neither in the package nor in {SEARCH_FOLDERS[-1]}; "
        f"train it (steelquant train --model {model} --data DATASET) and name the file with --weights"
    )


def _file_in(place: Path, name: str, stated_by: str) -> Path:
    candidate = place / name if place.is_dir() else place
    if not candidate.is_file():
        raise UsageError(f"{stated_by} names {place}, but there is no file {candidate}")
    return candidate


def read_metadata(path: Path) -> WeightsMetadata:
    """Read what a weight file says of itself, without its tensors and without torch.

    Raises
    ------
    FileError
        If it is no safetensors file, or not one of steelquant.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(_METADATA_KEY)
    except (OSError, SafetensorError, ValueError) as error:
        raise FileError(
            path, f"not a readable safetensors file ({error}); weights are never pickles"
        ) from None
    if text is None:
        raise FileError(path, "safetensors without steelquant's header; train or convert it with steelquant")
    return _parse_metadata(path, text)


def _parse_metadata(path: Path, text: str) -> WeightsMetadata:
    try:
        header = parse_json(text)
        if header.pop("format") != FORMAT:
            raise ValueError("another format than " + repr(FORMAT))
        header.pop(_CHECKSUM_KEY, None)
        known = header.get("familiarity")
        classes = tuple(
            PhaseClass(int(c["label"]), str(c["name"]), _triple(c["colour"], int)) for c in header["classes"]
        )
        if [c.label for c in classes] != list(range(len(classes))) or len(classes) < 2:
            raise ValueError("classes must be labelled 0, 1, …")
        model_info(str(header["model"]))
        return WeightsMetadata(
            **{
                **header,
                "classes": classes,
                "mean": _triple(header["mean"], float),
                "std": _triple(header["std"], float),
                "feature_size_px": _pair(header["feature_size_px"]),
                "pixel_size_um": _pair(header["pixel_size_um"]),
                "familiarity": None if known is None else parse_familiarity(known),
            }
        )
    except (*MALFORMED, UsageError) as error:
        raise FileError(path, f"its header cannot be understood ({told(error)})") from None


def _triple(values: Any, kind: Any) -> Any:
    first, second, third = values
    return kind(first), kind(second), kind(third)


def _pair(values: Any) -> tuple[float, float] | None:
    if values is None:
        return None
    low, high = values
    return float(low), float(high)


def write_weights(path: Path, network: nn.Module, metadata: WeightsMetadata) -> None:
    """Write a network's weights with their metadata; the file appears whole or not at all."""
    import torch
    from safetensors.torch import save

    from steelquant.micrograph.files import write_bytes

    normed = {
        prefix
        for prefix, module in network.named_modules()
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
    }
    tensors = {}
    for key, value in network.state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue
        exact = key.rpartition(".")[0] in normed
        tensors[key] = value.detach().cpu().to(torch.float32 if exact else torch.float16).contiguous()
    header = {**json.loads(metadata.to_json()), _CHECKSUM_KEY: _checksum(tensors)}
    text = json.dumps(header, sort_keys=True, ensure_ascii=False)
    # Not save_file: it lets nobody but its owner read what it writes.
    write_bytes(path, save(tensors, metadata={_METADATA_KEY: text}))


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of tensors in the order of their names."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}\n".encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def record_metrics(path: Path, name: str, figures: dict[str, Any]) -> None:
    """Write measured figures into a weight file's header; its tensors stay as they are.

    Parameters
    ----------
    path
        The weight file.
    name
        Of the set that was judged on; figures that stood under it are replaced.
    figures
        Numbers and words, JSON.

    Raises
    ------
    FileError
        If the file cannot be read or written.
    """
    network, metadata = read_weights(path)
    write_weights(path, network, replace(metadata, metrics={**metadata.metrics, name: figures}))


def read_weights(path: Path) -> tuple[nn.Module, WeightsMetadata]:
    """Build the network that a weight file belongs to, with its weights, in evaluation mode.

    Names and shapes are compared with the network before a tensor is read, then the tensors with their
    checksum.

    Returns
    -------
    network, metadata
        The network in float32 on the CPU.

    Raises
    ------
    FileError
        If the file cannot be read or does not fit its model.
    """
    from safetensors import SafetensorError, safe_open

    from steelquant.networks import build

    metadata = read_metadata(path)
    network = build(metadata.model, len(metadata.classes))
    own = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
            if shapes != {key: tuple(value.shape) for key, value in own.items()}:
                raise FileError(path, f"its tensors are not those of {metadata.model!r}; train it anew")
            tensors = {key: file.get_tensor(key) for key in shapes}
            stated = json.loads(file.metadata()[_METADATA_KEY]).get(_CHECKSUM_KEY)
    except (OSError, SafetensorError, ValueError) as error:
        raise FileError(path, f"its tensors cannot be read ({error})") from None
    if not all(tensor.is_floating_point() for tensor in tensors.values()):
        raise FileError(path, f"its tensors are not those of {metadata.model!r}; train it anew")
    if stated is not None and stated != _checksum(tensors):
        raise FileError(path, "is damaged: its tensors are not those that were written; fetch it again")
    values = {key: tensor.float() for key, tensor in tensors.items()}
    if not all(bool(value.isfinite().all()) for value in values.values()):
        raise FileError(path, "holds weights that are infinite or no numbers; train it anew")
    network.load_state_dict(values, strict=False)
    return network.eval(), metadata
