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
    """xs (T, E, B, D), and for K steps of each window the corrections wanted, (K, E, B, 24)."""

    xs: Tensor
    wanted: Tensor


class Model(torch.nn.Module):
    """A layer of a cell and a read-out of 24 horizons × 3 quantiles, E models at once.

    Without a cell it is the read-out alone: linear in its inputs, and trained as the loops are.
    """

    def __init__(self, settings: dict[str, Any], width: int, folds: int) -> None:
        super().__init__()
        rng = [np.random.default_rng(seed) for seed, _ in members(settings, folds)]
        size: dict[str, Any] = {"models": len(rng), "dtype": torch.float32, "rng": rng}
        self.layer: Recurrent | None = None
        if settings["model"] in CELLS:
            H = settings["hidden_size"]
            self.layer = Recurrent(CELLS[settings["model"]], width, H, **size)
            self.layer.loop = fused
        outputs = walk.HORIZONS * len(walk.QUANTILES)
        self.readout = Readout(settings.get("hidden_size", width), outputs, **size)
        for weight in self.readout.weights.values():
            torch.nn.init.zeros_(weight)  # the first forecast is what there is to correct

    def forward(self, xs: Tensor, steps: slice) -> Tensor:
        """(K, E, B, 24, 3): quantiles of the corrections, from the states at some of the steps."""
        states = self.layer(xs)[0][steps] if self.layer else xs  # without a loop: those steps only
        found: Tensor = self.readout(states).unflatten(-1, (walk.HORIZONS, -1))
        return found


def members(settings: dict[str, Any], folds: int) -> list[tuple[int, float]]:
    """The models in their order, for each fold anew: seed, rate."""
    each = [(seed, rate) for seed in range(settings["seeds"]) for rate in settings["rates"]]
    return each * folds


def loss_of(found: Tensor, wanted: Tensor) -> Tensor:
    """The pinball loss of each model, (E,): found (K, E, B, 24, 3), wanted (K, E, B, 24)."""
    q = torch.tensor(walk.QUANTILES, dtype=found.dtype)
    error = wanted[..., None] - found
    return torch.maximum(q * error, (q - 1) * error).mean((0, 2, 3, 4))


def windows(t: Array) -> Array:
    """Hours (LENGTH, N): windows whose last LENGTH − WARM hours are the origins t, in turn.

    Where there are not enough for the last window, it is filled with the last origin.
    """
    starts = np.arange(t[0], t[-1] + 1, LENGTH - WARM) - WARM
    rows: Array = np.minimum(starts + np.arange(LENGTH)[:, None], t[-1])
    return rows


class Prepared(NamedTuple):
    """A fold as arrays: row t of x and of wanted is hour t, and what is never read is 0."""

    by: walk.Scale
    x: Array
    wanted: Array

    @classmethod
    def of(cls, data: Data, form: str, fold: Fold, loop: bool) -> Prepared:
        by = walk.scale(data, form, fold.fit)
        t = np.arange(walk.WEEK, fold.end - walk.HORIZONS)
        given = walk.inputs(data, form, by, t) if loop else baselines.lags(data, by, t, walk.WEEK)
        wanted = (walk.ahead(data.y, t) - walk.anchor(data, form, t)) / by.correction
        made = [np.zeros((fold.end, a.shape[1]), np.float32) for a in (given, wanted)]
        for array, values in zip(made, (given, wanted), strict=True):
            array[t] = values
        return cls(by, *made)


