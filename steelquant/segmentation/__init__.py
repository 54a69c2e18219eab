"""Micrographs in, label masks out: tiles, engines, and the pipeline that reads, predicts and writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from steelquant.locations import located
from steelquant.micrograph.exclusion import Exclusion
from steelquant.segmentation.ledger import Progress
from steelquant.segmentation.results import FieldResult, SegmentationInterrupted, SegmentationRun

__all__ = ["FieldResult", "Progress", "SegmentationInterrupted", "SegmentationRun", "segment"]


def segment(
    inputs: Path | str | Sequence[Path | str],
    *,
    model: str | None = None,
    output: Path | str = "segmented",
    weights: Path | str | None = None,
    device: str = "auto",
    engine: str = "auto",
    tile: int | str = "auto",
    overlap: float | str = "auto",
    scale: float = 1.0,
    pixel_size_um: float | str | Path | None = None,
    recursive: bool = False,
    exclusion: Exclusion | None = None,
    probabilities: bool = False,
    ensemble: Sequence[str] = (),
    symmetries: bool = False,
    overwrite: bool = False,
    scheduler: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> SegmentationRun:
    """Segment micrographs into label masks.

    Per field a label TIFF ``NAME.tif``, an overlay ``NAME.overlay.png`` and, on request,
    ``NAME.probability.tif`` are written, and one ``segmentation.json`` for the folder. Over an existing
    folder a run goes on where an earlier one stopped: fields that are done with the same input, weights and
    parameters are kept, changed ones are done again. Files that ``segment`` did not write are never replaced.

    Parameters
    ----------
    inputs
        Micrographs and folders of them.
    model
        Name of the network; unless stated ``mobilenetv2``, or what the weight file given holds.
    output
        Folder to write into.
    weights
        Weight file, or a folder of them, instead of the shipped ones.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``mps``, or Intel's ``gpu``, ``gpu.N`` and ``npu``.
    engine
        ``auto`` (the fastest on the device), ``torch`` or ``openvino``.
    tile
        Largest side of a tile in px, or ``auto``.
    overlap
        Least overlap of neighbouring tiles as a fraction of a tile, or ``auto``.
    scale
        The network sees the field resampled by this factor; the mask has the field's own size.
    pixel_size_um
        Scale of all fields in µm/px, or a table of it by folder or file, as
        :func:`steelquant.micrograph.scale_table.read_scale_table` reads; wins over what the files state.
    recursive
        Search sub-folders too.
    exclusion
        Pixels that must not count; labelled 255.
    probabilities
        Whether to write the probability of pearlite.
    ensemble
        Names of networks whose mean probability decides, in place of ``model``.
    symmetries
        Whether each network sees every tile in its eight orientations, for the mean of all.
    overwrite
        Whether to do everything anew.
    scheduler
        Address of a Dask scheduler whose workers do the fields, such as ``tls://host:8786``. Inputs and
        output lie on storage that they share, or are URLs that fsspec knows, such as ``s3://bucket/folder``.
    progress
        Called for each finished field, from one thread at a time.

    Returns
    -------
    SegmentationRun
        One result per field; ``failed`` names those that could not be done.

    Raises
    ------
    UsageError
        If an option, the model, the device or all inputs are wrong.
    FileError
        If the weights cannot be read or the output folder cannot be written, as on a full disk; what was
        finished before is kept.
    SegmentationInterrupted
        On Ctrl-C: a ``KeyboardInterrupt`` that carries the run so far.

    Examples
    --------
    >>> run = segment("micrographs", output="segmented")  # doctest: +SKIP
    >>> [(field.name, field.area_fractions["pearlite"]) for field in run.fields]  # doctest: +SKIP
    """
    from steelquant.micrograph.scale_table import read_pixel_sizes
    from steelquant.segmentation.job import prepare
    from steelquant.segmentation.options import SegmentOptions, parse_auto
    from steelquant.segmentation.pipeline import Pipeline
    from steelquant.segmentation.run import carry_out

    options = SegmentOptions(
        inputs=tuple(located(path) for path in ([inputs] if isinstance(inputs, str | Path) else inputs)),
        model=model,
        output=located(output),
        weights=None if weights is None else Path(weights),
        device=device,
        engine=engine,
        tile=parse_auto(tile, int, "--tile"),
        overlap=parse_auto(overlap, float, "--overlap"),
        scale=scale,
        pixel_size_um=read_pixel_sizes(pixel_size_um),
        recursive=recursive,
        exclusion=exclusion,
        probabilities=probabilities,
        ensemble=tuple(ensemble),
        symmetries=symmetries,
        overwrite=overwrite,
        scheduler=scheduler,
    )
    job = prepare(options)
    if scheduler is None:
        return carry_out(job, Pipeline(job), progress)
    from steelquant.segmentation.cluster import Cluster

    with Cluster(job, scheduler) as cluster:
        return carry_out(job, cluster, progress)
