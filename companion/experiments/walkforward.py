"""Forecasts that could have been made at the time: what is known when, baselines, their errors.

A forecast is made at the end of hour t, its *origin*, for the hours t+1 … t+24. Everything it is
made from, and every number that this is scaled by or chosen with, is of hour t or earlier. A fold
has three stretches of time one after the other: to fit on, to choose on, to be judged on; in the
next fold all three end later. No model sees the last stretch before it is judged there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from companion.data import cancellations, departures, weather

Array = np.ndarray[Any, Any]

HORIZONS = 24
WEEK = 168
START = 2 * WEEK  # the first origin: all lags of a week exist, for the hours ahead too
QUANTILES = np.array([0.1, 0.5, 0.9])
# Ends of months at midnight in New York, in UTC; the last before the weather's record ends.
MONTHS = ("2013-05-01T04", "2013-07-01T04", "2013-09-01T04", "2013-11-01T04", "2013-12-31T05")
PENALTIES = tuple(10.0**k for k in range(-1, 6))


class Data(NamedTuple):
    """One series and what is known beside it, by hour.

    times (T,): the hours' beginnings, UTC. clock (T,): hours since 1970 by New York's clocks, which
    a timetable goes by. y (T,): the series. others (T, K): weather as last observed. whole: y
    counts something, so forecasts are rounded.
    """

    times: Array
    clock: Array
    y: Array
    others: Array
    whole: bool


class Fold(NamedTuple):
    """Where the three stretches end, as indices: fitted before `fit`, chosen before `choose`."""

    fit: int
    choose: int
    end: int


def load(series: str, with_weather: bool = False) -> Data:
    """An airport's flights by the hour of their schedule, without those that were cancelled.

    series: EWR, JFK, LGA, or "walk" for a simulated random walk over the same hours.

    >>> data = load("JFK", with_weather=True)
    >>> data.y[:5], data.others.shape
    (array([ 3., 16., 16., 23., 18.]), (8755, 4))
    """
    times, scheduled, names = departures()
    summer = (times >= np.datetime64("2013-03-10T07")) & (times < np.datetime64("2013-11-03T06"))
    clock = times.astype(int) - 5 + summer
    nothing = np.zeros((len(times), 0))
    if series == "walk":
        steps = np.random.default_rng(2013).standard_normal(len(times))
        return Data(times, clock, steps.cumsum(), nothing, whole=False)
    if series not in names:
        raise ValueError(f"series is {series!r}; expected one of {', '.join(names)}, walk")
    k = names.index(series)
    left = scheduled[:, k] - cancellations().values[:, k]
    seen = carried(weather().values[:, 4 * k : 4 * k + 4]) if with_weather else nothing
    return Data(times, clock, left, seen, whole=True)


def carried(values: Array) -> Array:
    """Each value that is missing becomes the last one before it: the past is all that is used.

    >>> carried(np.array([[1.0], [np.nan], [3.0], [np.nan]])).ravel()
    array([1., 1., 3., 3.])
    """
    rows = np.arange(len(values))[:, None]
    last = np.maximum.accumulate(np.where(np.isnan(values), 0, rows))
    found: Array = np.take_along_axis(values, last, 0)
    return found


def folds(times: Array) -> list[Fold]:
    """Three: each is fitted on all that came before, chosen on two months, judged on two more."""
    ends = [int(np.searchsorted(times, np.datetime64(month))) for month in MONTHS]
    return [Fold(*ends[k : k + 3]) for k in range(3)]


def origins(first: int, end: int) -> Array:
    """The origins whose forecast hours all lie in the stretch: from `first` to before `end`."""
    return np.arange(first, end - HORIZONS)


def ahead(y: Array, t: Array) -> Array:
    """What came in the hours t+1 … t+24 of each origin: (N, 24)."""
    return y[t[:, None] + np.arange(1, HORIZONS + 1)]


def as_before(data: Data, days: int, t: Array) -> Array:
    """The value so many days before each hour ahead, at the same hour of the clock: (N, 24).

    Twice a year the clocks change, and the same hour is then 23 or 25 hours away, not 24.
    """
    hour = t[:, None] + np.arange(1, HORIZONS + 1)
    back = hour - 24 * days
    # An hour that the clocks leave out, or have twice, is never more than t itself.
    back = np.minimum(back + (data.clock[hour] - 24 * days - data.clock[back]), t[:, None])
    found: Array = data.y[back]
    return found


def anchor(data: Data, form: str, t: Array) -> Array:
    """What a forecast is a correction of: (N, 24).

    plain: nothing, 0. week: the same hour a week before. last: the value at the origin.
    """
    if form == "week":
        return as_before(data, 7, t)
    return np.repeat(data.y[t, None] * (form == "last"), HORIZONS, 1)


def calendar(data: Data, t: Array) -> Array:
    """Hour of the day and day of the week of the first hour ahead, (N, 31), of zeros and ones."""
    clock = data.clock[t + 1]
    return np.hstack([np.eye(24)[clock % 24], np.eye(7)[clock // 24 % 7]])


class Scale(NamedTuple):
    """Fitted on a past: y's mean and deviation, that of the corrections, that of the weather."""

    mean: float
    std: float
    correction: float
    others: tuple[Array, Array]
    error: float  # of the naive forecast, within that past: the unit of MASE