def nets(
    data: Data, form: str, folds: list[Fold], settings: dict[str, Any], scratch: Path
) -> list[tuple[Array, Array, dict[str, Any]]]:
    """Train all folds side by side; of each the quantiles (S, N, 24, 3) at two stretches' origins.

    The first stretch is that for choosing, the second that for judging. What a fold's models are
    given is of that fold alone.
    """
    loop = settings["model"] in CELLS
    prepared = [Prepared.of(data, form, fold, loop) for fold in folds]
    each = settings["seeds"] * len(settings["rates"])
    model = Model(settings, prepared[0].x.shape[1], len(folds))

    def put(hours: list[Array], steps: slice) -> Batch:
        """The windows of each fold, as many for all, for the models of that fold."""
        most = max(rows.shape[1] for rows in hours)
        xs, wanted = [], []
        for fold, rows in zip(prepared, hours, strict=True):
            rows = np.minimum(np.pad(rows, ((0, 0), (0, most - rows.shape[1])), "edge"),
                              len(fold.x) - walk.HORIZONS - 1)  # fmt: skip
            read = rows if loop else rows[steps]
            xs.append(torch.tensor(fold.x[read])[:, None].expand(-1, each, -1, -1))
            late = torch.tensor(fold.wanted[rows[steps]])
            wanted.append(late[:, None].expand(-1, each, -1, -1))
        return Batch(torch.cat(xs, 1), torch.cat(wanted, 1))

    def batch(step: int) -> Batch:
        rng = np.random.default_rng([1, step])
        size, hours = settings["batch_size"], np.arange(LENGTH)[:, None]
        last = [fold.fit - walk.HORIZONS - LENGTH for fold in folds]
        return put([rng.integers(walk.WEEK, end, size) + hours for end in last], TRAINED)

    late = slice(WARM, LENGTH)
    stretches = [baselines.stretches(fold)[1:] for fold in folds]
    judged = put([windows(t) for t, _ in stretches], late)
    history = train(
        model, lambda model, b: loss_of(model(b.xs, TRAINED), b.wanted), batch,
        steps=settings["updates"], rate=[rate for _, rate in members(settings, len(folds))],
        schedule=lambda step: 1 - 0.9 * step / settings["updates"], clip=1.0,
        validate=lambda model: loss_of(model(judged.xs, late), judged.wanted), every=EVERY,
        checkpoint=scratch / "forecasting.pt", progress=False,
    )  # fmt: skip
    after, losses = (values.reshape(len(folds), settings["seeds"], -1) for values in history.best())
    with torch.no_grad():
        outputs = [model(put([windows(pair[k]) for pair in stretches], late).xs, late)
                   for k in (0, 1)]  # fmt: skip
    found = []
    for k, (pair, fold) in enumerate(zip(stretches, prepared, strict=True)):
        best = int(losses[k].mean(0).argmin())
        kept = slice(each * k + best, each * (k + 1), len(settings["rates"]))
        quantiles = []
        for t, out in zip(pair, outputs, strict=True):
            of = out[:, kept].permute(1, 2, 0, 3, 4).flatten(1, 2)[:, : len(t)].double().numpy()
            corrected = walk.anchor(data, form, t)[:, :, None] + fold.by.correction * of
            quantiles.append(np.sort(corrected, -1))
        chosen = {"rate": settings["rates"][best], "updates": after[k, :, best].tolist(),
                  "losses": [_short(v) for v in losses[k].mean(0)]}  # fmt: skip
        found.append((quantiles[0], quantiles[1], chosen))
    return found


