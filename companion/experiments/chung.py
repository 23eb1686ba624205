"""Chung et al. (2014) again: their three units on their four collections of music, with seeds.

The protocol, and where it departs from the paper, is the page *The protocol of the rerun* of the
book. A point is one unit of one size on one collection, in two stages: one model at each of ten
learning rates, of which validation chooses one; then models from fresh seeds at that rate. The
models of a stage are trained side by side.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from companion.cells import gru, rnn
from companion.data.downloads import Music, music
from companion.experiments.experiment import Experiment
from companion.experiments.rolls import KEYS, Rolls
from companion.experiments.stacks import Stack, search
from companion.variants import peephole_lstm

CELLS: dict[str, Any] = {"tanh": rnn, "gru": gru, "lstm": peephole_lstm}
PRIME, NEW = 32, 64  # frames of a test piece that a continuation starts from, and adds


class Model(Stack):
    """A layer and a read-out of 88 log-odds: nats of each frame of each piece."""

    def __init__(self, unit: str, size: int, seeds: list[int], batch: int, log_odds: Any) -> None:
        super().__init__(CELLS[unit], KEYS, size, KEYS, seeds, batch)
        with torch.no_grad():  # so that a model knows from the start how often each key is down
            self.readout.weights["b"][:] = torch.tensor(log_odds)

    def cost(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What each frame costs (E, T, B), summed over its keys."""
        nats: Tensor = (torch.nn.functional.softplus(outputs) - outputs * targets).sum(-1)
        return nats


def run(settings: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """One point: ten rates, the best of them from fresh seeds, its test, and what it plays."""
    data = music(settings["collection"])
    parts = {part: Rolls(getattr(data, part), settings["batch"]) for part in Music._fields}
    unit, size, batch = settings["unit"], settings["size"], settings["batch"]
    log_odds = parts["train"].log_odds()
    found = search(
        settings, parts, lambda seeds: Model(unit, size, seeds, batch, log_odds), scratch
    )
    start = data.test[settings["piece"]]
    return found.record | {
        "test pieces": found.nats["test"].round(2),
        "frames": parts["test"].lengths,
        "played": play(found.stack, found.best, start, np.random.default_rng(2014)),
    }


@torch.no_grad()
def play(model: Model, k: int, piece: Any, rng: np.random.Generator) -> list[list[int]]:
    """The start of a piece and what model k plays after it: for each frame the keys that are down.

    Every key is drawn by itself from the odds that the model gives it, frame after frame.
    """
    p = model.layer.weights("l0")
    p = p._make(v[k] for v in p)
    W, b = model.readout.weights["W"][k], model.readout.weights["b"][k]
    state = tuple(torch.zeros(model.layer.hidden_size, 1) for _ in model.layer.state_names)
    frames, x = [], torch.zeros(KEYS, 1)
    for t in range(PRIME + NEW):
        new = model.layer.cell(x, *state, p)
        state = new if isinstance(new, tuple) else (new,)
        odds = torch.sigmoid(W @ state[0][:, 0] + b).numpy()
        drawn = rng.random(KEYS) < odds
        down = piece[t] if t < min(PRIME, len(piece)) else drawn
        frames.append(np.flatnonzero(down).tolist())
        x = torch.tensor(down, dtype=torch.float32)[:, None]
    return frames


# Pieces in a batch, frames in a chunk, epochs at most, and without gain; seeds; the test piece
# that is played on.
PLANS: dict[str, dict[str, int]] = {
    collection: dict(
        zip(("batch", "chunk", "epochs", "patience", "seeds", "piece"), of, strict=True)
    )
    for collection, of in {
        "JSB_Chorales": (8, 200, 200, 20, 5, 0),
        "Nottingham": (16, 100, 120, 6, 5, 0),
        "MuseData": (16, 200, 80, 5, 3, 0),
        "Piano_midi": (8, 200, 120, 8, 3, 0),
    }.items()
}
SIZES = {"tanh": 100, "gru": 46, "lstm": 36}  # the paper's: some 20,000 parameters in the layer
MATCHED = {"gru": 54, "lstm": 44}  # as many as tanh has with the read-out counted, within 2 %
RATES = [float(f"{rate:.3g}") for rate in np.geomspace(3e-4, 1e-2, 10)]
TENTHS = [
    float(f"{rate / 10:.3g}") for rate in RATES
]  # with momentum 0.9 a step is ten times as long
# The paper's: ten draws, log-uniform from e⁻¹² to e⁻⁶.
DRAWN = [
    float(f"{r:.3g}") for r in np.sort(np.exp(np.random.default_rng(2014).uniform(-12, -6, 10)))
]


def _point(collection: str, unit: str, size: int, **other: Any) -> dict[str, Any]:
    usual = {"rates": RATES, "momentum": 0.0, "noise": 0.0}
    return {
        "collection": collection,
        "unit": unit,
        "size": size,
        **PLANS[collection],
        **usual,
        **other,
    }


# A point that takes seconds, for the test that trains it again.
SMALL = _point("JSB_Chorales", "gru", 8, rates=[0.003, 0.01], epochs=3, seeds=2)
PAPER = {c: tuple(_point(c, unit, size) for unit, size in SIZES.items()) for c in PLANS}
CHUNG = Experiment(
    name="chung",
    about="The tanh unit, the GRU and the LSTM on polyphonic music, as in Chung et al. (2014).",
    # In the order in which they are run: if time is up, the last of these are missing.
    points=(
        SMALL,
        *PAPER["JSB_Chorales"],
        *(_point("JSB_Chorales", unit, size) for unit, size in MATCHED.items()),
        *(_point("JSB_Chorales", u, s, noise=0.075) for u, s in SIZES.items()),
        *(_point("JSB_Chorales", u, s, momentum=0.9, rates=TENTHS) for u, s in SIZES.items()),
        *(_point("JSB_Chorales", u, s, rates=DRAWN) for u, s in SIZES.items()),
        *PAPER["Nottingham"],
        *PAPER["Piano_midi"],
        *PAPER["MuseData"],
        *(_point("Nottingham", unit, size) for unit, size in MATCHED.items()),
    ),
    run=run,
)