def scale(data: Data, form: str, until: int) -> Scale:
    """All that inputs and errors are scaled by, from hours before `until` alone."""
    past, t = data.y[:until], origins(START, until)
    correction = ahead(data.y, t) - anchor(data, form, t)
    seen = data.others[:until]
    # Of a timetable the naive forecast is last week; of a walk, the last value.
    weekly = (ahead(data.y, t) - as_before(data, 7, t))[:, 0]
    naive = weekly if data.whole else np.diff(past)
    return Scale(
        float(past.mean()), float(past.std()), float(correction.std()),
        (seen.mean(0), seen.std(0) + 1e-9), float(np.abs(naive).mean()),
    )  # fmt: skip


def inputs(data: Data, form: str, by: Scale, t: Array) -> Array:
    """What a loop is given at each of the hours t, (N, D): nothing of it is later than t.

    The value, the calendar, the weather, and in the form "week" what it corrects: 24 values of a
    week before. In the form "last" the value is the last change.
    """
    change = (data.y[t] - data.y[t - 1]) / by.error
    value = change if form == "last" else (data.y[t] - by.mean) / by.std
    parts = [value[:, None], calendar(data, t)]
    if form == "week":
        parts.append((anchor(data, form, t) - by.mean) / by.std)
    if data.others.shape[1]:
        parts.append((data.others[t] - by.others[0]) / by.others[1])
    return np.hstack(parts)


def mase(actual: Array, forecast: Array, unit: float) -> Array:
    """Absolute errors as multiples of what the naive forecast missed by in the past.

    Its mean is the mean absolute scaled error. Source: Hyndman & Koehler 2006,
    doi:10.1016/j.ijforecast.2006.03.001.

    >>> mase(np.array([3.0, 5.0]), np.array([4.0, 5.0]), 2.0)
    array([0.5, 0. ])
    """
    missed: Array = np.abs(actual - forecast) / unit
    return missed


def pinball(actual: Array, quantiles: Array) -> Array:
    """The mean over the quantiles of q (a − f)⁺ + (1 − q) (f − a)⁺: actual (…), quantiles (…, 3).

    >>> pinball(np.array([3.0]), np.array([[2.0, 3.0, 5.0]])).round(4)
    array([0.1])
    """
    error = actual[..., None] - quantiles
    lost: Array = np.maximum(QUANTILES * error, (QUANTILES - 1) * error).mean(-1)
    return lost


def finished(data: Data, quantiles: Array) -> Array:
    """Of something counted, forecasts are whole numbers, none below 0."""
    return np.maximum(np.rint(quantiles), 0) if data.whole else quantiles


def spread(data: Data, points: Array, t: Array, past: Array, residuals: Array) -> Array:
    """The points (N, 24), and below and above them quantiles made from residuals: (N, 24, 3).

    residuals (M, 24) are those of forecasts made before, at the origins `past`. For each horizon
    and each hour of the day ahead, the point is moved by the quantiles of the residuals there.
    """
    hours = [(data.clock[when[:, None] + np.arange(1, HORIZONS + 1)] % 24) for when in (past, t)]
    moved = np.empty((*points.shape, len(QUANTILES)))
    for h in range(HORIZONS):
        for hour in range(24):
            there = hours[1][:, h] == hour
            known = residuals[hours[0][:, h] == hour, h]
            moved[there, h] = points[there, h, None] + np.quantile(known, QUANTILES)
    moved[..., 1] = points
    return moved


class Ridge:
    """Least squares with a penalty, on one stretch, for any number of penalties at once.

    features (N, F), targets (N, O). The intercept is not penalised.
    """

    def __init__(self, features: Array, targets: Array) -> None:
        self.middle = features.mean(0), targets.mean(0)
        x, y = features - self.middle[0], targets - self.middle[1]
        values, self.vectors = np.linalg.eigh(x.T @ x)
        self.values, self.products = np.maximum(values, 0), self.vectors.T @ (x.T @ y)

    def __call__(self, features: Array, penalty: float) -> Array:
        weights = self.vectors @ (self.products / (self.values + penalty)[:, None])
        found: Array = (features - self.middle[0]) @ weights + self.middle[1]
        return found


def bootstrap(daily: Array, rng: np.random.Generator, draws: int = 2000, block: int = 7) -> Array:
    """Means of `daily` (S, days) over random seeds and random weeks of days: (draws,).

    Blocks of days, in a circle, are drawn with replacement, and so are the seeds, independently:
    so errors that last for days stay together. For a difference, give the difference of two.
    """
    seeds, days = daily.shape
    first = rng.integers(days, size=(draws, -(-days // block), 1))
    chosen = ((first + np.arange(block)) % days).reshape(draws, -1)[:, :days]
    by_seed = daily[:, chosen].mean(-1).T
    who = rng.integers(seeds, size=(draws, seeds))
    means: Array = np.take_along_axis(by_seed, who, 1).mean(1)
    return means


def interval(means: Array) -> Sequence[float]:
    """The middle 95 %."""
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
