"""Weight files: round trip, the order of search, and what is refused."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from steelquant.errors import FileError, UsageError
from steelquant.networks import build, weights
from steelquant.networks.weights import (
    WeightsMetadata,
    find_weights,
    read_metadata,
    read_weights,
    weights_file_name,
    write_weights,
)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "mobilenetv2.safetensors"
    write_weights(path, build("mobilenetv2"), WeightsMetadata("mobilenetv2", licence="MIT", version="0"))
    return path


def test_round_trip_keeps_the_network_to_half_precision(saved: Path) -> None:
    torch.manual_seed(0)
    original = build("mobilenetv2").eval()

    network, metadata = read_weights(saved)

    assert not network.training
    assert metadata == WeightsMetadata("mobilenetv2", licence="MIT", version="0")
    for key, value in original.state_dict().items():
        torch.testing.assert_close(network.state_dict()[key], value, rtol=1e-3, atol=1e-6)
    assert saved.stat().st_size < 6e6  # the dense upsampler alone would be 8 MB


def test_batch_norm_statistics_keep_single_precision(tmp_path: Path) -> None:
    network = build("mobilenetv2")
    variance = network.get_buffer("dec_c1.1.running_var")
    variance.fill_(1e6)  # float16 would overflow
    write_weights(tmp_path / "w.safetensors", network, WeightsMetadata("mobilenetv2"))

    again, _ = read_weights(tmp_path / "w.safetensors")

    assert float(again.get_buffer("dec_c1.1.running_var")[0]) == 1e6


def test_writing_twice_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    again = tmp_path / "again.safetensors"
    write_weights(again, build("mobilenetv2"), WeightsMetadata("mobilenetv2", licence="MIT", version="0"))
    assert again.read_bytes() == saved.read_bytes()


def test_order_of_search(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = weights_file_name("mobilenetv2")
    places = [tmp_path / place for place in ("environment", "package", "checkout")]
    for place in places:
        place.mkdir()
        (place / name).write_bytes(saved.read_bytes())
    monkeypatch.setattr(weights, "SEARCH_FOLDERS", tuple(places[1:]))
    monkeypatch.setenv("STEELQUANT_WEIGHTS", str(places[0]))

    assert find_weights("mobilenetv2", saved) == saved
    assert find_weights("mobilenetv2", tmp_path) == saved
    assert find_weights("mobilenetv2") == places[0] / name
    monkeypatch.delenv("STEELQUANT_WEIGHTS")
    assert find_weights("mobilenetv2") == places[1] / name
    (places[1] / name).unlink()
    assert find_weights("mobilenetv2") == places[2] / name
    (places[2] / name).unlink()
    with pytest.raises(UsageError, match=r"no trained weights.*steelquant train"):
        find_weights("mobilenetv2")


def test_a_stated_place_without_a_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="--weights"):
        find_weights("mobilenetv2", tmp_path / "none.safetensors")
    monkeypatch.setenv("STEELQUANT_WEIGHTS", str(tmp_path))
    with pytest.raises(UsageError, match="STEELQUANT_WEIGHTS"):
        find_weights("mobilenetv2")


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Malicious:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (marker,))  # type: ignore[return-value]

    path = tmp_path / "mobilenetv2.safetensors"
    path.write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(FileError, match="never pickles"):
        read_weights(path)
    assert not marker.exists()


@pytest.mark.parametrize("keep", [0, 4, 100, 100_000])
def test_truncated_files_are_refused(saved: Path, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(FileError):
        read_weights(saved)


def test_header_that_declares_terabytes_is_refused(tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}).encode()
    path = tmp_path / "huge.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(FileError):
        read_weights(path)


def test_tensors_of_another_model_are_refused(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "wrong.safetensors"
    header = WeightsMetadata("unet").to_json()
    save_file(load_file(saved), path, metadata={"steelquant": header})
    with pytest.raises(FileError, match="not those of 'unet'"):
        read_weights(path)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "nonet"},
        {"classes": []},
        {"classes": [{"label": 1, "name": "a", "colour": [0, 0, 0]}] * 2},
        {"mean": [1, 2]},
        {"format": "other"},
        {"surprise": 1},
    ],
)
def test_headers_that_make_no_sense_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "w.safetensors"
    header = {**json.loads(WeightsMetadata("mobilenetv2").to_json()), **change}
    save_file({"x": torch.zeros(1)}, path, metadata={"steelquant": json.dumps(header)})
    with pytest.raises(FileError, match="header"):
        read_metadata(path)


def test_foreign_safetensors_are_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(FileError, match="without steelquant's header"):
        read_metadata(tmp_path / "w.safetensors")


def test_reading_metadata_needs_no_torch(saved: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from steelquant.networks.weights import read_metadata;"
        f"read_metadata(Path({str(saved)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_weight_files_may_be_read_by_whom_the_system_lets_read_new_files(saved: Path) -> None:
    ordinary = saved.parent / "ordinary"
    ordinary.write_bytes(b"")
    assert saved.stat().st_mode == ordinary.stat().st_mode


def test_a_record_holds_all_but_how_training_fields_look() -> None:
    metadata = weights.read_metadata(Path(__file__).parents[2] / "weights/mobilenetv2.safetensors")
    assert metadata.familiarity is not None
    record = metadata.for_record()
    assert record["familiarity"] is None
    assert record["training"] == metadata.training
    assert len(json.dumps(record)) < len(metadata.to_json()) / 4
