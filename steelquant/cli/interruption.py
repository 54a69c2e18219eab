"""Ctrl-C ends a command within a second, whatever it is doing.

Python tells a program of Ctrl-C between two of its own steps. A step inside a library can take seconds, as
can waiting for threads and for other processes. A thread that the operating system wakes at once gives the
program a grace to end by itself; then it ends it. Nothing is lost by that: files appear whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from typing import NoReturn

EXIT_CODE = 130
MESSAGE = "interrupted; what was finished is on disk"

_GRACE_S = 0.75
_BAR_AWAY = "\r\x1b[2K\x1b[?25h"
"""Clears the line of a progress bar and shows the cursor, which the bar had hidden."""


def end_within_a_second() -> None:
    """Let Ctrl-C end this process within a second from now on, with exit code 130."""
    # What Python starts to tidy up after killed processes tidies up in silence.
    sys.warnoptions.append("ignore:resource_tracker:UserWarning")
    heard, told = socket.socketpair()
    told.setblocking(False)
    signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    # The socket that signals write to must live as long as the process: the thread holds it.
    threading.Thread(target=_wait, args=(heard, told), name="interruption", daemon=True).start()


def _wait(heard: socket.socket, told: socket.socket) -> None:
    while signal.SIGINT not in heard.recv(1):
        pass
    time.sleep(_GRACE_S)
    # Not through sys.stderr: the main thread may hold its lock.
    with contextlib.suppress(OSError):
        bar_away = _BAR_AWAY if os.isatty(2) else ""
        os.write(2, f"{bar_away}error: {MESSAGE}\n".encode())
    leave()


def leave() -> NoReturn:
    """End this process and those that it started, at once: threads and libraries are not waited for."""
    from steelquant.micrograph.unfinished import remove_own

    if multiprocessing := sys.modules.get("multiprocessing"):
        for child in multiprocessing.active_children():
            child.kill()
    remove_own()
    os._exit(EXIT_CODE)
