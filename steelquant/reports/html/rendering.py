"""From the page's content to its text: templates, escaping, and what the browser may do with the result."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

_TEMPLATES = "templates"
_PAGE, _STYLE, _SCRIPT = "page.html", "page.css", "page.js"
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def render(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield the page's text in pieces.

    Every text of the content is escaped. A content security policy in the page lets only the page's own
    style and script run, known by their hashes, and forbids every connection.
    """
    files = {
        item.name: item.read_text(encoding="utf-8")
        for item in (resources.files(__package__) / _TEMPLATES).iterdir()
        if item.name.endswith((".html", ".css", ".js"))
    }
    environment = Environment(
        loader=DictLoader({name: text for name, text in files.items() if name.endswith(".html")}),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = files[_STYLE], files[_SCRIPT]
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    template = environment.get_template(_PAGE)
    # The package's own files, in which there is nothing of the user's, are not escaped.
    own = {"style": Markup(style), "script": Markup(script)}  # nosec B704
    yield from template.generate(**content, **own, policy=policy)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _printable(value: Any) -> Any:
    """Replace what no text file may hold, such as broken bytes of file names; leave all else as it is."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _UNPRINTABLE.sub("\ufffd", value)
    return value
