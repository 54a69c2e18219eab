"""A field behind a URL, brought to a worker's own disk, and its results sent back."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from steelquant.errors import FileError
from steelquant.locations import is_url
from steelquant.segmentation.job import Job
from steelquant.segmentation.results import FieldResult
from steelquant.segmentation.urls import open_url, storage_errors


@contextlib.contextmanager
def at_hand(job: Job, field: FieldResult) -> Iterator[tuple[Job, FieldResult]]:
    """Bring a field to this machine, and send what is written of it where it belongs.

    Parameters
    ----------
    job, field
        With any paths.

    Yields
    ------
    job, field
        With paths on this machine only.

    Raises
    ------
    FileError
        The field cannot be fetched or its results cannot be sent.
    """
    with tempfile.TemporaryDirectory(prefix="steelquant-") as text:
        place = Path(text)
        here, work = field, job
        if is_url(field.path):
            here = replace(field, path=place / field.path.name)
            with storage_errors(field.path):
                files, root = open_url(field.path)
                files.get_file(root, str(here.path))
        output = job.options.output
        if is_url(output):
            work = replace(job, options=replace(job.options, output=place / "segmented"))
            work.options.output.mkdir()
        try:
            yield work, here
        except FileError as error:
            if not error.path.is_relative_to(place):
                raise
            named = field.path if error.path == here.path else output / error.path.name
            raise FileError(named, error.problem) from error.__cause__
        if is_url(output):
            files, root = open_url(output)
            for name in job.files(field):
                with storage_errors(output / name):
                    files.put_file(str(work.options.output / name), f"{root}/{name}")
