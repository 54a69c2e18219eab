"""Paths that may be URLs, such as ``s3://bucket/folder``, which ``pathlib`` spells with one slash less."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.request import url2pathname

_URL = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]+):/+")
"""A scheme of two or more letters; one letter is a drive of Windows."""

_FILE = re.compile(r"^(file|local):/+", re.IGNORECASE)


def is_url(path: Path | str) -> bool:
    """Tell whether a path is a URL.

    Examples
    --------
    >>> is_url(Path("s3://bucket/a.tif")), is_url("c:/a.tif"), is_url("a/b.tif")
    (True, False, False)
    """
    return _URL.match(_text(path)) is not None


def spelled(path: Path | str) -> str:
    """Return a path as its user wrote it, URLs with both slashes.

    Examples
    --------
    >>> spelled(Path("s3://bucket/a.tif"))
    's3://bucket/a.tif'
    """
    return _URL.sub(r"\1://", _text(path)) if is_url(path) else str(path)


def located(path: Path | str) -> Path:
    """Return what a user wrote as a path; a ``file://`` URL as the path that it stands for.

    Examples
    --------
    >>> located("file:///data/a%20b.tif").as_posix(), spelled(located("s3://bucket/a.tif"))
    ('/data/a b.tif', 's3://bucket/a.tif')
    """
    if (match := _FILE.match(_text(path))) is None:
        return Path(path)
    return Path(url2pathname("/" + _text(path)[match.end() :]))


def _text(path: Path | str) -> str:
    return path.as_posix() if isinstance(path, Path) else path
