"""What happens where a point runs, on a worker: it is run once, and a record comes back.

A worker needs the package and the experiment's module, and no disk in common with the process
that started the run, which keeps the record. Where it has one, nothing that was finished is lost,
whatever is killed: the record waits beside the scratch folder until it is kept.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from companion.experiments.experiment import Run, Settings
from companion.experiments.lock import lock
from companion.experiments.store import Record, path_of, read, scratch_of, write

PACKAGES = ("companion", "numpy", "scipy", "torch", "jax")


def run_point(name: str, run: Run, settings: Settings, folder: str) -> Record:
    """Run one point of the experiment of that name; what goes wrong in it is its record."""
    begin = time.perf_counter()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
    try:
        with _scratch(Path(folder), settings) as scratch:
            finished = read(scratch.parent, name, settings)
            if finished is not None:  # by one that was killed before it could hand it over
                return finished
            begin = time.perf_counter()
            result = _plain(run(json.loads(json.dumps(settings)), scratch))
            record = record_of(name, settings, {"result": result}, time.perf_counter() - begin)
            write(scratch.parent, record)
            return record
    except BaseException as error:  # a Ctrl-C never comes here: a worker's points are in threads
        return record_of(name, settings, {"error": error_of(error)}, time.perf_counter() - begin)


def record_of(name: str, settings: Settings, outcome: dict[str, Any], seconds: float) -> Record:
    """A record made in this process, on this machine."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        if package in sys.modules:
            versions[package] = str(sys.modules[package].__version__)
    return {
        "experiment": name,
        "settings": settings,
        **outcome,
        "versions": versions,
        "seconds": round(seconds, 3),
        "machine": processor(),
    }


def error_of(error: BaseException) -> dict[str, str]:
    """An error as a record has it."""
    return {
        "type": type(error).__name__,
        "message": str(error),
        "traceback": "".join(traceback.format_exception(error)),
    }


@contextmanager
def _scratch(folder: Path, settings: Settings) -> Iterator[Path]:
    """A point's own folder, which outlives a kill and an error.

    It lies in the experiment's folder, and whoever writes the record removes it, if that folder
    can be seen from here; else among this machine's temporary files. It is locked: a worker that
    a cluster took for dead may still be at work in it.
    """
    shared = folder.is_dir()
    if not shared:
        folder = Path(tempfile.gettempdir(), f"companion-{os.getuid()}", folder.name)
    scratch = scratch_of(folder, settings)
    scratch.mkdir(parents=True, exist_ok=True)
    with lock(scratch.with_name(scratch.name + ".lock"), wait=True):
        scratch.mkdir(exist_ok=True)
        yield scratch
        if not shared:
            clear(folder, settings)


def clear(folder: Path, settings: Settings) -> None:
    """Remove what a point needed until it was done."""
    scratch = scratch_of(folder, settings)
    shutil.rmtree(scratch, ignore_errors=True)
    path_of(scratch.parent, settings).unlink(missing_ok=True)
    scratch.with_name(scratch.name + ".lock").unlink(missing_ok=True)
    with suppress(OSError):
        scratch.parent.rmdir()  # if it is empty now


def _plain(result: Any) -> dict[str, Any]:
    """The result as JSON gives it back; arrays, and whatever has tolist, become lists."""
    if not isinstance(result, dict):
        raise TypeError(f"run returned a {type(result).__name__}; expected a dict")

    def plain(value: Any) -> Any:
        if hasattr(value, "tolist"):
            return value.tolist()
        raise TypeError(
            f"run returned a {type(value).__name__} in its dict; expected numbers, strings and "
            "lists"
        )

    return dict(json.loads(json.dumps(result, default=plain)))


@cache
def processor() -> str:
    """What this machine computes with, in its maker's words if they can be found."""
    try:
        if sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(
                command, capture_output=True, text=True, check=True
            ).stdout.strip()
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, subprocess.SubprocessError, StopIteration):
        return platform.machine()
