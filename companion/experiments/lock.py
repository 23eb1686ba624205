"""That two processes do not do the same work at once: a file that one of them holds.

The lock is the operating system's (flock): it ends with the process that holds it, however that
ends, so there are no stale ones. It holds between machines too where they share the disk.
"""

from __future__ import annotations

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class BusyError(RuntimeError):
    """Another process holds the lock."""


@contextmanager
def lock(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock of that path, whose folder must exist; wait for it, or raise BusyError.

    The file stays there afterwards, since to remove it would let two processes hold it.
    """
    with open(path, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            file.seek(0)
            raise BusyError(file.read().strip() or "another process") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}\n")
        file.flush()
        yield
