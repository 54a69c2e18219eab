"""The recipe: from which ranges the generator draws, kept as YAML beside what it made."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import yaml

from steelquant.errors import FileError, UsageError
from steelquant.micrograph.documents import parse_yaml, shown

Range = tuple[float, float]


@dataclass(frozen=True)
class Key:
    """What a key of the recipe means and between which limits it may lie."""

    text: str
    least: float
    most: float


@dataclass(frozen=True)
class Recipe:
    """Ranges and shares from which each field's parameters are drawn.

    A range ``[low, high]`` is drawn from log-uniformly where it spans scales and uniformly otherwise; a
    share is the probability that a field has the property. Every attribute is a key of the YAML file;
    keys left out keep their defaults. Lengths are in pixels of the finished picture.
    """

    # Microstructure
    pearlite_fraction: Annotated[
        Range, Key("areal fraction of pearlite in two-phase fields", 0.001, 0.999)
    ] = (0.03, 0.97)
    pure_ferrite: Annotated[float, Key("share of fields without pearlite", 0, 1)] = 0.015
    pure_pearlite: Annotated[float, Key("share of fields without ferrite", 0, 1)] = 0.02
    grain_diameter_px: Annotated[
        Range, Key("mean ferrite grain diameter (circle of equal area)", 6, 2000)
    ] = (10, 180)
    saturation: Annotated[
        Range, Key("share of nuclei present from the start: 0 continuous, 1 site-saturated", 0, 1)
    ] = (0.0, 1.0)
    aspect: Annotated[Range, Key("elongation of the grains by rolling", 1, 10)] = (1.0, 2.2)
    random: Annotated[float, Key("weight of the random arrangement", 0, 1)] = 0.34
    clustered: Annotated[float, Key("weight of the clustered arrangement", 0, 1)] = 0.22
    banded: Annotated[float, Key("weight of the banded arrangement", 0, 1)] = 0.24
    network: Annotated[float, Key("weight of ferrite networks on prior-austenite boundaries", 0, 1)] = 0.20
    films: Annotated[float, Key("share of fields with allotriomorphic films (always in networks)", 0, 1)] = (
        0.2
    )
    plates: Annotated[float, Key("share of fields with Widmanstätten side plates", 0, 1)] = 0.18
    islands: Annotated[float, Key("share of fields with ferrite islands in pearlite nodules", 0, 1)] = 0.5

    # Pearlite and ferrite
    lamella_spacing_px: Annotated[Range, Key("true lamellar spacing", 0.2, 60)] = (0.9, 9.0)
    pearlite_grey: Annotated[
        Range, Key("pearlite's brightness relative to ferrite, ordinary fields", 0.02, 0.98)
    ] = (0.11, 0.6)
    faint_pearlite_grey: Annotated[Range, Key("the same in fields of faint contrast", 0.02, 0.98)] = (
        0.55,
        0.86,
    )
    colony_spread: Annotated[Range, Key("spread of grey from colony to colony (natural log)", 0, 2)] = (
        0.06,
        0.5,
    )
    boundary_depth: Annotated[Range, Key("darkness of etched ferrite boundaries", 0, 0.95)] = (0.03, 0.85)
    boundary_width_px: Annotated[Range, Key("half-width of etched ferrite boundaries", 0.2, 20)] = (0.5, 2.2)
    boundary_hidden: Annotated[Range, Key("share of ferrite boundaries that the etch left out", 0, 1)] = (
        0.05,
        0.75,
    )
    stippled: Annotated[float, Key("share of fields whose ferrite has etching pits", 0, 1)] = 0.3
    shaded: Annotated[float, Key("share of fields with ferrite grains darkened as a whole", 0, 1)] = 0.35

    # Optics and camera
    pixel_size_um: Annotated[Range, Key("edge of a pixel on the specimen", 0.005, 50)] = (0.05, 0.9)
    exposure: Annotated[Range, Key("brightness of ferrite; above 1 it is clipped", 0.05, 5)] = (0.5, 1.3)
    colour: Annotated[float, Key("share of fields in colour, the others are grey", 0, 1)] = 0.7
    gamma: Annotated[Range, Key("exponent on the tones in degraded fields", 0.1, 5)] = (0.5, 1.8)
    defocus_px: Annotated[Range, Key("standard deviation of the blur in defocused fields", 0, 20)] = (
        0.6,
        3.0,
    )
    gradient: Annotated[Range, Key("loss of light across unevenly lit fields", 0, 0.95)] = (0.15, 0.65)
    vignette: Annotated[Range, Key("loss of light in the corners of vignetted fields", 0, 0.95)] = (0.2, 0.75)
    noise: Annotated[Range, Key("noise of noisy fields, 8-bit grey levels", 0, 100)] = (4.0, 30.0)
    jpeg_quality: Annotated[Range, Key("JPEG quality of compressed fields", 1, 100)] = (20, 90)
    rescale: Annotated[Range, Key("enlargement after rendering in resampled fields", 0.25, 4)] = (0.5, 2.0)

    # Ugly fields
    degraded: Annotated[float, Key("share of fields with one to four strong degradations", 0, 1)] = 0.5
    scratch_count: Annotated[Range, Key("scratches in scratched fields", 0, 2000)] = (3, 60)
    stain_count: Annotated[Range, Key("stains in stained fields", 0, 200)] = (1, 10)
    stain_strength: Annotated[Range, Key("darkening by stains", 0, 1)] = (0.15, 0.75)

    # Not steel
    mounted_edge: Annotated[
        float, Key("share of fields that show the specimen's edge and mounting resin", 0, 1)
    ] = 0.05
    decarburised: Annotated[float, Key("share of such edges that are decarburised", 0, 1)] = 0.5
    info_bar: Annotated[float, Key("share of fields with an information bar", 0, 1)] = 0.05
    scale_bar: Annotated[float, Key("share of fields with a burnt-in scale bar", 0, 1)] = 0.12
    letter: Annotated[float, Key("share of fields with a figure's letter in a corner", 0, 1)] = 0.03
    eyepiece: Annotated[float, Key("share of fields seen through an eyepiece", 0, 1)] = 0.04
    wide_crack: Annotated[float, Key("share of fields with a wide crack", 0, 1)] = 0.02

    def __post_init__(self) -> None:
        for name, key in recipe_keys().items():
            _check(name, key, getattr(self, name), is_range=isinstance(getattr(Recipe, name), tuple))
        if self.random + self.clustered + self.banded + self.network <= 0:
            raise UsageError("recipe: one of random, clustered, banded and network must be above 0")


@cache
def recipe_keys() -> dict[str, Key]:
    """Return what each key of a recipe means, in the order of the file."""
    hints = get_type_hints(Recipe, include_extras=True)
    return {entry.name: hints[entry.name].__metadata__[0] for entry in dataclasses.fields(Recipe)}


def _check(name: str, key: Key, value: Any, *, is_range: bool) -> None:
    limits = f"between {key.least:g} and {key.most:g}"
    numbers = value if isinstance(value, tuple) else (value,)
    plain = all(isinstance(number, (int, float)) and not isinstance(number, bool) for number in numbers)
    if is_range and (not isinstance(value, tuple) or len(numbers) != 2 or not plain):
        raise UsageError(f"recipe: {name} must be two numbers [low, high], not {shown(value)}")
    if not is_range and (isinstance(value, tuple) or not plain):
        raise UsageError(f"recipe: {name} must be one number, not {shown(value)}")
    if not all(key.least <= number <= key.most for number in numbers):
        raise UsageError(f"recipe: {name} must be {limits}, not {shown(value)} ({key.text})")
    if is_range and numbers[0] > numbers[1]:
        raise UsageError(f"recipe: {name} has its low end {numbers[0]:g} above its high end {numbers[1]:g}")


def read_recipe(path: Path) -> Recipe:
    """Read a recipe; keys that the file leaves out keep their defaults.

    Raises
    ------
    FileError
        The file is missing or not YAML.
    UsageError
        A key is unknown or a value lies outside its limits.
    """
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(path, f"cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise FileError(path, f"is not a YAML file: {error}") from None
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise FileError(path, "must hold keys and values such as 'pearlite_fraction: [0.1, 0.5]'")
    known = set(recipe_keys())
    # What a finished set's recipe.yaml says about the run itself is not part of the recipe.
    values = {str(key): value for key, value in content.items() if key != "made_with"}
    unknown = sorted(set(values) - known)
    if unknown:
        raise UsageError(
            f"recipe {path}: unknown key {shown(unknown[0])}; known are {', '.join(sorted(known))}"
        )
    ranges: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    try:
        return Recipe(**ranges)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def recipe_yaml(recipe: Recipe, made_with: dict[str, Any] | None = None) -> str:
    """Return a recipe as YAML in which a comment documents every key."""
    lines = ["# Ranges [low, high] and shares from which steelquant synthesize draws each field."]
    for name, key in recipe_keys().items():
        value = getattr(recipe, name)
        shown = f"[{value[0]:g}, {value[1]:g}]" if isinstance(value, tuple) else f"{value:g}"
        lines.append(f"{name}: {shown}  # {key.text}")
    text = "\n".join(lines) + "\n"
    if made_with:
        text += yaml.safe_dump({"made_with": made_with}, sort_keys=False, allow_unicode=True)
    return text
