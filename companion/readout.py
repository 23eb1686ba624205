"""A linear read-out of a loop's states, and the lagged values that simple forecasts are made of.

Everything here is one step ahead: features[t] is what is known when target[t] = series[t + 1] is
to be forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from companion.parameters import Array


def lagged(series: NDArray[Any], lag: int) -> Array:
    """The value lag steps before each of series[1:]; the mean where the series had not begun.

    series (T, D); returns (T − 1, D).

    >>> lagged(np.array([[1.0], [2.0], [3.0], [6.0]]), 2).ravel()
    array([3., 1., 2.])
    """
    start = np.repeat(series.mean(axis=0, keepdims=True), lag - 1, axis=0)
    return np.concatenate([start, series[: len(series) - lag]])


def window(series: NDArray[Any], length: int) -> Array:
    """The last length values before each of series[1:], the latest first: (T − 1, length·D).

    >>> window(np.array([[1.0], [2.0], [3.0], [6.0]]), 2)
    array([[1., 3.],
           [2., 1.],
           [3., 2.]])
    """
    return np.column_stack([lagged(series, lag) for lag in range(1, length + 1)])


def rmse(predicted: NDArray[Any], target: NDArray[Any]) -> float:
    """The root of the mean squared error.

    >>> rmse(np.array([1.0, 2.0]), np.array([1.0, 4.0])).__round__(3)
    1.414
    """
    return float(np.sqrt(np.mean((predicted - target) ** 2)))


PENALTIES = tuple(10.0**power for power in range(-4, 5))


class Forecast(NamedTuple):
    """How well a read-out did: on the steps for choosing, on those held out, at which penalty."""

    choosing: float
    held_out: float
    penalty: float


def forecast(
    features: NDArray[Any],
    target: NDArray[Any],
    split: Sequence[NDArray[np.bool_]],
    penalties: Sequence[float] = PENALTIES,
) -> Forecast:
    """Ridge regression from features (T, F) to target (T, N): the errors of its forecasts.

    The weights w, an intercept among them, make ‖target − features·w‖² + penalty·‖w‖² smallest.
    split: three masks (T,): the steps to fit on, those to choose the penalty on, those held out.
    After the choice the weights are fitted again on the first two. The errors are :func:`rmse`.

    >>> x = np.sin(np.arange(40.0))[:, None]
    >>> t = np.arange(39)
    >>> found = forecast(window(x, 2), x[1:], (t < 20, (t >= 20) & (t < 30), t >= 30))
    >>> found.penalty, round(found.held_out, 4)
    (0.0001, 0.0297)
    """
    fitted, choosing, held_out = split
    tried = {}
    for penalty in penalties:
        predicted = _ridge(features, target, fitted, penalty)
        tried[penalty] = rmse(predicted[choosing], target[choosing])
    best = min(tried, key=lambda penalty: tried[penalty])
    predicted = _ridge(features, target, fitted | choosing, best)
    return Forecast(tried[best], rmse(predicted[held_out], target[held_out]), best)


def _ridge(
    features: NDArray[Any], target: NDArray[Any], on: NDArray[np.bool_], penalty: float
) -> Array:
    """The predictions for all steps of the weights fitted on some."""
    known = np.column_stack([np.ones(len(features)), features])
    gram = known[on].T @ known[on] + penalty * np.eye(known.shape[1])
    return known @ np.linalg.solve(gram, known[on].T @ target[on])
