"""Worker processes that leave Ctrl-C to the program that started them."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor


@contextlib.contextmanager
def worker_processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """Start processes of one thread each, and end them with the block.

    What is not begun when the block is left by an exception, Ctrl-C among them, is not begun any more, and
    what is under way is not waited for.

    Parameters
    ----------
    count
        Number of processes. A script that starts any needs the usual ``if __name__ == "__main__":`` guard.
    """
    # Spawned processes start alike on every system and inherit no locks from a threaded parent.
    context = multiprocessing.get_context("spawn")
    with _put_off():
        # With the pool begins the process that tracks its resources; what starts that one unblocks Ctrl-C.
        pool = ProcessPoolExecutor(count, mp_context=context, initializer=_prepare)
        with _blocked():
            for _ in range(count):
                pool.submit(_nothing)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


@contextlib.contextmanager
def _put_off() -> Iterator[None]:
    """Put Ctrl-C off until the block is done: a process that gets half of its task leaves a traceback."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python tells the main thread alone
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
    if came:
        signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def _blocked() -> Iterator[None]:
    """Keep Ctrl-C from the processes that the block starts, which a traceback would tell of as well.

    Windows has no masks: there a process is safe from when it has prepared itself.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare() -> None:
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)


def _nothing() -> None:
    """Do nothing: what a process is started with."""
