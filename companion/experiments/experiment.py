"""An experiment is data: a name, a tuple of points, and the function that runs one of them.

It knows nothing of files, processes or clusters. A point is a plain dict of settings; all that is
asked of it is that JSON can hold it, since that is what its file on the disk is named after.
"""

from __future__ import annotations

import hashlib
import importlib
import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from companion.extras import missing

Settings = dict[str, Any]
Run = Callable[[Settings, Path], dict[str, Any]]


@dataclass(frozen=True)
class Experiment:
    """A named grid and what is done at each of its points.

    name: also that of its folder, so letters, digits, - and _. about: one sentence.
    points: the settings of each, which JSON must hold unchanged; no two are equal.
    run(settings, scratch) -> result: one point, to numbers, strings and lists (arrays become
    lists). It is a function of a module, so that other processes find it, and depends on nothing
    but the settings. scratch is a folder of this point's own for checkpoints: it outlives a kill
    and is removed when the point is done.

    Raises TypeError or ValueError that name the field, of points the index of the point too.

    >>> def run(settings, scratch):
    ...     return {"area": settings["width"] * settings["height"]}
    >>> Experiment("areas", "Rectangles.", grid(width=[1, 2], height=[3]), run).points
    ({'width': 1, 'height': 3}, {'width': 2, 'height': 3})
    """

    name: str
    about: str
    points: tuple[Settings, ...]
    run: Run

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", self.name):
            raise ValueError(
                f"name is {self.name!r}; expected letters, digits, - and _, since it is that of "
                "a folder too"
            )
        if not isinstance(self.points, tuple) or not self.points:
            raise TypeError(
                f"points of {self.name} is {self.points!r}; expected a tuple of dicts, such as "
                "grid makes"
            )
        if not callable(self.run):
            raise TypeError(f"run of {self.name} is {self.run!r}; expected a function")
        seen: dict[str, int] = {}
        for index, point in enumerate(self.points):
            try:
                text = canonical(point)
            except (TypeError, ValueError) as error:
                raise type(error)(f"points[{index}] of {self.name}: {error}") from error
            if text in seen:
                raise ValueError(
                    f"points[{index}] of {self.name} is {point}, and so is points[{seen[text]}]; "
                    "expected each once"
                )
            seen[text] = index


def grid(**axes: Iterable[Any]) -> tuple[Settings, ...]:
    """Every combination of the values, as dicts; the last axis changes fastest.

    NumPy's numbers become Python's, as JSON has them: an axis may be np.logspace(-4, -1, 7).
    Raises TypeError for an axis that is one value or a string, ValueError for an empty one.

    >>> for point in grid(cell=["gru", "lstm"], seed=range(2)):
    ...     print(point)
    {'cell': 'gru', 'seed': 0}
    {'cell': 'gru', 'seed': 1}
    {'cell': 'lstm', 'seed': 0}
    {'cell': 'lstm', 'seed': 1}
    """
    values: list[list[Any]] = []
    for name, axis in axes.items():
        single = isinstance(axis, str | Mapping) or not isinstance(axis, Iterable)
        if single or getattr(axis, "ndim", 1) == 0:  # an array of no dimension has __iter__ too
            raise TypeError(f"axis {name} is {axis!r}; expected a list of values")
        values.append([v.item() if isinstance(v, np.generic) else v for v in axis])
        if not values[-1]:
            raise ValueError(f"axis {name} is empty; expected at least one value")
    return tuple(dict(zip(axes, point, strict=True)) for point in itertools.product(*values))


def canonical(settings: Settings) -> str:
    """The settings as one line of JSON that does not depend on their order.

    Raises TypeError or ValueError for what JSON does not give back as it was: an array, a tuple,
    a key that is a number, nan.

    >>> canonical({"size": 8, "cell": "gru"})
    '{"cell":"gru","size":8}'
    """
    if not isinstance(settings, dict) or not settings:
        raise TypeError(f"settings are {settings!r}; expected a dict with at least one entry")
    for name, value in settings.items():
        if not isinstance(name, str):
            raise TypeError(f"settings have the key {name!r}; expected strings")
        if not name.isidentifier():
            raise ValueError(f"settings have the key {name!r}; expected a name such as size")
        try:
            unchanged = json.loads(json.dumps(value, allow_nan=False)) == value
        except (TypeError, ValueError):
            unchanged = False
        if unchanged is not True:
            raise TypeError(
                f"settings[{name!r}] is {value!r}; expected what JSON gives back unchanged: a "
                "finite number of Python's, a string, True, False, None, or a list or dict of such"
            )
    return json.dumps(settings, sort_keys=True, separators=(",", ":"))


def slug(settings: Settings) -> str:
    """A file name for a point: readable, and unique by a part of the SHA-256 of its settings.

    >>> slug({"size": 8, "cell": "gru"})
    'cell-gru_size-8_90214be5919c'
    """
    text = canonical(settings)
    words = "_".join(f"{name}-{settings[name]}" for name in sorted(settings))
    readable = re.sub(r"[^A-Za-z0-9_.+-]+", "-", words)[:100]
    return f"{readable}_{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def find(name: str, named: Mapping[str, str]) -> Experiment:
    """The experiment of that name, or at that place, module:NAME, for those of one's own.

    Only now is its module imported, and with it what the experiment needs.
    """
    place = named.get(name, name)
    module, colon, attribute = place.partition(":")
    if not colon:
        raise ValueError(
            f"experiment {name!r} is unknown; expected one of {', '.join(named)}, or module:NAME"
        )
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        why = missing("it", error)
        raise ValueError(f"experiment {name!r} cannot be loaded: {why}") from error
    if not isinstance(found, Experiment):
        raise ValueError(
            f"experiment {name!r}: {place} is {found!r}; expected an Experiment of that name"
        )
    return found
