"""Experiments for the tests: points that leave traces, wait, fail, or kill the worker they run on.

Other processes import them, as experiments_under_test:NAME. Where the traces go is a setting.
"""

import os
import signal
import time
from pathlib import Path
from typing import Any

from companion.experiments import Experiment, grid

LOG = os.environ.get("EXPERIMENTS_LOG", "")


def run(settings: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """Leave a line at the start and one at the end; say whether an earlier try had begun."""
    begun = scratch / "begun"
    threads = os.environ.get("OMP_NUM_THREADS")
    result = {"n": settings["n"], "begun": begun.exists(), "threads": threads}
    begun.touch()
    note(settings, "start")
    until = time.monotonic() + settings.get("seconds", 0)
    while time.monotonic() < until:
        time.sleep(0.01)
    note(settings, "end")
    return result


def fail(settings: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """As run, but the odd ones fail as long as there is no file mended."""
    if settings["n"] % 2 and not Path(settings["log"], "mended").exists():
        raise ArithmeticError(f"{settings['n']} is odd\nand that is all")
    return run(settings, scratch)


def kill(settings: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """As run, but 2 takes its process with it."""
    if settings["n"] == 2:
        note(settings, "start")
        os.kill(os.getpid(), signal.SIGKILL)
    return run(settings, scratch)


def note(settings: dict[str, Any], what: str) -> None:
    """One line, written at once."""
    with open(Path(settings["log"], "log"), "a") as file:
        file.write(f"{settings['n']} {what} {os.getpid()}\n")


SLOW = Experiment("slow", "Points that wait.", grid(log=[LOG], n=range(30), seconds=[0.5]), run)
