"""Training: it learns, it resumes to the same weights after SIGKILL, it refuses what makes no sense."""

from __future__ import annotations

import csv
import itertools
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from segmentation_models_pytorch.encoders import get_encoder
from typer.testing import CliRunner

from steelquant.cli import app
from steelquant.learning.crops import DrawSampler, FixedCrops, TrainingDraws
from steelquant.learning.dataset import read_dataset
from steelquant.learning.module import SegmentationTask
from steelquant.learning.pixel_store import decode_to_store
from steelquant.learning.protocol import protocol_for
from steelquant.micrograph.masks import write_mask
from steelquant.networks.registry import MODELS
from steelquant.networks.weights import read_metadata, read_weights

CROP_PX = 64


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight fields of bright ferrite with dark pearlite discs; a threshold would do."""
    folder = tmp_path_factory.mktemp("set")
    random = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir()
    for number in range(8):
        labels = np.zeros((128, 192), np.uint8)
        for _ in range(12):
            centre = (int(random.integers(192)), int(random.integers(128)))
            cv2.circle(labels, centre, int(random.integers(6, 20)), 1, -1)
        grey = np.where(labels == 1, 70, 220) + random.normal(0, 8, labels.shape)
        grey = np.clip(grey, 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / f"f{number}.png"), grey)
        write_mask(folder / "masks" / f"f{number}.tif", labels, pixel_size_um=0.5)
    arguments = ["prepare", str(folder / "images"), str(folder / "masks"), "--output", str(folder / "data")]
    result = CliRunner().invoke(app, [*arguments, "--crop", str(CROP_PX)])
    assert result.exit_code == 0, result.output
    return folder / "data"


def _train(dataset: Path, output: Path, *more: str) -> list[str]:
    arguments = ["train", "--model", "mobilenetv2", "--data", str(dataset), "--output", str(output)]
    return [*arguments, "--device", "cpu", "--workers", "0", *more]


def test_training_learns_and_leaves_weights_history_and_curves(dataset: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, _train(dataset, tmp_path, "--epochs", "2", "--batch", "4"))

    assert result.exit_code == 0, result.output
    folder = tmp_path / "mobilenetv2"
    with (folder / "history.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    crops = len(read_dataset(dataset).crops["training"])
    assert int(rows[-1]["iteration"]) == 2 * (crops // 4)
    assert float(rows[-1]["validation_miou"]) > 0.8
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    metadata = read_metadata(folder / "mobilenetv2.safetensors")
    assert metadata.training["crops_seen"] == int(rows[-1]["iteration"]) * 4
    assert metadata.training["data_sha256"] == read_dataset(dataset).sha256
    assert metadata.training["data"] == "data"
    assert metadata.pixel_size_um == (0.5, 0.5)
    network, _ = read_weights(folder / "mobilenetv2.safetensors")
    image = torch.full((1, 3, 64, 64), 220 / 127.5 - 1)
    image[..., 32:] = 70 / 127.5 - 1
    with torch.inference_mode():
        labels = network(image).argmax(1)[0]
    assert int(labels[32, 8]) == 0
    assert int(labels[32, 56]) == 1
    assert "97.379" in result.output  # the paper's row of Table 3 beside ours


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
@pytest.mark.parametrize("after_rows", [1, 3])
def test_killed_and_resumed_run_ends_with_the_same_weights(
    dataset: Path, tmp_path: Path, after_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import steelquant.learning.protocol as p, dataclasses, sys;"
        "original = p.protocol_for;"
        "p.protocol_for = lambda *a, **k: dataclasses.replace(original(*a, **k), validate_every=3);"
        "from steelquant.cli import app; app()"
    )
    options = ("--protocol", "best", "--epochs", "0.6", "--batch", "4")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run(output: Path, *more: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", code, *_train(dataset, output, *options, *more)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    undisturbed = run(tmp_path / "whole")
    killed = run(tmp_path / "killed")
    history = tmp_path / "killed" / "mobilenetv2" / "history.csv"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if history.exists() and len(history.read_text().splitlines()) > after_rows:
            break
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    weights = tmp_path / "killed" / "mobilenetv2" / "mobilenetv2.safetensors"
    assert not weights.exists(), "the run was over before it could be killed"
    resumed = run(tmp_path / "killed", "--resume")
    for process in (undisturbed, resumed):
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors.decode()

    whole, _ = read_weights(tmp_path / "whole" / "mobilenetv2" / "mobilenetv2.safetensors")
    again, _ = read_weights(weights)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
    rows = [p.read_text().splitlines() for p in (tmp_path / "whole" / "mobilenetv2" / "history.csv", history)]
    assert [r.split(",")[:7] for r in rows[0]] == [r.split(",")[:7] for r in rows[1]]


NOTING = """
import os
from pathlib import Path

from steelquant.cli import app
from steelquant.learning.crops import TrainingDraws

plain = TrainingDraws.__getitem__


