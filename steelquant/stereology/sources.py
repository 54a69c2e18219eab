"""Where each mask comes from: what the ``segmentation.json`` beside it says, if there is one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from steelquant.micrograph.documents import MALFORMED, parse_json
from steelquant.micrograph.field import Calibration

RUN_FILE = "segmentation.json"


@dataclass(frozen=True)
class FieldSource:
    """One mask and its history, as far as it is known.

    Attributes
    ----------
    name
        The field's name, unique among the masks of one report.
    mask_path
        The mask.
    folder
        Name of the folder of the micrograph, or of the mask where the micrograph is unknown.
    image_path, image_page, image_sha256
        The micrograph; None for masks made elsewhere.
    mask_sha256, size_px
        Hash and (width, height) of the mask as it was segmented, to see whether it was changed since.
    calibration
        The micrograph's scale as found when it was segmented.
    overlay_path, probability_path
        Pictures of the segmentation that are there.
    model, weights_sha256
        What segmented it.
    original_path
        The mask that regions drawn by hand correct, where `mask_path` is a file of those.
    warnings
        What the segmentation warned of.
    """

    name: str
    mask_path: Path
    folder: str
    image_path: Path | None = None
    image_page: int = 0
    image_sha256: str | None = None
    mask_sha256: str | None = None
    size_px: tuple[int, int] | None = None
    calibration: Calibration | None = None
    overlay_path: Path | None = None
    probability_path: Path | None = None
    model: str | None = None
    weights_sha256: str | None = None
    original_path: Path | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """One ``segmentation.json``: its file, its content and what of it is worth a warning."""

    path: Path
    content: Mapping[str, Any]
    warnings: tuple[str, ...]


def find_sources(masks: Sequence[Path]) -> tuple[list[FieldSource], list[Run], list[str]]:
    """Find the history of each mask.

    Parameters
    ----------
    masks
        Mask files.

    Returns
    -------
    sources
        One per mask, in the same order, with distinct names.
    runs
        The segmentations that some of the masks come from.
    warnings
        One sentence per ``segmentation.json`` that cannot be used or names failed or missing fields.
    """
    entries: dict[Path, FieldSource] = {}
    runs, warnings = [], []
    for folder in dict.fromkeys(mask.parent for mask in masks):
        if not (folder / RUN_FILE).is_file():
            continue
        try:
            run, found = _read_run(folder / RUN_FILE)
        except (OSError, *MALFORMED):
            warnings.append(f"{folder / RUN_FILE} is damaged: its masks are taken as made elsewhere")
            continue
        given = {mask.name for mask in masks if mask.parent == folder}
        missing = [source.mask_path.name for source in found if not source.mask_path.is_file()]
        warnings += run.warnings
        if missing:
            warnings.append(f"{run.path} names masks that are not there any more: {', '.join(missing)}")
        if any(source.mask_path.name in given for source in found):
            runs.append(run)
        entries |= {source.mask_path: source for source in found}
    sources = [entries.get(mask) or FieldSource(mask.stem, mask, _folder_name(mask)) for mask in masks]
    return _distinct(sources), runs, warnings


def _read_run(path: Path) -> tuple[Run, list[FieldSource]]:
    content = parse_json(path.read_text(encoding="utf-8"))
    # A folder filled by several runs names each field's run; weights and parameters stand with the run.
    weights = {run.get("run"): run["weights"] for run in (*content.get("earlier_runs", ()), content)}
    sources, failed = [], []
    for entry in content["fields"]:
        if entry["status"] != "done":
            failed.append(str(entry["name"]))
            continue
        used = weights.get(entry.get("run")) or content["weights"]
        source = _source(path.parent, entry)
        sources.append(replace(source, model=used.get("model"), weights_sha256=used.get("sha256")))
    warnings = (f"{path} names fields that failed in segment: {', '.join(failed)}",) if failed else ()
    return Run(path, content, warnings), sources


def _source(folder: Path, entry: Mapping[str, Any]) -> FieldSource:
    image, scale, mask = entry["input"], entry["calibration"], entry["mask"]
    size = scale["pixel_size_um"]
    calibration = Calibration(
        None if size is None else float(size), str(scale["source"]), tuple(map(str, scale["warnings"]))
    )
    image_path = Path(image["path"])
    return FieldSource(
        name=str(entry["name"]),
        mask_path=folder / mask["path"],
        folder=str(image.get("folder") or image_path.parent.name),
        image_path=image_path,
        image_page=int(image["page"]),
        image_sha256=image["sha256"],
        mask_sha256=mask["sha256"],
        size_px=(int(entry["width_px"]), int(entry["height_px"])),
        calibration=calibration,
        overlay_path=_existing(folder, entry.get("overlay")),
        probability_path=_existing(folder, entry.get("probability")),
        warnings=tuple(str(text) for text in entry.get("warnings", ())),
    )


def _existing(folder: Path, item: Mapping[str, Any] | None) -> Path | None:
    path = folder / item["path"] if item else None
    return path if path is not None and path.is_file() else None


def _folder_name(mask: Path) -> str:
    return mask.absolute().parent.name


def _distinct(sources: list[FieldSource]) -> list[FieldSource]:
    """Put folders before names that occur twice, the whole path where that is not enough."""
    for spelling in (
        lambda source: f"{source.folder}/{source.name}",
        lambda source: f"{source.mask_path.parent.name}/{source.mask_path.name}",
        lambda source: source.mask_path.as_posix(),
    ):
        counts = Counter(source.name for source in sources)
        sources = [
            replace(source, name=spelling(source)) if counts[source.name] > 1 else source
            for source in sources
        ]
    return sources
