"""What a trained loop has to beat: naive forecasts, a linear one, and a loop that is not trained.

Each is fitted before `fit`, chosen before `choose`, and gives points for any origins. Quantiles
come from residuals, see `walkforward.spread`: those on the stretch that it was chosen on, and of
the naive ones, which are fitted to nothing, those of all the past.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from companion.cells import rnn
from companion.experiments import walkforward as walk
from companion.experiments.walkforward import Array, Data, Fold, Scale
from companion.parameters import init
from companion.scan import scan, zero_state

NAIVE = ("persistence", "day", "week")
LAGS = (24, walk.WEEK)
UNITS = 100
RADII = (0.6, 0.95)


class Points(NamedTuple):
    """Forecasts (N, 24) at the origins for choosing and at those for judging; what was chosen."""

    choosing: Array
    judging: Array
    chosen: dict[str, Any]


def stretches(fold: Fold) -> tuple[Array, Array, Array]:
    """The origins for fitting, for choosing and for judging."""
    return (
        walk.origins(walk.START, fold.fit),
        walk.origins(fold.fit, fold.choose),
        walk.origins(fold.choose, fold.end),
    )


def naive(data: Data, kind: str, t: Array) -> Array:
    """persistence: as now. day, week: as at the same hour a day or a week before."""
    if kind == "persistence":
        return np.repeat(data.y[t, None], walk.HORIZONS, 1)
    return walk.as_before(data, {"day": 1, "week": 7}[kind], t)


def residuals(data: Data, kind: str, fold: Fold, points: Points) -> tuple[Array, Array]:
    """What forecasts missed before the judged stretch, (M, 24), and at which origins (M,).

    What was fitted is asked on the stretch for choosing; what was not, on all the past.
    """
    fitting, choosing, _ = stretches(fold)
    if kind not in NAIVE:
        return choosing, walk.ahead(data.y, choosing) - points.choosing
    past = walk.origins(fitting[0], fold.choose)
    return past, walk.ahead(data.y, past) - naive(data, kind, past)


def lags(data: Data, by: Scale, t: Array, length: int) -> Array:
    """What the linear forecast is made of: (N, F), of hours up to t.

    The last `length` values; the hour ahead's place in day and week, each by itself and together;
    the weather of the last day.
    """
    back = t[:, None] - np.arange(length)
    hour = data.clock[t + 1]
    parts = [
        (data.y[back] - by.mean) / by.std,
        walk.calendar(data, t),
        np.eye(walk.WEEK)[hour % walk.WEEK],
    ]
    seen = (data.others[t[:, None] - np.arange(24)] - by.others[0]) / by.others[1]
    return np.hstack([*parts, seen.reshape(len(t), -1)])


def echo(x: Array, size: int, radius: float, rng: np.random.Generator) -> Array:
    """The states of an untrained RNN that has read all of x, and x itself: (T, size + D).

    U is drawn normal and scaled to the spectral radius; W and b are uniform within ±½.
    Source: Jaeger 2001, GMD report 148.
    """
    p = init(rnn, x.shape[1], size, rng)
    U = rng.standard_normal((size, size))
    p = p._replace(
        W=rng.uniform(-0.5, 0.5, p.W.shape),
        U=U * (radius / np.abs(np.linalg.eigvals(U)).max()),
        b=rng.uniform(-0.5, 0.5, size),
    )
    states, _ = scan(rnn, x, zero_state(rnn, p), p)
    return np.hstack([states, x])


def linear(data: Data, form: str, fold: Fold) -> Points:
    """Autoregression with a calendar: ridge regression of all horizons on the last values."""
    by = walk.scale(data, form, fold.fit)
    tried = (({"lags": n}, tuple(lags(data, by, t, n) for t in stretches(fold))) for n in LAGS)
    return _best(data, form, fold, tried)


def reservoir(data: Data, form: str, fold: Fold, seed: int) -> Points:
    """Ridge regression on the states of an untrained loop, which reads what the nets read."""
    by = walk.scale(data, form, fold.fit)
    read = np.arange(walk.WEEK, fold.end - walk.HORIZONS)
    x = walk.inputs(data, form, by, read)

    def features() -> Iterator[tuple[dict[str, Any], tuple[Array, ...]]]:
        for radius in RADII:
            states = echo(x, UNITS, radius, np.random.default_rng(seed))
            yield {"radius": radius}, tuple(states[t - walk.WEEK] for t in stretches(fold))

    return _best(data, form, fold, features())


def _best(
    data: Data, form: str, fold: Fold, tried: Iterator[tuple[dict[str, Any], tuple[Array, ...]]]
) -> Points:
    """The features and the penalty with the smallest absolute error where one may choose."""
    fitting, choosing, judging = stretches(fold)
    wanted = walk.ahead(data.y, fitting) - walk.anchor(data, form, fitting)
    actual, base = walk.ahead(data.y, choosing), walk.anchor(data, form, choosing)
    lowest, best = np.inf, None
    for chosen, (known, there, last) in tried:
        ridge = walk.Ridge(known, wanted)
        for penalty in walk.PENALTIES:
            points = base + ridge(there, penalty)
            error = float(np.abs(actual - points).mean())
            if error < lowest:
                later = walk.anchor(data, form, judging) + ridge(last, penalty)
                lowest, best = error, Points(points, later, {**chosen, "penalty": penalty})
    assert best is not None
    return best
