"""Forecasting a real series: three trained loops against what one has without them.

A point of the grid is a model, a series, what the forecast is a correction of, and whether it sees
the weather. It is carried through three folds of walk-forward evaluation, see `walkforward`. The
nets of a fold, several seeds at several rates, are trained side by side on the same batches, and
the rate is chosen, as the baselines' penalties are, on the stretch before the one that is judged.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from companion.cells import gru, lstm, rnn
from companion.experiments import baselines
from companion.experiments import walkforward as walk
from companion.experiments.experiment import Experiment
from companion.experiments.walkforward import Array, Data, Fold
from companion.nn import Readout, Recurrent
from companion.nn.fused import fused
from companion.train import train

CELLS: dict[str, Any] = {"rnn": rnn, "lstm": lstm, "gru": gru}
WARM, LENGTH = 24, 48  # hours of a window before the first that is judged, and in all
TRAINED = slice(12, LENGTH, 3)  # the hours of a window whose forecasts are trained on
EVERY = 25  # updates from one validation to the next
SHOWN = slice(240, 576)  # of the last fold: 11 to 24 November, one step ahead
BANDS = ((1, 1), (2, 6), (7, 24))  # horizons, from and to


class Batch(NamedTuple):
    """xs (T, B, D), and for the last K steps of each window the corrections wanted, (K, B, 24)."""

    xs: Tensor
    wanted: Tensor


class Model(torch.nn.Module):
    """A layer of a cell and a read-out of 24 horizons × 3 quantiles, E models at once."""

    def __init__(self, settings: dict[str, Any], width: int) -> None:
        super().__init__()
        each = members(settings)
        rng = [np.random.default_rng(seed) for seed, _ in each]
        size: dict[str, Any] = {"models": len(each), "dtype": torch.float32, "rng": rng}
        outputs = walk.HORIZONS * len(walk.QUANTILES)
        self.layer: Recurrent | None = None
        if settings["model"] in CELLS:
            H = settings["hidden_size"]
            self.layer = Recurrent(CELLS[settings["model"]], width, H, **size)
            self.layer.loop = fused
        self.readout = Readout(settings.get("hidden_size", width), outputs, **size)
        for weight in self.readout.weights.values():
            torch.nn.init.zeros_(weight)

    def forward(self, xs: Tensor, steps: slice) -> Tensor:
        """(K, E, B, 24, 3): quantiles of the corrections, from the states at some of the steps."""
        if self.layer:
            states = self.layer(xs)[0][steps]
        else:  # linear, of the inputs themselves
            states = xs[steps, None].expand(-1, self.readout.models, -1, -1)
        return self.readout(states).unflatten(-1, (walk.HORIZONS, -1))


def members(settings: dict[str, Any]) -> list[tuple[int, float]]:
    """The models of a fold in their order: seed, rate."""
    return [(seed, rate) for seed in range(settings["seeds"]) for rate in settings["rates"]]


def loss_of(found: Tensor, wanted: Tensor) -> Tensor:
    """The pinball loss of each model, (E,)."""
    q = torch.tensor(walk.QUANTILES, dtype=found.dtype)
    error = wanted[:, None, :, :, None] - found
    return torch.maximum(q * error, (q - 1) * error).mean((0, 2, 3, 4))


def windows(first: int, end: int) -> Array:
    """The hours (LENGTH, N) of windows whose last LENGTH − WARM hours are the origins in turn."""
    starts = np.arange(first, end, LENGTH - WARM) - WARM
    return starts + np.arange(LENGTH)[:, None]


def nets(
    data: Data, form: str, fold: Fold, settings: dict[str, Any], scratch: Path
) -> tuple[Array, Array, dict[str, Any]]:
    """Train; the quantiles (S, N, 24, 3) at the origins for choosing and for judging."""
    by = walk.scale(data, form, fold.fit)
    hours = np.arange(walk.WEEK, fold.end - walk.HORIZONS)
    # Row t is hour t; what comes before the first week is never read.
    given = (
        walk.inputs(data, form, by, hours)
        if settings["model"] in CELLS
        else baselines.lags(data, by, hours, walk.WEEK)
    )
    x = np.zeros((fold.end, given.shape[1]), np.float32)
    x[hours] = given
    wanted = np.zeros((fold.end, walk.HORIZONS), np.float32)
    wanted[hours] = (walk.ahead(data.y, hours) - walk.anchor(data, form, hours)) / by.correction
    model = Model(settings, x.shape[1])

    def batch(step: int) -> Batch:
        rng = np.random.default_rng([1, step])
        last = fold.fit - walk.HORIZONS - LENGTH
        start = rng.integers(walk.WEEK, last, settings["batch_size"])
        rows = start + np.arange(LENGTH)[:, None]
        return Batch(torch.tensor(x[rows]), torch.tensor(wanted[rows[TRAINED]]))

    def validate(model: Model) -> Tensor:
        t = baselines.stretches(fold)[1]
        rows = windows(t[0], t[-1] + 1)
        late = slice(WARM, LENGTH)
        return loss_of(model(torch.tensor(x[rows]), late), torch.tensor(wanted[rows[late]]))

    history = train(
        model, lambda model, b: loss_of(model(b.xs, TRAINED), b.wanted), batch,
        steps=settings["updates"], rate=[rate for _, rate in members(settings)], clip=1.0,
        schedule=lambda step: 1 - 0.9 * step / settings["updates"],
        validate=validate, every=EVERY, checkpoint=scratch / f"{fold.fit}.pt", progress=False,
    )  # fmt: skip
    after, losses = history.best()
    by_rate = losses.reshape(settings["seeds"], -1)
    k = int(by_rate.mean(0).argmin())
    kept = slice(k, None, len(settings["rates"]))
    chosen = {"rate": settings["rates"][k], "updates": after[kept].tolist(),
              "losses": [_short(v) for v in by_rate.mean(0)]}  # fmt: skip
    found = []
    for t in baselines.stretches(fold)[1:]:
        rows = windows(t[0], t[-1] + 1)
        rows_there = np.minimum(rows, hours[-1])
        with torch.no_grad():
            out = model(torch.tensor(x[rows_there]), slice(WARM, LENGTH))[:, kept]
        quantiles = out.permute(1, 2, 0, 3, 4).flatten(1, 2)[:, : len(t)].double().numpy()
        found.append(walk.anchor(data, form, t)[:, :, None] + by.correction * quantiles)
    return np.sort(found[0], -1), np.sort(found[1], -1), chosen


def run(settings: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """One point: three folds, and what was missed in them, by day, horizon and seed."""
    torch.set_num_threads(1)
    data = walk.load(settings["series"], settings["weather"])
    parts = [_fold(data, fold, settings, scratch) for fold in walk.folds(data.times)]
    joined = {
        name: np.concatenate([part[name] for part in parts], axis=-1).tolist()
        for name in ("daily", "pinball", "bands", "covered")
    }
    kept = {
        name: [part[name] for part in parts] for name in ("curve", "chosen", "choosing", "unit")
    }
    return {**kept, **joined, "first": parts[-1]["first"]}


def _fold(data: Data, fold: Fold, settings: dict[str, Any], scratch: Path) -> dict[str, Any]:
    past, found, chosen = forecasts(data, fold, settings, scratch)
    _, before, t = baselines.stretches(fold)
    unit = walk.scale(data, settings["form"], fold.fit).error
    actual = walk.ahead(data.y, t)
    missed = walk.mase(actual, found[..., 1], unit)
    inside = (found[..., 0] <= actual) & (actual <= found[..., 2])
    on = data.clock[t + 1] // 24
    first = np.flatnonzero(np.diff(on, prepend=-1))

    def by_day(values: Array) -> Array:
        """Means over the hours of each day, over the axis of the origins: (S, days)."""
        return np.add.reduceat(values, first, -1) / np.diff([*first, len(on)])

    return {
        "daily": _rounded(by_day(missed.mean(-1))),
        "pinball": _rounded(by_day(walk.pinball(actual, found).mean(-1) / unit)),
        "bands": _rounded(
            np.stack([by_day(missed[..., a - 1 : b].mean((0, -1))) for a, b in BANDS])
        ),
        "covered": _rounded(by_day(inside.mean(-1).astype(float)).mean(0)),
        "curve": _rounded(missed.mean(1)).tolist(),
        "chosen": chosen,
        "choosing": _short(walk.mase(walk.ahead(data.y, before), past[..., 1], unit).mean()),
        "unit": _short(unit),
        "first": found[0, SHOWN, 0, 1].round(2).tolist(),
    }


def forecasts(
    data: Data, fold: Fold, settings: dict[str, Any], scratch: Path
) -> tuple[Array, Array, list[Any]]:
    """Quantiles (S, N, 24, 3) at the origins for choosing and for judging, and what was chosen.

    A baseline has its points alone where it was chosen: its quantiles are made from them there.
    """
    kind, form = settings["model"], settings["form"]
    if kind in CELLS or kind == "quantile":
        past, found, chosen = nets(data, form, fold, settings, scratch)
        return walk.finished(data, past), walk.finished(data, found), [chosen]
    _, before, t = baselines.stretches(fold)
    if kind in baselines.NAIVE:
        every = [baselines.Points(*(baselines.naive(data, kind, o) for o in (before, t)), {})]
    elif kind == "linear":
        every = [baselines.linear(data, form, fold)]
    else:
        seeds = range(settings["seeds"])
        every = [baselines.reservoir(data, form, fold, seed) for seed in seeds]
    past, found = [], []
    for points in every:
        missed = walk.ahead(data.y, before) - points.choosing
        past.append(np.repeat(points.choosing[..., None], len(walk.QUANTILES), -1))
        found.append(walk.spread(data, points.judging, before, t, missed))
    chosen = [points.chosen for points in every]
    return walk.finished(data, np.stack(past)), walk.finished(data, np.stack(found)), chosen


def _rounded(values: Array) -> Array:
    return np.asarray(values).round(3)


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _point(model: str, series: str, form: str, weather: bool = False) -> dict[str, Any]:
    point: dict[str, Any] = {"model": model, "series": series, "form": form, "weather": weather}
    if model in CELLS:
        point |= {"hidden_size": 24, "batch_size": 16, "updates": 300, "seeds": 3,
                  "rates": [0.01, 0.03, 0.1]}  # fmt: skip
    elif model == "quantile":  # convex, so one seed: it starts at zero
        point |= {"batch_size": 16, "updates": 300, "seeds": 1, "rates": [0.003, 0.01, 0.03]}
    elif model == "echo":
        point |= {"seeds": 3}
    return point


AIRPORTS = ("EWR", "JFK", "LGA")
# A point that takes seconds, for the test that trains it again.
SMALL = {**_point("gru", "JFK", "week"), "hidden_size": 6, "updates": 25, "rates": [0.03],
         "seeds": 2}  # fmt: skip
# In the order in which they are run: if time is up, what is missing is beside the point.
POINTS = (
    SMALL,
    *(_point(kind, place, "plain") for place in (*AIRPORTS, "walk") for kind in baselines.NAIVE),
    *(_point("linear", place, form, seen) for place in AIRPORTS for form in ("plain", "week")
      for seen in (False, True)),
    *(_point(cell, place, "week") for place in AIRPORTS for cell in CELLS),
    *(_point("quantile", place, "week") for place in AIRPORTS),
    *(_point("echo", place, "week") for place in AIRPORTS),
    *(_point(kind, "walk", "last") for kind in ("linear", "quantile", "echo", *CELLS)),
    *(_point(cell, place, "week", True) for place in AIRPORTS for cell in CELLS),
    *(_point("quantile", place, "week", True) for place in AIRPORTS),
    *(_point(kind, "EWR", "plain") for kind in ("quantile", "echo", *CELLS)),
    *(_point(kind, "walk", "plain") for kind in ("linear", "gru")),
)  # fmt: skip

FORECASTING = Experiment(
    name="forecasting",
    about="Flights that leave New York's airports, forecast a day ahead by the hour.",
    points=POINTS,
    run=run,
)
