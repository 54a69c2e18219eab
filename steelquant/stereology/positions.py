"""The eight positions of a picture, turned by quarters and mirrored or not, and which of them comes first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SYMMETRIES = tuple((mirrored, quarters) for mirrored in (False, True) for quarters in range(4))
"""The positions: mirrored or not, then turned by quarters."""


def put(picture: NDArray[Any], position: int, axes: tuple[int, int] = (0, 1)) -> NDArray[Any]:
    """Return a view of a picture whose rows and columns are two axes in a position of `SYMMETRIES`."""
    mirrored, quarters = SYMMETRIES[position]
    return np.rot90(np.flip(picture, axes[1]) if mirrored else picture, quarters, axes)


def put_back(picture: NDArray[Any], position: int) -> NDArray[Any]:
    """Undo :func:`put`."""
    mirrored, quarters = SYMMETRIES[position]
    turned = np.rot90(picture, -quarters)
    return turned[:, ::-1] if mirrored else turned


def first_position(*pictures: NDArray[Any]) -> int:
    """Choose the same one of a field's eight positions in whichever of them the field is given.

    What goes through pixels in an order, or adds in one, gives the same for a field and for the field
    turned or mirrored when it is done in this position.

    Parameters
    ----------
    *pictures
        ``(height, width, ...)``, at least one; all that tells the field from itself turned or mirrored.

    Returns
    -------
    int
        An index of `SYMMETRIES`: of the positions with the fewest rows that whose bytes, row by row, come
        first. Where a field equals itself in another position, either of the two.
    """
    rows = min(pictures[0].shape[:2])
    left = {k: [put(picture, k) for picture in pictures] for k in range(len(SYMMETRIES))}
    left = {k: turned for k, turned in left.items() if turned[0].shape[0] == rows}
    for row in range(rows):
        content = {k: b"".join(part[row].tobytes() for part in turned) for k, turned in left.items()}
        first = min(content.values())
        left = {k: turned for k, turned in left.items() if content[k] == first}
        if len(left) == 1:
            break
    return min(left)
