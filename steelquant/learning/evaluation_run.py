"""An evaluation from files to files: load, judge, and leave a workbook, pictures and a record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from steelquant import __version__
from steelquant.errors import FileError, UsageError
from steelquant.learning.baseline import OtsuSegmenter
from steelquant.learning.evaluation import Method, evaluate
from steelquant.learning.evaluation_results import Evaluation, MethodResult
from steelquant.learning.evaluation_set import EvaluationSet, Sample, open_set
from steelquant.learning.evaluation_tables import all_tables
from steelquant.learning.paper_results import PAPER_TABLE_4
from steelquant.learning.segmenter import NetworkSegmenter, load_segmenters
from steelquant.learning.tables import Table, set_words
from steelquant.micrograph.files import reason, write_json
from steelquant.micrograph.provenance import machine, utc_now, versions
from steelquant.networks.weights import record_metrics
from steelquant.reports.evaluation_excel import write_workbook
from steelquant.reports.evaluation_figures import PLOTS, draw_figures
from steelquant.reports.evaluation_pictures import DEGRADATIONS_PLOT, Gallery, draw_degradations
from steelquant.segmentation.options import SCALE_RANGE

FORMAT = "steelquant evaluation 1"
RECORD = "evaluation.json"


@dataclass(frozen=True)
class EvaluationOptions:
    """What to judge on what, as the command states it.

    Attributes
    ----------
    data
        A dataset or a folder with images and masks.
    models
        Names separated by commas, or ``all``.
    weights
        Weight file or a folder of them; None for the shipped ones.
    output
        Folder of the results.
    crops
        Judge by crops of the paper's size, not by whole fields.
    scale
        The networks see the fields resampled by this factor.
    robustness
        Judge degraded fields too.
    ensemble
        Models whose mean is judged too.
    symmetries
        Judge every model averaged over the eight symmetries too.
    classes
        Class table of a folder.
    device
        As ``segment``'s.
    seed
        Of degradations and bootstrap.
    record
        Name of the set under which the figures go into the headers of the weight files; None leaves them.
    """

    data: Path
    models: str
    weights: Path | None = None
    output: Path = Path("evaluation")
    crops: bool = False
    scale: float = 1.0
    robustness: bool = False
    ensemble: tuple[str, ...] = ()
    symmetries: bool = False
    classes: str | None = None
    device: str = "auto"
    seed: int = 0
    record: str | None = None


def run_evaluation(
    options: EvaluationOptions,
    *,
    warn: Callable[[str], None],
    on_field: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Judge trained networks, with Otsu's threshold beside them, and write what was found.

    The output folder gets ``evaluation.json``, ``evaluation.xlsx``, the plots, ``sheets/`` and ``worst/``.

    Raises
    ------
    UsageError
        If options contradict each other, or there is nothing to judge or to judge by.
    FileError
        If weights cannot be read or the output cannot be written. Fields that cannot be read are listed in
        the result instead.
    """
    started = utc_now()
    data = open_set(options.data, crops=options.crops, classes=options.classes)
    if options.robustness and options.crops:
        raise UsageError("--robustness degrades whole fields; leave --crops out")
    low, high = SCALE_RANGE
    if not low <= options.scale <= high:
        raise UsageError(f"--scale is a factor from {low:g} to {high:g}, not {options.scale:g}")
    networks = load_segmenters(
        options.models,
        classes=data.classes,
        weights=options.weights,
        ensemble=options.ensemble,
        symmetries=options.symmetries,
        scale=options.scale,
        device=options.device,
        warn=warn,
    )
    methods: list[Method] = [*networks]
    if len(data.classes) == 2:
        methods.append(OtsuSegmenter())
    _make_folder(options.output)
    gallery = Gallery(
        options.output,
        data.classes,
        [(method.name, method.title) for method in methods],
        fields=len(data.pairs),
        crop_px=data.crop_px,
    )
    first: list[Sample] = []

    def collect(sample: Sample, labels: Sequence[NDArray[Any]]) -> None:
        if not first:
            first.append(sample)
        gallery.add(sample, labels)

    found = evaluate(
        data,
        methods,
        robustness=options.robustness,
        seed=options.seed,
        on_sample=collect,
        on_field=on_field,
    )
    gallery.finish()
    draw_figures(found, options.output)
    if options.robustness:
        draw_degradations(options.output / DEGRADATIONS_PLOT, first[0], (options.seed, first[0].image))
    record = _record(options, found, networks, started)
    write_workbook(options.output / "evaluation.xlsx", [*all_tables(found), _provenance(record)])
    write_json(options.output / RECORD, record)
    if options.record is not None:
        _record_in_weights(options.record, found, networks)
    return found