def run(settings: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """One point: three folds, and what was missed in them, by day, horizon and seed."""
    torch.set_num_threads(1)
    data = walk.load(settings["series"], settings["weather"])
    folds = walk.folds(data.times)
    found = forecasts(data, folds, settings, scratch)
    pairs = zip(folds, found, strict=True)
    parts = [_judged(data, fold, settings["form"], *one) for fold, one in pairs]
    joined = {
        name: np.concatenate([part[name] for part in parts], axis=-1).tolist()
        for name in ("daily", "pinball", "bands", "pinball bands", "covered")
    }
    kept = {n: [part[n] for part in parts] for n in ("curve", "chosen", "choosing", "unit")}
    return {**kept, **joined, "first": parts[-1]["first"]}


def _judged(
    data: Data, fold: Fold, form: str, past: Array, found: Array, chosen: list[Any]
) -> dict[str, Any]:
    """What a fold's forecasts missed."""
    _, before, t = baselines.stretches(fold)
    unit = walk.scale(data, form, fold.fit).error
    actual = walk.ahead(data.y, t)
    missed, lost = walk.mase(actual, found[..., 1], unit), walk.pinball(actual, found) / unit
    inside = (found[..., 0] <= actual) & (actual <= found[..., 2])
    on = data.clock[t + 1] // 24
    first = np.flatnonzero(np.diff(on, prepend=-1))

    def by_day(values: Array) -> Array:
        """Means over the hours of each day, over the axis of the origins: (S, days)."""
        return np.add.reduceat(values, first, -1) / np.diff([*first, len(on)])

    def by_band(values: Array) -> Array:
        """Means over the hours of each day and some horizons: (3, S, days)."""
        return np.stack([by_day(values[..., a - 1 : b].mean(-1)) for a, b in BANDS])

    return {
        "daily": _rounded(by_day(missed.mean(-1))),
        "pinball": _rounded(by_day(lost.mean(-1))),
        "bands": _rounded(by_band(missed)),
        "pinball bands": _rounded(by_band(lost)),
        "covered": _rounded(by_day(inside.mean(-1).astype(float)).mean(0)),
        "curve": _rounded(missed.mean(1)).tolist(),
        "chosen": chosen,
        "choosing": _short(walk.mase(walk.ahead(data.y, before), past[..., 1], unit).mean()),
        "unit": _short(unit),
        "first": found[0, SHOWN, 0, 1].round(2).tolist(),
    }


def forecasts(
    data: Data, folds: list[Fold], settings: dict[str, Any], scratch: Path
) -> list[tuple[Array, Array, list[Any]]]:
    """Of each fold, quantiles (S, N, 24, 3) at two stretches' origins, and what was chosen.

    The first is the stretch for choosing; there a baseline has its points alone.
    """
    kind, form = settings["model"], settings["form"]
    if kind in CELLS or kind == "quantile":
        trained = nets(data, form, folds, settings, scratch)
        return [(walk.finished(data, a), walk.finished(data, b), [c]) for a, b, c in trained]
    made = []
    for fold in folds:
        _, before, t = baselines.stretches(fold)
        if kind in baselines.NAIVE:
            both = (baselines.naive(data, kind, when) for when in (before, t))
            every = [baselines.Points(next(both), next(both), {})]
        elif kind == "linear":
            every = [baselines.linear(data, form, fold)]
        else:
            seeds = range(settings["seeds"])
            every = [baselines.reservoir(data, form, fold, seed) for seed in seeds]
        past = np.stack([points.choosing for points in every])
        found = np.stack([
            walk.spread(data, points.judging, t, *baselines.residuals(data, kind, fold, points))
            for points in every
        ])  # fmt: skip
        points_alone = np.repeat(past[..., None], len(walk.QUANTILES), -1)
        chosen = [points.chosen for points in every]
        made.append((walk.finished(data, points_alone), walk.finished(data, found), chosen))
    return made


def _rounded(values: Array) -> Array:
    return np.asarray(values).round(3)


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _point(model: str, series: str, form: str, weather: bool = False) -> dict[str, Any]:
    point: dict[str, Any] = {"model": model, "series": series, "form": form, "weather": weather}
    if model in CELLS:
        point |= {"hidden_size": 24, "batch_size": 32, "updates": 200, "seeds": 3,
                  "rates": [0.01, 0.03, 0.1]}  # fmt: skip
    elif model == "quantile":  # convex, so one seed: it starts at zero
        point |= {"batch_size": 32, "updates": 600, "seeds": 1, "rates": [0.003, 0.01, 0.03]}
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
    *(_point("quantile", place, "week") for place in AIRPORTS),
    *(_point(cell, place, "week") for place in AIRPORTS for cell in CELLS),
    *(_point("echo", place, "week") for place in AIRPORTS),
    *(_point(kind, "walk", "last") for kind in ("linear", "quantile", "echo", *CELLS)),
    *(_point(kind, "EWR", "plain") for kind in ("quantile", "echo", "gru")),
    *(_point("quantile", place, "week", True) for place in AIRPORTS),
    *(_point(cell, place, "week", True) for place in AIRPORTS for cell in CELLS),
)  # fmt: skip

FORECASTING = Experiment(
    name="forecasting",
    about="Flights that leave New York's airports, forecast a day ahead by the hour.",
    points=POINTS,
    run=run,
)
