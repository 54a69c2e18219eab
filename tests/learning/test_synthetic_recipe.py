"""Recipes: every key documented, every mistake told in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from steelquant.errors import FileError, UsageError
from steelquant.learning.synthetic import Recipe, read_recipe, recipe_yaml


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_survives_its_file(tmp_path: Path) -> None:
    recipe = Recipe(pearlite_fraction=(0.2, 0.4), banded=1.0)

    assert read_recipe(written(tmp_path, recipe_yaml(recipe, {"seed": 3}))) == recipe


def test_every_key_is_documented() -> None:
    lines = recipe_yaml(Recipe()).splitlines()[1:]

    assert len(lines) > 30
    assert all(line.partition("#")[2].strip() for line in lines)


def test_left_out_keys_keep_their_defaults(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path, "grain_diameter_px: [20, 30]\n"))

    assert recipe.grain_diameter_px == (20, 30)
    assert recipe.noise == Recipe().noise
    assert read_recipe(written(tmp_path, "")) == Recipe()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("perlite: 1", "unknown key 'perlite'"),
        ("pearlite_fraction: 0.5", "two numbers"),
        ("pearlite_fraction: [0.5]", "two numbers"),
        ("pearlite_fraction: [a, b]", "two numbers"),
        ("pearlite_fraction: [0.6, 0.2]", "above its high end"),
        ("pearlite_fraction: [0.6, 1.2]", "between 0.001 and 0.999"),
        ("banded: [0, 1]", "one number"),
        ("banded: true", "one number"),
        ("banded: 1.5", "between 0 and 1"),
        ("banded: .nan", "between 0 and 1"),
        ("grain_diameter_px: [20, .inf]", "between 6 and 2000"),
        ("{random: 0, clustered: 0, banded: 0, network: 0}", "must be above 0"),
    ],
)
def test_wrong_values_are_told(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        read_recipe(written(tmp_path, text))
    assert "recipe" in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["- 1\n- 2\n", "a: [1, 2\n", "!!python/object/apply:os.getcwd []\n"])
def test_files_that_are_no_recipe_are_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(FileError):
        read_recipe(written(tmp_path, text))


def test_a_missing_recipe_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"nowhere\.yaml"):
        read_recipe(tmp_path / "nowhere.yaml")
