"""Chung et al. (2014) again: their three units on their four collections of music, with seeds.

The protocol, and where it departs from the paper, is the page *The protocol of the rerun* of the
book. A point is one unit of one size on one collection, in two stages: one model at each of ten
learning rates, of which validation chooses one; then models from fresh seeds at that rate. The
models of a stage are trained side by side.
"""

from __future__ import annotations

import time
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from companion.cells import gru, rnn
from companion.data.downloads import Music, music
from companion.experiments.experiment import Experiment
from companion.experiments.rolls import KEYS, Chunk, Rolls
from companion.nn import Readout, Recurrent
from companion.nn.fused import fused
from companion.train import History, NonFiniteError, train
from companion.variants import peephole_lstm

CELLS: dict[str, Any] = {"tanh": rnn, "gru": gru, "lstm": peephole_lstm}
PRIME, NEW = 32, 64  # frames of a test piece that a continuation starts from, and adds


class Model(torch.nn.Module):
    """A layer and a read-out of 88 log-odds, E models at once: nats of each frame of each piece.

    state (E, parts, B, H): where the last chunk ended, so that the next one goes on there. It is a
    buffer so that a checkpoint has it. alive (E,): which are still in training, told by `train`.
    """

    state: Tensor

    def __init__(self, unit: str, size: int, seeds: list[int], batch: int, log_odds: Any) -> None:
        super().__init__()
        self.alive = np.ones(len(seeds), bool)
        self.like = lru_cache(1)(lambda n: Model(unit, size, seeds[:n], batch, log_odds))
        rng = [np.random.default_rng([seed, 0]) for seed in seeds]
        stacked: dict[str, Any] = {"models": len(seeds), "rng": rng, "dtype": torch.float32}
        self.layer = Recurrent(CELLS[unit], KEYS, size, **stacked)
        self.layer.loop = fused
        self.readout = Readout(size, KEYS, **stacked)
        with torch.no_grad():  # so that a model knows from the start how often each key is down
            self.readout.weights["b"][:] = torch.tensor(log_odds)
        parts = len(self.layer.state_names)
        self.register_buffer("state", torch.zeros(len(seeds), parts, batch, size))

    def forward(self, chunk: Chunk) -> Tensor:
        """Nats (E, T, B), zero where a piece has ended; training, the state goes to the next."""
        state = self.state[:, :, : chunk.mask.shape[-1]]  # whole pieces may be fewer than a batch
        if chunk.first or not self.training:
            state = torch.zeros_like(state)
        parts = tuple(part[None] for part in state.unbind(1))
        outputs, last = self.layer(chunk.inputs, parts if len(parts) > 1 else parts[0])
        if self.training:
            last = last if isinstance(last, tuple) else (last,)
            self.state = torch.stack([part[0].detach() for part in last], 1)
        return self.nats(outputs, chunk)

    def nats(self, outputs: Tensor, chunk: Chunk) -> Tensor:
        """What each frame costs (E, T, B), summed over its keys."""
        length, models, batch, _ = outputs.shape
        rows = outputs.transpose(0, 1).reshape(models, length * batch, -1)
        a = self.readout(rows).reshape(models, length, batch, KEYS)
        targets = chunk.targets if chunk.targets.ndim == 3 else chunk.targets.transpose(0, 1)
        mask = chunk.mask if chunk.mask.ndim == 2 else chunk.mask.transpose(0, 1)
        costs: Tensor = (torch.nn.functional.softplus(a) - a * targets).sum(-1)
        return costs * mask


def living(model: Any, chunk: Chunk, given: dict[str, Tensor] | None = None) -> Tensor:
    """Nats (E, T, B) of the models that are still in training; 0 for the others, not computed.

    given: parameters in place of the model's. Most rates of a search end long before the last one.
    """
    given = given or dict(model.named_parameters())
    if model.alive.all():
        everything: Tensor = torch.func.functional_call(model, given, (chunk,))
        return everything
    at = torch.from_numpy(np.flatnonzero(model.alive))
    few = model.like(len(at)).train(model.training)
    few.state = model.state[at]
    if chunk.mask.ndim == 3:  # each has pieces of its own
        chunk = Chunk(chunk.inputs[:, at], chunk.targets[:, at], chunk.mask[:, at], chunk.first)
    nats: Tensor = torch.func.functional_call(few, {k: p[at] for k, p in given.items()}, (chunk,))
    model.state = model.state.index_copy(0, at, few.state)
    return nats.new_zeros(len(model.alive), *nats.shape[1:]).index_copy(0, at, nats)


