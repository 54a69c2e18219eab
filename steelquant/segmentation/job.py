"""Everything a run knows before it begins: weights, fields, and the fingerprint of what decides its masks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from steelquant import __version__
from steelquant.errors import FileError, UsageError
from steelquant.locations import is_url
from steelquant.micrograph.discovery import find_micrographs, output_names
from steelquant.micrograph.field import PhaseClass
from steelquant.micrograph.files import sha256_of
from steelquant.micrograph.provenance import machine, utc_now, versions
from steelquant.micrograph.reading import page_count
from steelquant.networks.weights import WeightsMetadata, find_weights, read_metadata
from steelquant.segmentation.options import DEFAULT_MODEL, SegmentOptions
from steelquant.segmentation.record import FORMAT, fingerprint
from steelquant.segmentation.results import FieldResult
from steelquant.segmentation.urls import list_micrographs


@dataclass(frozen=True)
class WeightFile:
    """Trained weights: their file, its hash, and what it says of itself."""

    path: Path
    sha256: str
    metadata: WeightsMetadata


@dataclass(frozen=True)
class Job:
    """What a run will do.

    Attributes
    ----------
    options
        What was asked for.
    weights
        The weight files whose networks' mean is used, mostly one; their classes agree.
    run
        Fingerprint of all that decides a mask.
    fields
        The fields in order, none of them done.
    """

    options: SegmentOptions
    weights: tuple[WeightFile, ...]
    run: str
    fields: tuple[FieldResult, ...]

    @property
    def model(self) -> str:
        """The network's name; of an ensemble all of them, joined by ``+``."""
        return "+".join(member.metadata.model for member in self.weights)

    @property
    def classes(self) -> tuple[PhaseClass, ...]:
        """What the labels stand for."""
        return self.weights[0].metadata.classes

    def header(self) -> dict[str, Any]:
        """Return the head of segmentation.json."""
        return {
            "format": FORMAT,
            "version": __version__,
            "started_utc": utc_now(),
            "finished_utc": None,
            "run": self.run,
            "engine": None,
            "parameters": self.options.to_json(),
            "weights": {
                "model": self.model,
                "file": "+".join(str(member.path) for member in self.weights),
                "sha256": "+".join(member.sha256 for member in self.weights),
                "metadata": [member.metadata.for_record() for member in self.weights],
            },
            "versions": versions(),
            "machine": machine(),
            "classes": [asdict(phase) for phase in self.classes],
        }

    def files(self, field: FieldResult) -> list[str]:
        """Names of the files that will hold a field."""
        return [field.mask, field.overlay, *([field.probability] if self.options.probabilities else [])]


def prepare(options: SegmentOptions) -> Job:
    """Find weights and fields.

    Raises
    ------
    UsageError
        If there are no weights for a model, they belong to another one or differ in their classes, or there
        are no inputs.
    FileError
        If the weight file cannot be read.
    """
    weights = tuple(_weight_file(options, model) for model in options.ensemble or (options.model,))
    names = [[phase.name for phase in member.metadata.classes] for member in weights]
    if any(other != names[0] for other in names):
        raise UsageError(f"--ensemble {','.join(options.ensemble)}: these weights know different classes")
    run = fingerprint(options.deciding(), "+".join(member.sha256 for member in weights))
    return Job(options, weights, run, _fields(options, run))


def _weight_file(options: SegmentOptions, model: str | None) -> WeightFile:
    path = find_weights(model or DEFAULT_MODEL, options.weights)
    metadata = read_metadata(path)
    if model is not None and metadata.model != model:
        raise UsageError(
            f"{path} holds weights of {metadata.model!r}, not of {model!r}; "
            f"leave --model out or say --model {metadata.model}"
        )
    return WeightFile(path, sha256_of(path), metadata)


def _fields(options: SegmentOptions, run: str) -> tuple[FieldResult, ...]:
    """List the fields: every page of every file; a file that cannot be opened fails when it is read."""
    inputs = [_images_of(path) for path in options.inputs]
    local = [path for path in inputs if not is_url(path)]
    found = find_micrographs(local, recursive=options.recursive) if local else []
    files = [(path, _page_count(path)) for path in found]
    for url in filter(is_url, inputs):
        files += list_micrographs(url, recursive=options.recursive)
    pages = [(path, page, count) for path, count in dict(files).items() for page in range(count)]
    names = output_names(pages, [path for path in inputs if is_url(path) or path.is_dir()])
    return tuple(
        FieldResult(
            name=name,
            status="failed",
            error=None,
            path=path if is_url(path) else path.absolute(),
            page=page,
            run=run,
        )
        for name, (path, page, _) in zip(names, pages, strict=True)
    )


def _page_count(path: Path) -> int:
    """Count the fields of a file; one that cannot be opened fails when it is read."""
    try:
        return page_count(path)
    except FileError:
        return 1


def _images_of(path: Path) -> Path:
    """Take a labelled set, ``images/`` beside ``masks/``, for its images: its masks are no micrographs."""
    is_set = (path / "images").is_dir() and (path / "masks").is_dir()
    return path / "images" if is_set else path