def _record_in_weights(name: str, found: Evaluation, networks: Sequence[NetworkSegmenter]) -> None:
    """Tell the weight files what their networks reached, with Otsu's figure beside where there is one."""
    scores = {method.name: method.scores for method in found.methods}
    otsu = {"otsu_mean_iou": scores[OtsuSegmenter.name].mean_iou} if OtsuSegmenter.name in scores else {}
    for network in networks:
        if network.is_averaged:
            continue  # figures of an ensemble, or of eight views, are no file's own
        figures = {
            "fields": found.fields,
            "split": found.data.split,
            "mean_iou": scores[network.name].mean_iou,
            "global_accuracy": scores[network.name].global_accuracy,
            **otsu,
        }
        record_metrics(network.weights[0].path, name, figures)


def _make_folder(folder: Path) -> None:
    """Make the output folder; of an earlier evaluation in it, remove what this one may not write again."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / RECORD).is_file():
            for pattern in (*PLOTS, DEGRADATIONS_PLOT, "sheets/*.png", "worst/*.png"):
                for picture in folder.glob(pattern):
                    picture.unlink()
            (folder / RECORD).unlink()
    except OSError as error:
        raise FileError(folder, f"this output folder cannot be used: {reason(error)}") from None


def _record(
    options: EvaluationOptions, found: Evaluation, networks: Sequence[NetworkSegmenter], started: str
) -> dict[str, Any]:
    weights = {network.name: network.weights for network in networks}
    return {
        "format": FORMAT,
        "version": __version__,
        "started_utc": started,
        "finished_utc": utc_now(),
        "parameters": asdict(options),
        "data": _data_record(found),
        "methods": [
            {
                **_method_record(method),
                "weights": [
                    {"file": str(w.path), "sha256": w.sha256, "metadata": w.metadata.for_record()}
                    for w in weights.get(method.name, ())
                ],
            }
            for method in found.methods
        ],
        "differences_of_mean_iou": [{**asdict(d), "is_real": d.is_real} for d in found.differences],
        "robustness": _robustness_record(found),
        "failures": [{"file": str(e.path), "problem": e.problem} for e in found.failures],
        "versions": versions(),
        "machine": machine(),
    }


def _data_record(found: Evaluation) -> dict[str, Any]:
    data: EvaluationSet = found.data
    return {
        "words": set_words(found),
        "source": str(data.source),
        "side": "all" if data.is_folder else "test",
        "split": data.split,
        "judged_by": "whole fields" if data.crops is None else f"crops of {data.crop_px} px",
        "fields": found.fields,
        "samples": len(found.methods[0].samples),
        "sizes_px": [{"width": width, "height": height} for height, width in found.sizes_px],
        "unlabelled": found.unlabelled,
        "sha256": found.data_sha256,
        "classes": [asdict(phase) for phase in data.classes],
    }


def _method_record(method: MethodResult) -> dict[str, Any]:
    calibration = method.reliability
    return {
        "name": method.name,
        "title": method.title,
        "scores": asdict(method.scores),
        "mean_bf": method.mean_bf,
        "seconds": method.seconds,
        "paper_table_4": PAPER_TABLE_4.get(method.name),
        "confusion": method.confusion,
        "area_fraction_errors": [asdict(method.area_error(k)) for k in range(len(method.confusion))],
        "expected_calibration_error": calibration.expected_calibration_error if calibration else None,
        "reliability": asdict(calibration) if calibration else None,
        "region_sizes": [asdict(check) for check in method.sizes],
        "samples": [asdict(sample) for sample in method.samples],
    }


def _robustness_record(found: Evaluation) -> dict[str, Any] | None:
    if found.robustness is None:
        return None
    return {
        method.name: {
            "clean": method.scores.mean_iou,
            **dict(zip(found.robustness.names, found.robustness.mean_iou(method.name), strict=True)),
        }
        for method in found.methods
    }


def _provenance(record: dict[str, Any]) -> Table:
    rows: list[tuple[str, str]] = [("steelquant", record["version"])]
    rows += [(key, str(record[key])) for key in ("started_utc", "finished_utc")]
    rows += [(f"option {key}", str(value)) for key, value in record["parameters"].items()]
    rows += [(f"data {key}", str(value)) for key, value in record["data"].items()]
    for method in record["methods"]:
        rows += [(f"weights of {method['name']}", f"{w['file']} {w['sha256']}") for w in method["weights"]]
    rows += [("failed", f"{e['file']}: {e['problem']}") for e in record["failures"]]
    rows += [(f"version of {key}", value) for key, value in record["versions"].items()]
    rows += [(f"machine: {key}", str(value)) for key, value in record["machine"].items()]
    return Table("Provenance", "How these figures were made", ("what", "value"), tuple(rows))
