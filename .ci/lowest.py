"""Print the lowest version of each dependency in pyproject.toml as constraints for pip."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Linters and type stubs are no part of what runs.
extras = project["optional-dependencies"]
runs = ("pytest", "hypothesis")
for line in [
    *project["dependencies"],
    *extras["cluster"],
    *(line for line in extras["test"] if line.startswith(runs)),
]:
    name, version = re.fullmatch(r"([\w-]+)(?:\[.*\])?>=([\d.]+)", line).groups()
    print(f"{name}=={version}")
