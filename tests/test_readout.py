"""The read-out is ridge regression, it never sees what is held out, and lags are lags."""

import numpy as np
import pytest

from companion.readout import forecast, lagged, rmse, window

RNG = np.random.default_rng(0)
SERIES = RNG.standard_normal((60, 2))
STEPS = np.arange(59)
SPLIT = STEPS < 30, (STEPS >= 30) & (STEPS < 45), STEPS >= 45


def test_lags_never_look_ahead():
    for lag in (1, 2, 7):
        values = lagged(SERIES, lag)
        assert values.shape == (59, 2)
        assert np.array_equal(values[lag - 1 :], SERIES[: 60 - lag])
        # target[t] is series[t + 1]: whatever is changed from there on changes no feature.
        changed = SERIES.copy()
        changed[31:] = 1e3
        late = window(changed, lag)[: 31 - lag + 1][lag:]
        assert np.array_equal(late, window(SERIES, lag)[: 31 - lag + 1][lag:])


def test_one_penalty_is_ridge_regression():
    """Against the same problem stated as plain least squares with extra rows."""
    features, target = window(SERIES, 3), SERIES[1:]
    both = SPLIT[0] | SPLIT[1]
    known = np.column_stack([np.ones(59), features])
    extra = np.sqrt(0.7) * np.eye(known.shape[1])
    rows = np.concatenate([known[both], extra])
    goals = np.concatenate([target[both], np.zeros((known.shape[1], 2))])
    weights = np.linalg.lstsq(rows, goals, rcond=None)[0]
    expected = rmse((known @ weights)[SPLIT[2]], target[SPLIT[2]])
    assert forecast(features, target, SPLIT, [0.7]).held_out == pytest.approx(expected, abs=1e-12)
    assert forecast(features, target, SPLIT, [7.0]).held_out != pytest.approx(expected, abs=1e-6)


def test_the_penalty_is_chosen_without_the_held_out_steps():
    features, target = window(SERIES, 3), SERIES[1:]
    before = forecast(features, target, SPLIT)
    changed = target.copy()
    changed[SPLIT[2]] += 100
    after = forecast(features, changed, SPLIT)
    assert before[::2] == after[::2]
    assert before.held_out != after.held_out
