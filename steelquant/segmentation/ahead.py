"""Items fetched by another thread while earlier ones are in use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")


def read_ahead(items: Generator[_Item], count: Callable[[_Item], int]) -> Generator[_Item]:
    """Yield the items of a generator, which runs in a thread of its own.

    Parameters
    ----------
    items
        Closed when this generator is.
    count
        How many items may wait, given one of them: what bounds the memory.
    """
    waiting: deque[Future[_Item | None]] = deque()
    with ThreadPoolExecutor(1, "ahead") as reader:
        try:
            waiting.append(reader.submit(next, items, None))
            while (item := waiting.popleft().result()) is not None:
                while len(waiting) < max(1, count(item)):
                    waiting.append(reader.submit(next, items, None))
                yield item
        finally:
            for future in waiting:
                future.cancel()
            reader.submit(items.close)