def noting(self, draw):
    with (Path(os.environ["NOTES"]) / f"{os.getpid()}.txt").open("a") as file:
        file.write(f"{draw}\\n")
    return plain(self, draw)


TrainingDraws.__getitem__ = noting
app()
"""
"""The command; every process notes what it draws. Lightning starts the script again for the second one."""


def _train_together(
    dataset: Path, folder: Path, environments: list[dict[str, str]], *options: str
) -> list[str]:
    """Run the command with two processes, one or both begun here, and check what they leave."""
    script, notes, output = folder / "train.py", folder / "notes", folder / "runs"
    script.write_text(NOTING, encoding="utf-8")
    notes.mkdir()
    command = [sys.executable, str(script), *_train(dataset, output, "--epochs", "0.2", "--batch", "4")]
    common = {**os.environ, "OMP_NUM_THREADS": "1", "NOTES": str(notes)}
    processes = [
        subprocess.Popen(
            [*command, *options],
            env={**common, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for more in environments
    ]
    said = [process.communicate(timeout=900)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), said

    drawn = [{int(line) for line in path.read_text().split()} for path in notes.iterdir()]
    plan = json.loads((output / "mobilenetv2" / "plan.json").read_text(encoding="utf-8"))
    crops = len(read_dataset(dataset).crops["training"])
    assert plan["devices"] == 2
    assert plan["iterations"] == int(0.2 * (crops // 8)) > 1
    assert len(drawn) == 2
    assert not drawn[0] & drawn[1]
    assert drawn[0] | drawn[1] == set(range(plan["iterations"] * 8))
    (weights,) = output.rglob("*.safetensors")
    assert read_metadata(weights).training["crops_seen"] == plan["iterations"] * 8
    read_weights(weights)
    return said


def test_two_processes_train_on_different_crops(dataset: Path, tmp_path: Path) -> None:
    (said,) = _train_together(dataset, tmp_path, [{}], "--devices", "2")
    assert said.count("97.379") == 1  # the closing table once, not once a process
    assert said.count("weights: ") == 1


@pytest.mark.slow
def test_two_machines_train_on_different_crops(dataset: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    machines = [{**address, "NODE_RANK": str(number)} for number in range(2)]
    first, second = _train_together(dataset, tmp_path, machines, "--num-nodes", "2")
    assert "weights: " in first
    assert "weights: " not in second


def test_a_second_run_does_not_overwrite_the_first(dataset: Path, tmp_path: Path) -> None:
    options = ("--epochs", "0.1", "--batch", "4")
    assert CliRunner().invoke(app, _train(dataset, tmp_path, *options)).exit_code == 0
    before = (tmp_path / "mobilenetv2" / "mobilenetv2.safetensors").read_bytes()

    again = CliRunner().invoke(app, _train(dataset, tmp_path, *options))
    other = CliRunner().invoke(app, _train(dataset, tmp_path, "--epochs", "0.2", "--batch", "4", "--resume"))

    assert again.exit_code == 2
    assert "--resume" in again.output
    assert other.exit_code == 2
    assert "another protocol" in other.output
    assert (tmp_path / "mobilenetv2" / "mobilenetv2.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--model", "nonet"), "unknown model"),
        (("--epochs", "0"), "--epochs"),
        (("--batch", "0"), "--batch"),
        (("--device", "tpu"), "--device"),
        (("--weights", "nowhere.safetensors"), "nowhere.safetensors"),
        (("--encoder", "nowhere.safetensors"), "nowhere.safetensors"),
        (("--weights", "a.safetensors", "--encoder", "imagenet"), "leave out --encoder"),
        (("--data", "nowhere"), "nowhere"),
    ],
)
def test_wrong_options_give_one_line(
    dataset: Path, tmp_path: Path, options: tuple[str, ...], word: str
) -> None:
    result = CliRunner().invoke(app, [*_train(dataset, tmp_path), *options])

    assert result.exit_code in {1, 2}
    assert word in result.output
    assert len([line for line in result.output.splitlines() if line.startswith("error:")]) == 1
    assert "Traceback" not in result.output


def test_paper_protocol_gives_the_papers_iterations() -> None:
    """Table 3: 320, 480 and 963 iterations from 5,141 training crops."""
    iterations = {}
    for name, info in MODELS.items():
        protocol = protocol_for("paper", info)
        iterations[name] = int(protocol.epochs * (5141 // protocol.batch))
    assert iterations == {"unet": 320, "segnet": 963, "resnet50": 480, "resnet18": 480, "mobilenetv2": 480}


@pytest.mark.parametrize(("protocol", "gain"), [("paper", 1.0), ("best", 4.0)])
def test_segnet_starts_from_all_that_vgg16_knows_in_the_better_protocol_alone(
    dataset: Path, tmp_path: Path, protocol: str, gain: float
) -> None:
    encoder = tmp_path / "vgg16.safetensors"
    save_file(get_encoder("vgg16", weights=None).state_dict(), encoder)
    more = ("--protocol", protocol, "--epochs", "0.02", "--batch", "2", "--encoder", str(encoder))
    arguments = _train(dataset, tmp_path, *more)
    arguments[arguments.index("mobilenetv2")] = "segnet"

    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 0, result.output
    network, metadata = read_weights(tmp_path / "segnet" / "segnet.safetensors")
    assert metadata.training["iterations"] < 20  # of 0.001: nothing moves by more than 0.02
    first, *_, last = (module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d))
    assert last.weight.mean().item() == pytest.approx(gain, abs=0.03)
    assert (first.weight.std() > 0.1) == (protocol == "best")
    kernels = [module.weight for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    mirrored = kernels[12].transpose(0, 1).flip(2, 3)  # the encoder's last; the decoder's first follows it
    alike = torch.nn.functional.cosine_similarity(kernels[13].flatten(), mirrored.flatten(), dim=0)
    assert (alike > 0.9) == (protocol == "best")


def test_every_pass_draws_every_crop_once(dataset: Path, tmp_path: Path) -> None:
    data = read_dataset(dataset)
    store = decode_to_store(data.images, tmp_path)
    crops = data.crops["training"][:20]
    draws = TrainingDraws(store, crops, CROP_PX, seed=1, augment=False)
    plain = FixedCrops(store, crops, CROP_PX)

    def contents(examples: object, numbers: range) -> list[bytes]:
        return sorted(examples[n][0].numpy().tobytes() for n in numbers)  # type: ignore[index]

    expected = contents(plain, range(20))
    assert contents(draws, range(20)) == expected
    assert contents(draws, range(20, 40)) == expected
    assert [draws[n][0].sum() for n in range(20)] != [draws[n][0].sum() for n in range(20, 40)]


def test_draws_depend_on_their_number_alone(dataset: Path, tmp_path: Path) -> None:
    data = read_dataset(dataset)
    store = decode_to_store(data.images, tmp_path)
    one = TrainingDraws(store, data.crops["training"], CROP_PX, seed=1, augment=True)
    two = TrainingDraws(store, data.crops["training"], CROP_PX, seed=1, augment=True)
    for number in (7, 3, 11):
        two[number]
    for number in range(12):
        assert torch.equal(one[number][0], two[number][0])
        assert torch.equal(one[number][1], two[number][1])


def test_augmentation_moves_pixels_and_labels_together(dataset: Path, tmp_path: Path) -> None:
    """Dark stays pearlite and bright stays ferrite, whatever the scale, mirror and turn."""
    data = read_dataset(dataset)
    store = decode_to_store(data.images, tmp_path)
    draws = TrainingDraws(store, data.crops["training"], CROP_PX, seed=2, augment=True)
    agreeing = []
    for number in range(40):
        pixels, labels = draws[number]
        grey = pixels.float().mean(0)
        share = labels.float().mean()
        if 0.1 < share < 0.9:
            between = (grey[labels == 1].mean() + grey[labels == 0].mean()) / 2
            agreeing.append(float(((grey < between) == (labels == 1)).float().mean()))
    assert np.median(agreeing) > 0.97
    assert min(agreeing) > 0.8


def test_sampler_covers_the_run_once_over_intervals_and_processes() -> None:
    seen: list[int] = []
    for epoch in range(4):
        for rank in range(2):
            seen += list(DrawSampler(lambda done=epoch: done, 12, 40, rank=rank, world=2))  # type: ignore[misc]
    assert sorted(seen) == list(range(40))


def _task(protocol_name: str, weights: torch.Tensor | None = None) -> SegmentationTask:
    return SegmentationTask(
        torch.nn.Conv2d(3, 2, 1),
        protocol_for(protocol_name, MODELS["mobilenetv2"]),
        classes=2,
        mean=(0, 0, 0),
        std=(1, 1, 1),
        class_weights=weights,
        iterations=100,
        seed=0,
    )


def test_weighted_loss_equals_torchs_and_ignores_unlabelled_pixels() -> None:
    task = _task("paper", torch.tensor([0.7, 1.8]))
    logits, labels = torch.randn(2, 2, 8, 8), torch.randint(0, 2, (2, 8, 8))
    labels[:, :3] = 255

    loss = task._loss(logits, labels, labels != 255)

    expected = torch.nn.functional.cross_entropy(logits, labels, torch.tensor([0.7, 1.8]), ignore_index=255)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("protocol", ["paper", "best"])
def test_a_batch_without_labels_has_a_finite_loss(protocol: str) -> None:
    logits = torch.randn(1, 2, 8, 8, requires_grad=True)
    labels = torch.full((1, 8, 8), 255)
    loss = _task(protocol)._loss(logits, labels, labels != 255)
    loss.backward()
    assert math.isfinite(float(loss.detach()))
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())


def test_cosine_rises_and_ends_at_zero() -> None:
    task = _task("best")
    rates = [task._cosine(i) for i in range(100)]
    assert max(rates) == 1
    assert rates.index(1) == 4
    assert rates[-1] < 0.001
    assert all(a >= b for a, b in itertools.pairwise(rates[5:]))
