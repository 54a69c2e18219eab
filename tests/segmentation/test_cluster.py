"""Fields on a Dask cluster: the same files as at home, whoever dies."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import threshold_engine
import tifffile
from threshold_engine import ThresholdEngine
from typer.testing import CliRunner

from steelquant.cli import app
from steelquant.errors import FileError, UsageError
from steelquant.locations import is_url, spelled
from steelquant.segmentation import SegmentationInterrupted, cluster, pipeline, segment
from steelquant.segmentation.cluster import is_open_to_others

distributed = pytest.importorskip("distributed")
cloudpickle = pytest.importorskip("cloudpickle")
dask = pytest.importorskip("dask")
cluster_worker = pytest.importorskip("steelquant.segmentation.cluster_worker")

NAMES = ["field_2", "field_9", "field_10"]


@pytest.fixture
def scheduler():
    """A scheduler and a worker of two threads in this process; no ports, no processes."""
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
        ) as local,
    ):
        yield local.scheduler_address


def _files(output: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in output.iterdir() if p.name != "segmentation.json"}


def _record(output: Path) -> dict:
    record = json.loads((output / "segmentation.json").read_text(encoding="utf-8"))
    for field in record["fields"]:
        del field["seconds"]
    return record


def test_a_cluster_leaves_what_a_run_at_home_leaves(threshold_run, micrographs, tmp_path, scheduler):
    seen = []
    home = threshold_run([micrographs], output=tmp_path / "home", probabilities=True)
    away = threshold_run(
        [micrographs],
        output=tmp_path / "away",
        probabilities=True,
        scheduler=scheduler,
        progress=seen.append,
    )
    assert [field.name for field in away.fields] == NAMES
    assert not away.failed
    assert not away.warnings
    assert away.device == home.device
    assert away.megapixels == home.megapixels
    assert away.stage_seconds.keys() == home.stage_seconds.keys()
    assert min(away.stage_seconds.values()) > 0
    assert sorted(p.result.name for p in seen) == sorted(NAMES)
    assert [p.fields_done for p in seen] == [1, 2, 3]
    assert _files(tmp_path / "away") == _files(tmp_path / "home")
    one, other = _record(tmp_path / "home"), _record(tmp_path / "away")
    assert other["parameters"]["scheduler"] == scheduler
    for key in ("started_utc", "finished_utc", "parameters"):
        one.pop(key), other.pop(key)
    assert one == other
    assert all(field["input"]["path"].startswith(str(micrographs)) for field in other["fields"])


def test_what_is_done_is_kept_and_what_failed_is_told(
    threshold_run, engine, micrographs, tmp_path, scheduler
):
    out = tmp_path / "out"
    threshold_run(micrographs / "field_2.tif", output=out)
    (micrographs / "field_9.tif").write_bytes(b"II*\0 spoilt")
    (out / "field_10.overlay.png").write_bytes(b"someone's own")
    calls = len(engine.shapes)
    run = threshold_run(micrographs, output=out, scheduler=scheduler)
    assert [(f.status, f.is_kept) for f in run.fields] == [
        ("done", True),
        ("failed", False),
        ("failed", False),
    ]
    assert run.fields[1].error == "holds no picture"
    assert "not from this command" in run.fields[2].error
    assert len(engine.shapes) == calls
    home = threshold_run(micrographs, output=out)
    assert [f.error for f in home.fields] == [f.error for f in run.fields]


def test_very_large_fields_too(threshold_run, micrographs, tmp_path, scheduler, monkeypatch):
    monkeypatch.setattr("steelquant.micrograph.mosaic.STREAMED_FROM_PX", 10_000)
    home = threshold_run(micrographs, output=tmp_path / "home")
    away = threshold_run(micrographs, output=tmp_path / "away", scheduler=scheduler)
    assert "very large" in away.fields[0].warnings[0]
    assert [field.warnings for field in away.fields] == [field.warnings for field in home.fields]
    assert _files(tmp_path / "away") == _files(tmp_path / "home")


def test_urls_go_in_and_come_out(threshold_run, engine, micrographs, tmp_path, scheduler):
    """Through fsspec's file system in the memory, which is a store of objects like any other."""
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    store.store.clear()
    for path in micrographs.iterdir():
        store.pipe_file(f"/steel/in/{path.name}", path.read_bytes())
    stack = np.stack([tifffile.imread(micrographs / "field_9.tif")] * 2)
    tifffile.imwrite(tmp_path / "pages.tif", stack, photometric="rgb")
    store.put_file(str(tmp_path / "pages.tif"), "/steel/in/inner/pages.tif")
    home = threshold_run(micrographs, output=tmp_path / "home")
    options = {"output": "memory://steel/out", "scheduler": scheduler}
    away = threshold_run("memory://steel/in", **options)
    assert not away.failed
    assert [f.name for f in away.fields] == NAMES
    assert spelled(away.output) == "memory://steel/out"
    sent = {Path(name).name: store.cat_file(name) for name in store.find("/steel/out")}
    record = json.loads(sent.pop("segmentation.json"))
    assert sent == _files(tmp_path / "home")
    assert record["fields"][0]["input"]["path"] == "memory://steel/in/field_2.tif"
    assert [f["input"]["sha256"] for f in record["fields"]] == [f.sha256 for f in home.fields]
    calls = len(engine.shapes)
    again = threshold_run("memory://steel/in", recursive=True, **options)
    assert [f.is_kept for f in again.fields] == [True, True, True, False, False]
    assert [f.name for f in again.fields[3:]] == ["pages.p01", "pages.p02"]
    assert len(engine.shapes) == calls + 2
    with pytest.raises(UsageError, match="no micrographs found"):
        threshold_run("memory://steel/out", **options)
    store.pipe_file("/steel/in/field_9.tif", b"II*\0 spoilt")
    failed = threshold_run("memory://steel/in/field_9.tif", output="memory://steel/new", scheduler=scheduler)
    assert failed.fields[0].error == "holds no picture"
    with pytest.raises(UsageError, match="memory://steel/in: only workers of a cluster read URLs"):
        threshold_run("memory://steel/in")


