"""JSON and YAML that someone else may have written: what is wrong with them is always a ``ValueError``."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

MALFORMED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What taking a document apart raises where it does not hold what it should."""

_LONGEST_YAML = 2**20
_LONGEST_VALUE = 60
_LONGEST_ERROR = 200


def parse_json(text: str) -> Any:
    """Return what a JSON text holds.

    Raises
    ------
    ValueError
        It is no JSON, or nested deeper than any file of this program.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse_yaml(text: str) -> Any:
    """Return what a YAML text of plain values, lists and mappings holds.

    Raises
    ------
    ValueError
        It is no YAML, longer than 1 MiB, nested deeply, names other types, or refers to parts of itself: a
        short text of references can stand for more than fits into memory.
    """
    import yaml

    if len(text) > _LONGEST_YAML:
        raise ValueError("it is too long for a table of settings")
    try:
        # No less safe than yaml.safe_load: its loader, which reads no references.
        return yaml.load(text, Loader=_plain_loader())  # nosec B506
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def shown(value: Any) -> str:
    """Return a value as it stands in a message, shortened."""
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def told(error: Exception) -> str:
    """Return the kind of an error and what it says, shortened."""
    return f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]


@cache
def _plain_loader() -> Any:
    """Make a safe loader that reads no references."""
    from yaml import AliasEvent, SafeLoader
    from yaml.composer import ComposerError

    class PlainLoader(SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(AliasEvent):
                raise ComposerError(None, None, "it refers to another part of itself with *")
            return super().compose_node(parent, index)

    return PlainLoader
