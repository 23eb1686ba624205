"""One file for each point, which is there whole or not at all.

A record is a plain dict: experiment, settings, result or error, versions, seconds, machine. A run
that is killed at any moment leaves no half file of one. What is read is checked: never is something
else taken for it. (nan and inf are written as Python's json writes and reads them.)
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from companion.experiments.experiment import Experiment, Settings, slug

Record = dict[str, Any]


def path_of(folder: Path, settings: Settings) -> Path:
    """Where the record of a point is.

    >>> print(path_of(Path("results/areas"), {"width": 1}))
    results/areas/width-1_ca52e809cdde.json
    """
    return folder / f"{slug(settings)}.json"


def scratch_of(folder: Path, settings: Settings) -> Path:
    """Where a point that is not done yet may leave its checkpoints."""
    return folder / "scratch" / slug(settings)


def write(folder: Path, record: Record) -> None:
    """Put a record in its place, in one step."""
    text = json.dumps(record, indent=1) + "\n"
    replace(path_of(folder, record["settings"]), text.encode())


def replace(path: Path, content: bytes) -> None:
    """Write a file beside its place, to the disk, and only then under its name."""
    partial = path.with_name(path.name + ".part")
    with open(partial, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read(folder: Path, name: str, settings: Settings) -> Record | None:
    """The record of a point of the experiment of that name, or None if there is none.

    Raises ValueError, with the path, for a file that is not whole or that belongs to another
    point or experiment.
    """
    path = path_of(folder, settings)
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        record = json.loads(text)
    except ValueError as error:
        raise ValueError(
            f"file {path} is not a whole record ({error}); without it the point is run again"
        ) from error
    _check(path, record, name, settings)
    return dict(record)


def read_all(folder: Path, experiment: Experiment) -> list[Record | None]:
    """The records of all points in their order, with None for each that has none."""
    return [read(folder, experiment.name, settings) for settings in experiment.points]


def _check(path: Path, record: Any, name: str, settings: Settings) -> None:
    fields = {"experiment", "settings", "versions", "seconds", "machine"}
    kinds = [fields | {"result"}, fields | {"error"}]
    if not isinstance(record, dict) or set(record) not in kinds:
        raise ValueError(f"file {path} is JSON but not a record; without it the point is run again")
    for field, expected in (("experiment", name), ("settings", settings)):
        found = record[field]
        if not same(found, expected):
            raise ValueError(
                f"file {path} has the {field} {found!r}; expected {expected!r}: was it copied or "
                "renamed? In another folder, or without it, the point is run"
            )


def same(found: Any, expected: Any) -> bool:
    """Equal as JSON, where 1, 1.0 and True are three values."""
    return json.dumps(found, sort_keys=True) == json.dumps(expected, sort_keys=True)