def test_a_worker_that_does_not_see_the_output_folder_ends_the_run(
    threshold_run, micrographs, tmp_path, scheduler, monkeypatch
):
    monkeypatch.setattr(cluster_worker, "RECORD_NAME", "elsewhere")
    with pytest.raises(UsageError, match="must be a folder that all workers share"):
        threshold_run(micrographs, output=tmp_path / "out", scheduler=scheduler)


def test_a_worker_that_does_not_see_the_fields_ends_the_run(
    threshold_run, micrographs, tmp_path, scheduler, monkeypatch
):
    """The folder is gone when the worker looks, as if it lay on the other machine only."""
    away = tmp_path / "away"
    check = cluster_worker.Segmenting._check

    def hide(plugin, field):
        if micrographs.exists():
            micrographs.rename(away)
        check(plugin, field)

    monkeypatch.setattr(cluster_worker.Segmenting, "_check", hide)
    with pytest.raises(UsageError, match="is not there on the worker inproc://") as caught:
        threshold_run(micrographs, output=tmp_path / "out", scheduler=scheduler)
    assert str(caught.value).startswith(str(micrographs))
    monkeypatch.undo()
    away.rename(micrographs)


def test_an_earlier_output_folder_of_a_worker_is_not_taken_for_that_of_the_run(tmp_path):
    record = tmp_path / "segmentation.json"
    assert not cluster_worker._holds_run(record, "0123456789abcdef")
    record.write_text('{\n  "format": "steelquant segmentation 1",\n  "run": "fedcba9876543210",\n')
    assert not cluster_worker._holds_run(record, "0123456789abcdef")
    assert cluster_worker._holds_run(record, "fedcba9876543210")


def test_without_dask_or_workers_one_line_says_so(micrographs, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_CONNECT_S", 0.5)
    command = ["segment", str(micrographs), "--weights", str(weights), "--output", str(tmp_path / "out")]
    with distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as empty:
        result = CliRunner().invoke(app, [*command, "--scheduler", empty.scheduler_address])
    assert result.exit_code == 2
    assert "it has no workers; start some: dask worker inproc://" in result.stderr.replace("\n", " ")
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda _: None)
    result = CliRunner().invoke(app, [*command, "--scheduler", "tcp://127.0.0.1:9"])
    assert result.exit_code == 2
    assert "pip install 'steelquant[cluster]'" in result.stderr.replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_ends_the_run(threshold_run, micrographs, tmp_path, scheduler, monkeypatch):
    def full(job, field, micrograph, prediction):
        try:
            raise OSError(28, "No space left on device")
        except OSError as error:
            raise FileError(field.path, "cannot be written: the disk is full") from error

    monkeypatch.setattr(cluster_worker, "write_field", full)
    with pytest.raises(FileError, match="the disk is full"):
        threshold_run(micrographs, output=tmp_path / "out", scheduler=scheduler)


def test_ctrl_c_keeps_what_was_finished(threshold_run, micrographs, tmp_path, scheduler):
    def interrupt(progress):
        raise KeyboardInterrupt

    with pytest.raises(SegmentationInterrupted) as caught:
        threshold_run(micrographs, output=tmp_path / "out", scheduler=scheduler, progress=interrupt)
    assert len(caught.value.run.fields) == 1
    run = threshold_run(micrographs, output=tmp_path / "out", scheduler=scheduler)
    assert sum(field.is_kept for field in run.fields) >= 1
    assert not run.failed