def loss(model: Any, chunk: Chunk, noise: float = 0.0) -> Tensor:
    """Nats for each frame (E,): the mean over the frames of the chunk, padding left out."""
    if noise:  # Graves 2011: every weight is moved at random while the gradient is computed
        moved = {k: p + noise * torch.randn_like(p) for k, p in model.named_parameters()}
        nats = living(model, chunk, moved)
    else:
        nats = living(model, chunk)
    each: Tensor = nats.sum((1, 2)) / chunk.mask.sum((0, -1))
    return each


@torch.no_grad()
def judge(model: Any, rolls: Rolls) -> Tensor:
    """Nats (E, pieces), each summed over the piece's frames; 0 where training has ended."""
    model.eval()
    return torch.cat([living(model, chunk).sum(1) for chunk in rolls.whole()], 1)[:, rolls.back]


def run(settings: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """One point: ten rates, the best of them from fresh seeds, its test, and what it plays."""
    torch.set_num_threads(1)
    data = music(settings["collection"])
    parts = {part: Rolls(getattr(data, part), settings["batch"]) for part in Music._fields}
    rates = settings["rates"]
    searched, _, spent = _stage(settings, parts, [0] * len(rates), rates, scratch / "rates.pt")
    found = searched.best()[1]
    rate = rates[int(np.argmin(found))]
    seeds = list(range(1, settings["seeds"] + 1))
    history, model, seconds = _stage(
        settings, parts, seeds, [rate] * len(seeds), scratch / "seeds.pt"
    )
    costs = {part: judge(model, rolls).double().numpy() for part, rolls in parts.items()}
    best = int(np.argmin(history.best()[1]))
    return {
        "rate": rate,
        "by rate": curve(searched) | {"seconds": spent},
        "by seed": curve(history) | {"seconds": seconds},
        "train": costs["train"].sum(1) / parts["train"].lengths.sum(),
        "valid": costs["valid"].sum(1) / parts["valid"].lengths.sum(),
        "test": costs["test"].sum(1) / parts["test"].lengths.sum(),
        "test pieces": costs["test"].round(2),
        "frames": parts["test"].lengths,
        "played": play(model, best, data.test[settings["piece"]], np.random.default_rng(2014)),
    }


def _stage(
    settings: dict[str, Any],
    parts: dict[str, Rolls],
    seeds: list[int],
    rates: list[float],
    path: Path,
) -> tuple[History, Model, float]:
    """Train a stack of models; the processor's seconds for an epoch of all of them, the median."""
    train_on, valid = parts["train"], parts["valid"]
    model = Model(settings["unit"], settings["size"], seeds, settings["batch"], train_on.log_odds())
    chunks = train_on.chunks(settings["chunk"])
    clock = [time.process_time()]

    def validate(model: Model) -> Tensor:
        clock.append(time.process_time())
        return judge(model, valid).sum(1) / float(valid.lengths.sum())

    optimiser = partial(torch.optim.RMSprop, alpha=0.99, momentum=settings["momentum"])
    torch.manual_seed(2014)  # of the weight noise
    try:
        history = train(
            model,
            partial(loss, noise=settings["noise"]),
            lambda step: train_on.draw(step, settings["chunk"], seeds),
            steps=settings["epochs"] * chunks,
            rate=rates,
            optimiser=optimiser,
            clip=1.0,
            validate=validate,
            every=chunks,
            patience=settings["patience"],
            checkpoint=path,
            progress=False,
        )
    except NonFiniteError as error:
        history = error.history
    return history, model, float(f"{np.median(np.diff(clock) if len(clock) > 1 else [0]):.3g}")


def curve(history: History) -> dict[str, Any]:
    """Validation after each epoch, for each model, to four digits; None where it had ended."""
    values = [
        [float(f"{v:.4g}") if np.isfinite(v) else None for v in row] for row in history.validations
    ]
    return {"updates": history.validated, "valid": values, "ended": history.ended}


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
