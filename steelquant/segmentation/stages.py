"""The two stages beside the network: a field's file becomes pixels, a prediction becomes files."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from steelquant.errors import FileError
from steelquant.micrograph.field import Micrograph
from steelquant.micrograph.files import reason, sha256_of
from steelquant.micrograph.masks import write_mask, write_probability
from steelquant.micrograph.overlay import write_overlay
from steelquant.micrograph.reading import read_micrograph
from steelquant.segmentation.checks import field_warnings
from steelquant.segmentation.job import Job
from steelquant.segmentation.predict import Prediction
from steelquant.segmentation.record import Record
from steelquant.segmentation.results import FieldResult


@dataclass(frozen=True)
class ReadField:
    """A field ready for the network.

    Attributes
    ----------
    field
        With hash, size and scale.
    micrograph
        Its pixels; None where the field is done already.
    seconds
        Time spent on reading.
    """

    field: FieldResult
    micrograph: Micrograph | None
    seconds: float


def read_field(job: Job, record: Record, field: FieldResult) -> ReadField:
    """Read a field, unless an earlier run has done it.

    Raises
    ------
    FileError
        If it cannot be read, or its results must not be replaced.
    """
    start = time.perf_counter()
    options = job.options
    if record.is_known(field.name):
        field = replace(field, sha256=sha256_of(field.path))
        done = None if options.overwrite else record.find_done(field, probability=options.probabilities)
        if done is not None:
            return ReadField(done, None, time.perf_counter() - start)
        record.refuse_loss(field, job.files(field), overwrite=options.overwrite)
    try:
        micrograph = read_micrograph(
            field.path, page=field.page, pixel_size_um=options.pixel_size_um, exclusion=options.exclusion
        )
    except MemoryError:
        raise FileError(field.path, "there is not enough memory to read it") from None
    height, width = micrograph.pixels.shape[:2]
    field = replace(
        field,
        sha256=micrograph.sha256,
        height_px=height,
        width_px=width,
        calibration=micrograph.calibration,
        excluded_px=0 if micrograph.excluded is None else int(np.count_nonzero(micrograph.excluded)),
    )
    return ReadField(field, micrograph, time.perf_counter() - start)


def write_field(job: Job, record: Record, read: ReadField, prediction: Prediction) -> FieldResult:
    """Write a field's files and return its result, without the time it took.

    Raises
    ------
    FileError
        If a file cannot be written.
    """
    field, micrograph, folder = read.field, read.micrograph, job.options.output
    assert micrograph is not None
    classes, size_um = job.classes, micrograph.calibration.pixel_size_um
    record.plan([field.name])
    try:
        record.remove_stale_probability(field.name)
    except OSError as error:
        raise FileError(folder / field.probability, f"cannot be removed: {reason(error)}") from error
    write_mask(folder / field.mask, prediction.labels, pixel_size_um=size_um, classes=classes)
    write_overlay(folder / field.overlay, micrograph.pixels, prediction.labels, classes)
    probability_sha256 = None
    if prediction.probability is not None:
        write_probability(folder / field.probability, prediction.probability, pixel_size_um=size_um)
        probability_sha256 = sha256_of(folder / field.probability)
    counted_px = field.height_px * field.width_px - field.excluded_px
    fractions = {
        phase.name: np.count_nonzero(prediction.labels == phase.label) / counted_px if counted_px else np.nan
        for phase in classes
    }
    return replace(
        field,
        status="done",
        mask_sha256=sha256_of(folder / field.mask),
        probability_sha256=probability_sha256,
        area_fractions=fractions,
        confidence=None if prediction.confidence is None else round(prediction.confidence, 4),
        warnings=field_warnings(
            micrograph, prediction, fractions, job.weights[0].metadata, job.options.scale
        ),
    )
