"""The two stages beside the network: a field's file becomes pixels, a prediction becomes files."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from steelquant.errors import FileError
from steelquant.micrograph.field import Micrograph
from steelquant.micrograph.files import sha256_of
from steelquant.micrograph.masks import write_mask, write_probability
from steelquant.micrograph.mosaic import Mosaic, open_mosaic
from steelquant.micrograph.overlay import write_overlay
from steelquant.micrograph.reading import read_micrograph
from steelquant.micrograph.scale_table import given_scale
from steelquant.segmentation.checks import field_warnings
from steelquant.segmentation.job import Job
from steelquant.segmentation.look import Look, look_at
from steelquant.segmentation.predict import Prediction
from steelquant.segmentation.record import Record
from steelquant.segmentation.results import FieldResult
from steelquant.segmentation.urls import sha256_at


@dataclass(frozen=True)
class ReadField:
    """A field ready for the network.

    Attributes
    ----------
    field
        With hash, size and scale.
    content
        Its pixels, or of a very large field what reads them in bands.
    seconds
        Time spent on reading.
    """

    field: FieldResult
    content: Micrograph | Mosaic
    seconds: float


def find_done(job: Job, record: Record, field: FieldResult) -> FieldResult | None:
    """Return what an earlier run made of a field, if it need not be done again.

    Raises
    ------
    FileError
        If the field cannot be read, or its results must not be replaced.
    """
    if not record.was_done(field.name):
        return None  # its file need not be read twice
    options = job.options
    done = None
    if not options.overwrite:
        field = replace(field, sha256=sha256_at(field.path))
        done = record.find_done(field, probability=options.probabilities)
    if done is None:
        record.refuse_loss(field, job.files(field), overwrite=options.overwrite)
    return done


def claim_files(record: Record, field: FieldResult) -> None:
    """Say that a field's files are about to be written, and remove what would not be replaced.

    Raises
    ------
    FileError
        If the disk does not let it.
    """
    record.plan([field.name])
    record.remove_stale_probability(field.name)


def read_field(job: Job, field: FieldResult) -> ReadField:
    """Read a field; of a very large one only what is told before its pixels.

    Raises
    ------
    FileError
        If it cannot be read.
    """
    start = time.perf_counter()
    options = job.options
    try:
        scale, remarks = given_scale(options.pixel_size_um, field.path)
        content: Micrograph | Mosaic = open_mosaic(
            field.path, field.page, pixel_size_um=scale
        ) or read_micrograph(field.path, page=field.page, pixel_size_um=scale, exclusion=options.exclusion)
    except MemoryError:
        raise FileError(field.path, "there is not enough memory to read it") from None
    if isinstance(content, Mosaic):
        field = replace(
            field,
            sha256=sha256_of(field.path),
            height_px=content.height_px,
            width_px=content.width_px,
        )
    else:
        height, width = content.pixels.shape[:2]
        field = replace(
            field,
            sha256=content.sha256,
            height_px=height,
            width_px=width,
            excluded_px=0 if content.excluded is None else int(np.count_nonzero(content.excluded)),
        )
    calibration = content.calibration
    field = replace(field, calibration=replace(calibration, warnings=(*calibration.warnings, *remarks)))
    return ReadField(field, content, time.perf_counter() - start)


def write_field(job: Job, field: FieldResult, micrograph: Micrograph, prediction: Prediction) -> FieldResult:
    """Write a field's files and return its result, without the time it took.

    Raises
    ------
    FileError
        If a file cannot be written.
    """
    folder, classes = job.options.output, job.classes
    size_um = micrograph.calibration.pixel_size_um
    counts_px = write_mask(folder / field.mask, prediction.labels, pixel_size_um=size_um, classes=classes)
    write_overlay(folder / field.overlay, micrograph.pixels, prediction.labels, classes)
    if prediction.probability is not None:
        write_probability(folder / field.probability, prediction.probability, pixel_size_um=size_um)
    counts = {phase.name: counts_px[phase.label] for phase in classes}
    look = look_at(micrograph.pixels, prediction.labels, job.options.scale)
    return done_result(job, field, micrograph, prediction, counts, look)


def done_result(
    job: Job,
    field: FieldResult,
    micrograph: Micrograph,
    prediction: Prediction,
    counts_px: Mapping[str, int],
    look: Look | None,
) -> FieldResult:
    """Return the result of a field whose files are written, without the time it took.

    Parameters
    ----------
    job, field
        What was done, and the field as it was read.
    micrograph, prediction
        Its pixels and labels, of a very large field every n-th of them.
    counts_px
        Pixels of each class.
    look
        What it looks like.

    Raises
    ------
    FileError
        If a file that was written cannot be read.
    """
    folder = job.options.output
    counted_px = field.height_px * field.width_px - field.excluded_px
    fractions = {name: count / counted_px if counted_px else np.nan for name, count in counts_px.items()}
    has_probability = job.options.probabilities
    return replace(
        field,
        status="done",
        mask_sha256=sha256_of(folder / field.mask),
        probability_sha256=sha256_of(folder / field.probability) if has_probability else None,
        area_fractions=fractions,
        confidence=None if prediction.confidence is None else round(prediction.confidence, 4),
        warnings=field_warnings(
            micrograph, prediction, look, fractions, job.weights[0].metadata, job.options.scale
        ),
    )


def no_memory(field: FieldResult, error: MemoryError) -> FileError:
    """Say what can be done for a field that does not fit into memory."""
    return FileError(field.path, f"{error}; try a smaller --scale")