def test_no_scheduler_and_another_version_are_wrong_usage(
    threshold_run, micrographs, weights, tmp_path, scheduler, monkeypatch
):
    monkeypatch.setattr(cluster, "_CONNECT_S", 0.5)
    command = ["segment", str(micrographs), "--weights", str(weights), "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*command, "--scheduler", "tcp://127.0.0.1:9"])
    assert result.exit_code == 2
    assert "--scheduler tcp://127.0.0.1:9" in result.stderr
    assert not (tmp_path / "out").exists()
    result = CliRunner().invoke(app, [*command, "--scheduler", scheduler])
    assert result.exit_code == 0
    assert "3 segmented by mobilenetv2 on cpu" in " ".join(result.stdout.split())
    monkeypatch.setattr("steelquant.segmentation.cluster.__version__", "0.0.1")
    with pytest.raises(UsageError, match="install the same"):
        threshold_run(micrographs, output=tmp_path / "out", scheduler=scheduler)


def test_unencrypted_ways_to_other_machines_are_warned_of():
    own = ["tcp://127.0.0.1:8786", "127.0.0.1:8786", "tcp://[::1]:8786", "inproc://10.0.0.1/1/2"]
    assert not any(is_open_to_others(address) for address in [*own, "tls://198.51.100.7:8786"])
    assert is_open_to_others("tcp://198.51.100.7:8786")
    assert is_open_to_others("198.51.100.7:8786")
    assert is_open_to_others("tcp://no-such-host.invalid:8786")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes the certificate with openssl")
def test_certificates_of_dasks_configuration_open_an_encrypted_way(
    threshold_run, micrographs, tmp_path, monkeypatch
):
    monkeypatch.setattr(cluster, "_CONNECT_S", 3)
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=steel"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    tls = {"distributed.comm.tls.ca-file": certificate}
    for role in ("client", "scheduler", "worker"):
        tls |= {f"distributed.comm.tls.{role}.cert": certificate, f"distributed.comm.tls.{role}.key": key}
    options = {"n_workers": 1, "processes": False, "protocol": "tls", "dashboard_address": ":0"}
    with (
        dask.config.set(tls),
        distributed.LocalCluster(**options, security=distributed.Security()) as local,
    ):
        address = local.scheduler_address
        assert address.startswith("tls://")
        run = threshold_run(micrographs, output=tmp_path / "out", scheduler=address)
        assert not run.failed
        assert not run.warnings
        with dask.config.set(dict.fromkeys(tls)), pytest.raises(UsageError, match=r"--scheduler tls://.*TLS"):
            threshold_run(micrographs, output=tmp_path / "other", scheduler=address)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("s3://bucket/a b.tif", True),
        ("abfs://box@account/dir", True),
        ("c:/fields", False),
        ("a/b.tif", False),
        ("/x/http:/y", False),
    ],
)
def test_urls_survive_as_paths(text, url):
    assert is_url(Path(text)) == url
    assert spelled(Path(text)) == text


def test_file_urls_are_paths(threshold_run, micrographs, tmp_path):
    run = threshold_run(micrographs.as_uri(), output=(tmp_path / "out").as_uri())
    assert not run.failed
    assert run.output == tmp_path / "out"
    assert run.fields[0].path == micrographs / "field_2.tif"


@pytest.mark.parametrize("count", [1, 2])
def test_workers_of_one_machine_take_different_gpus(monkeypatch, tmp_path, count):
    import contextlib

    import torch

    monkeypatch.setattr(cluster_worker, "resolve_device", lambda name: "cuda:0" if name != "cpu" else "cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: type("P", (), {"uuid": index}))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first, second = contextlib.ExitStack(), contextlib.ExitStack()
    with first, second:
        assert cluster_worker.own_gpu("auto", first) == "cuda:0"
        assert cluster_worker.own_gpu("cuda", second) == f"cuda:{count - 1}"
        assert cluster_worker.own_gpu("cpu", second) == "cpu"
    with contextlib.ExitStack() as third:
        assert cluster_worker.own_gpu("auto", third) == "cuda:0"


class SlowNetwork(distributed.WorkerPlugin):
    """The threshold engine in every worker process, a little slower."""

    name = "slow network"

    def setup(self, worker):
        class Slow(ThresholdEngine):
            def predict(self, tiles):
                time.sleep(0.2)
                return super().predict(tiles)

        pipeline.load_engine = lambda *_: (Slow(), None)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_worker_that_is_killed_loses_nothing(threshold_run, weights, texture, tmp_path):
    """Two worker processes, one killed in the middle; it is started again by its nanny."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    cloudpickle.register_pickle_by_value(threshold_engine)
    folder = tmp_path / "fields"
    folder.mkdir()
    for place in range(24):
        cv2.imwrite(str(folder / f"field_{place}.png"), texture(200 + place, 240))
    home = threshold_run(folder, output=tmp_path / "home")
    killed = []
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as local,
        distributed.Client(local) as client,
    ):
        client.register_plugin(SlowNetwork())

        def kill_one(progress):
            if progress.fields_done == 6:
                (_, pid), *_ = client.run(os.getpid).items()
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

        run = segment(
            folder,
            output=tmp_path / "away",
            weights=weights,
            scheduler=local.scheduler_address,
            progress=kill_one,
        )
    assert killed
    assert not run.failed
    assert not list((tmp_path / "away").glob(".*"))
    assert [field.name for field in run.fields] == [field.name for field in home.fields]
    assert _files(tmp_path / "away") == _files(tmp_path / "home")
    assert _record(tmp_path / "away")["planned"] == []
    assert _record(tmp_path / "away")["fields"] == _record(tmp_path / "home")["fields"]
