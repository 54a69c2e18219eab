"""``segmentation.json``: what stands in an output folder, how it was made, and what may be replaced there.

The record is rewritten whole while fields finish, so that a run that is killed loses at most the fields in
work (in runs of many thousand fields, where writing the record itself takes time, those of the last moments).
Names whose files are about to be written stand under ``planned``: after a kill they are known to be ours.

What may be replaced: files that the record lists and whose bytes are still those that were written. Files
that it does not list are never touched; a mask changed since is replaced only with ``--overwrite``.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import replace
from typing import Any

from steelquant import __version__
from steelquant.errors import FileError
from steelquant.locations import spelled
from steelquant.micrograph.documents import MALFORMED, parse_json, told
from steelquant.segmentation.folder import RECORD_NAME, OutputFolder
from steelquant.segmentation.results import FieldResult

FORMAT = "steelquant segmentation 1"

_SAVE_SHARE = 0.02
"""Largest share of a run's time that goes into rewriting the record."""

_RUN_KEYS = ("run", "parameters", "weights", "versions")
_KEPT_NOTE = "the mask was changed after it was written and is kept as it is; --overwrite makes it anew"
_LATER_NOTE = "a later run could not do it again: "


def fingerprint(parameters: dict[str, Any], weights_sha256: str) -> str:
    """Return 16 hexadecimal digits that stand for all that decides the masks of a run.

    Parameters
    ----------
    parameters
        The options that change a mask.
    weights_sha256
        Of the weight file.
    """
    text = json.dumps([FORMAT, __version__, weights_sha256, parameters], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Record:
    """The segmentation.json of an output folder, read and kept up to date; threads may share it.

    Parameters
    ----------
    folder
        The output folder.

    Raises
    ------
    FileError
        If it holds a segmentation.json that cannot be understood.
    """

    def __init__(self, folder: OutputFolder) -> None:
        self.path = folder.path / RECORD_NAME
        self.folder = folder
        self._header: dict[str, Any] = {}
        self._earlier_runs: list[dict[str, Any]] = []
        self._results: dict[str, FieldResult] = {}
        self._planned: set[str] = set()
        self._order: list[str] = []
        self._texts: dict[str, str] = {}
        self._is_closed = False
        self._lock = threading.RLock()
        self._saved_at = self._saving_s = 0.0
        self._read()

    @property
    def is_new(self) -> bool:
        """Whether the folder held no record."""
        return not self._header

    def begin(self, header: dict[str, Any], names: list[str]) -> None:
        """Start a run with its header and the names of its fields in order.

        What earlier runs did with other fields stays, each with its run's parameters.
        """
        with self._lock:
            runs = {run["run"]: run for run in self._earlier_runs}
            if self._header:
                runs[self._header["run"]] = {key: self._header[key] for key in _RUN_KEYS}
                if self._header["run"] == header["run"]:
                    header["engine"] = self._header["engine"]  # of the fields that are kept
            runs.pop(header["run"], None)
            self._earlier_runs = list(runs.values())
            self._header = header
            self._order = names
            self._save(force=True)

    def is_known(self, name: str) -> bool:
        """Whether the files of a field are the record's own: done, or in work when a run was killed."""
        return name in self._planned or self.was_done(name)

    def was_done(self, name: str) -> bool:
        """Whether a field has been done before."""
        known = self._results.get(name)
        return known is not None and known.status == "done"

    def refuse_foreign(self, files: list[str]) -> None:
        """Raise FileError where a file is there that this command did not write."""
        for file in files:
            if self.folder.is_taken(file):
                raise FileError(
                    self.folder.path / file,
                    "is there already and not from this command; move it or choose another --output",
                )

    def refuse_loss(self, wanted: FieldResult, files: list[str], *, overwrite: bool) -> None:
        """Raise FileError where writing a field would destroy what someone may want to keep.

        Parameters
        ----------
        wanted
            The field with the path, page and hash of its input.
        files
            Names of the files to be written.
        overwrite
            Whether what the record lists may be replaced in any case.
        """
        known = self._results.get(wanted.name)
        if wanted.name in self._planned or known is None:
            return
        self.refuse_foreign([file for file in files if file not in known.files()])
        if overwrite:
            return
        mask = spelled(self.folder.path / known.mask)
        if (known.path, known.page) != (wanted.path, wanted.page) and known.sha256 != wanted.sha256:
            raise FileError(
                wanted.path,
                f"{mask} was made from {spelled(known.path)}; choose another --output, "
                "or replace it with --overwrite",
            )
        if self._is_changed(known):
            raise FileError(
                wanted.path,
                f"{mask} was changed after it was written; move it away, or replace it with --overwrite",
            )

    def find_done(self, wanted: FieldResult, *, probability: bool) -> FieldResult | None:
        """Return the earlier result of a field if it need not be done again.

        It need not when input, page and run are the same and its files are there. A mask that was changed
        by hand since is kept, with a warning.
        """
        known = self._results.get(wanted.name)
        if known is None or known.status != "done":
            return None
        if (known.sha256, known.page, known.run) != (wanted.sha256, wanted.page, wanted.run):
            return None
        if probability and known.probability_sha256 is None:
            return None
        if not all(self.folder.is_file(file) for file in known.files()):
            return None
        notes = [note for note in known.warnings if note != _KEPT_NOTE and not note.startswith(_LATER_NOTE)]
        if self._is_changed(known):
            if wanted.name in self._planned:
                return None  # a killed run was about to replace it
            notes.append(_KEPT_NOTE)
        return replace(known, path=wanted.path, warnings=tuple(notes), is_kept=True)

    def _is_changed(self, known: FieldResult) -> bool:
        return self.folder.is_file(known.mask) and self.folder.sha256(known.mask) != known.mask_sha256

    def plan(self, names: list[str]) -> None:
        """Say that the files of these fields are about to be written."""
        with self._lock:
            new = set(names) - self._planned
            self._planned |= new
            if new:
                self._save(force=True)

    def finish(self, result: FieldResult) -> None:
        """Take up a field that is done; it is on disk soon, at the latest with :meth:`close`."""
        with self._lock:
            self._planned.discard(result.name)
            self._put(result)
            self._save()

    def fail(self, result: FieldResult, *, has_begun_writing: bool) -> None:
        """Take up a field that failed; what an earlier run made of it stays."""
        with self._lock:
            if not has_begun_writing:
                self._planned.discard(result.name)
            known = self._results.get(result.name)
            if known is not None and known.status == "done":
                notes = [note for note in known.warnings if not note.startswith(_LATER_NOTE)]
                self._put(replace(known, warnings=(*notes, f"{_LATER_NOTE}{result.error}")))
            else:
                self._put(result)
            self._save()

    def remove_stale_probability(self, name: str) -> None:
        """Remove the probability picture of a mask that is about to be replaced without one."""
        known = self._results.get(name)
        if known is None or known.probability_sha256 is None:
            return
        name = known.probability
        if self.folder.is_file(name) and self.folder.sha256(name) == known.probability_sha256:
            self.folder.remove(name)

    def close(self, finished_utc: str, engine: dict[str, Any] | None) -> None:
        """Write the record for the last time in a run; what threads tell later does not count.

        ``engine`` says what predicted, if anything did.
        """
        with self._lock:
            self._header["finished_utc"] = finished_utc
            self._header["engine"] = engine or self._header["engine"]
            self._save(force=True)
            self._is_closed = True

    def _put(self, result: FieldResult) -> None:
        self._results[result.name] = result
        self._texts[result.name] = json.dumps(result.to_json(), ensure_ascii=False)

    def _save(self, *, force: bool = False) -> None:
        """Rewrite the file, unless that would take more than its share of the time."""
        if self._is_closed:
            return
        start = time.monotonic()
        if not force and (start - self._saved_at) * _SAVE_SHARE < self._saving_s:
            return
        self.folder.write(RECORD_NAME, self._text().encode("utf-8", "backslashreplace"))
        self._saved_at = time.monotonic()
        self._saving_s = self._saved_at - start

    def _text(self) -> str:
        """Return the header indented for readers, then one field a line; their texts are made once."""
        ordered = dict.fromkeys([*(name for name in self._order if name in self._results), *self._results])
        in_use = {result.run for result in self._results.values()}
        self._earlier_runs = [run for run in self._earlier_runs if run["run"] in in_use]
        header = {**self._header, "planned": sorted(self._planned), "earlier_runs": self._earlier_runs}
        head = json.dumps(header, indent=2, ensure_ascii=False).removesuffix("\n}")
        return f'{head},\n  "fields": [\n' + ",\n".join(self._texts[name] for name in ordered) + "\n  ]\n}\n"

    def _read(self) -> None:
        stored = self.folder.read(RECORD_NAME)
        if stored is None:
            return
        try:
            content = parse_json(stored.decode("utf-8"))
            if content["format"] != FORMAT:
                raise ValueError(f"its format is {content['format']!r}, not {FORMAT!r}")
            for entry in content["fields"]:
                self._put(FieldResult.from_json(entry))
            self._planned = {str(name) for name in content["planned"]}
            self._earlier_runs = [{key: run[key] for key in _RUN_KEYS} for run in content["earlier_runs"]]
            self._header = {key: content[key] for key in (*_RUN_KEYS, "engine")}
        except MALFORMED as error:
            raise FileError(
                self.path, f"is no record of this program ({told(error)}); move it or choose another --output"
            ) from None
