"""Speech, a stand-in: the set-up of Chung et al. (2014) on public recordings of spoken digits.

Their speech was private. What can be run again is how it was set up: step t sees 20 samples in a
row, 10t … 10t + 19, and says how likely the 10 that follow are, as a mixture of 20 Gaussians; the
window moves by 10. Here it does so on the Free Spoken Digit Dataset, at a size that one core of
this machine can train, so that nothing is to be compared with the paper's own numbers but the order
of the units. As for music, a point is one unit in two stages: one model at each of five learning
rates, of which validation chooses one; then models from fresh seeds at that rate.

Samples are 16-bit whole numbers, divided by the training part's standard deviation s. What is
reported is a density of these, in nats a step, that is, for ten samples: it may be negative, and
depends on the unit of the samples. No noise is added to them. Instead no Gaussian may be narrower
than one quantisation step, 1/s: then the density times 1/s is a probability of the whole number to
within 6·10⁻⁹ for each sample (the sum over all of them is at most 1 + 2e^{−2π²}), so that with
10 log s nats more a step costs what it does as a code. A narrower Gaussian would gain from the
rounding alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from companion.data.spoken import digits
from companion.experiments.chung import CELLS, curve, judge, loss
from companion.experiments.experiment import Experiment
from companion.experiments.rolls import Chunk, Rolls
from companion.nn import Readout, Recurrent
from companion.nn.fused import fused
from companion.train import History, NonFiniteError, train

SEEN, SAID, MIXED = 20, 10, 20  # samples that a step sees, that it predicts; Gaussians
OUTPUTS = MIXED * (1 + 2 * SAID)
TAKES = {"test": range(5), "valid": range(5, 10)}  # of the 50 of each digit; test is the official
LOG2PI = math.log(2 * math.pi)


def windows(audio: Any) -> Any:
    """What is seen and then what is said at each step of a recording (T,): (steps, 30), a view.

    >>> windows(np.arange(45))[:, [0, 19, 20, 29]]
    array([[ 0, 19, 20, 29],
           [10, 29, 30, 39]])
    """
    return np.lib.stride_tricks.sliding_window_view(audio, SEEN + SAID)[::SAID]


class Recordings(Rolls):
    """Recordings (T,) in batches and chunks, as piano rolls are; the pieces are their windows."""

    def __init__(self, audio: Sequence[Any], batch: int) -> None:
        super().__init__([windows(samples) for samples in audio], batch)

    def _cut(self, batch: Any, start: int, stop: int, width: int) -> Chunk:
        both = np.zeros((stop - start, width, SEEN + SAID), np.float32)
        mask = np.zeros((stop - start, width), np.float32)
        for b, k in enumerate(batch):
            piece = self.pieces[k][start:stop]
            both[: len(piece), b], mask[: len(piece), b] = piece, 1
        whole = torch.from_numpy(both)
        return Chunk(whole[..., :SEEN], whole[..., SEEN:], torch.from_numpy(mask), start == 0)


def costs(outputs: Tensor, targets: Tensor, floor: float) -> Tensor:
    """−log of the density of targets (…, D) under a mixture of M Gaussians, (…,).

    outputs (…, M(1 + 2D)): the logits of the weights, the means, and what becomes the logarithms of
    the standard deviations, floor + log(1 + e^{a − floor}): a where it is far above the floor,
    and never below it.

    >>> costs(torch.zeros(3), torch.zeros(1), -50.0)  # one Gaussian: log √(2π)
    tensor(0.9189)
    """
    mixed = outputs.shape[-1] // (1 + 2 * targets.shape[-1])
    logits, rest = outputs[..., :mixed], outputs[..., mixed:]
    means, a = rest.reshape(*rest.shape[:-1], 2, mixed, -1).unbind(-3)
    logs = floor + torch.nn.functional.softplus(a - floor)
    z = (targets.unsqueeze(-2) - means) * torch.exp(-logs)
    each = -(0.5 * z.square() + logs).sum(-1) - 0.5 * LOG2PI * targets.shape[-1]
    return -torch.logsumexp(torch.log_softmax(logits, -1) + each, -1)


class Model(torch.nn.Module):
    """A layer and a read-out of the mixture, E models at once: nats of each step of each recording.

    floor: the least logarithm of a standard deviation. state (E, parts, B, H): where the last chunk
    ended, so that the next one goes on there; a buffer, so that a checkpoint has it.
    """

    state: Tensor

    def __init__(self, unit: str, size: int, seeds: list[int], batch: int, floor: float) -> None:
        super().__init__()
        rng = [np.random.default_rng([seed, 0]) for seed in seeds]
        stacked: dict[str, Any] = {"models": len(seeds), "rng": rng, "dtype": torch.float32}
        self.layer = Recurrent(CELLS[unit], SEEN, size, **stacked)
        self.layer.loop = fused
        self.readout = Readout(size, OUTPUTS, **stacked)
        self.floor = floor
        with torch.no_grad():  # from soft to loud: equal Gaussians would take long to differ
            first = torch.tensor(np.linspace(QUIET, LOUD, MIXED).repeat(SAID))
            self.readout.weights["b"][:, -len(first) :] += first
        parts = len(self.layer.state_names)
        self.register_buffer("state", torch.zeros(len(seeds), parts, batch, size))

    def forward(self, chunk: Chunk) -> Tensor:
        """Nats (E, T, B), zero behind a recording's end; training, the state goes to the next."""
        state = self.state[:, :, : chunk.mask.shape[-1]]  # whole ones may be fewer than a batch
        if chunk.first or not self.training:
            state = torch.zeros_like(state)
        parts = tuple(part[None] for part in state.unbind(1))
        outputs, last = self.layer(chunk.inputs, parts if len(parts) > 1 else parts[0])
        if self.training:
            last = last if isinstance(last, tuple) else (last,)
            self.state = torch.stack([part[0].detach() for part in last], 1)
        # One product for all steps of a model, of rows, not one for each step.
        rows = outputs.transpose(0, 1).flatten(1, 2)
        mixtures = self.readout(rows).unflatten(1, outputs.shape[::2][:2])
        targets, mask = chunk.targets, chunk.mask
        if mask.ndim == 3:  # each model has recordings of its own
            targets, mask = targets.transpose(0, 1), mask.transpose(0, 1)
        return costs(mixtures, targets, self.floor) * mask


def memoryless(recordings: Rolls) -> float:
    """Nats a step of a white Gaussian of variance 1, that of the training part, and mean 0.

    >>> round(memoryless(Recordings([np.zeros(30)], 1)), 3)  # 5 log 2π
    9.189
    """
    said = np.concatenate([piece[:, SEEN:] for piece in recordings.pieces])
    return float((0.5 * (said**2 + LOG2PI)).sum(1).mean())


def linear(fitted: Rolls, recordings: Rolls) -> float:
    """Nats a step of the best linear prediction from the same 20 samples, errors Gaussian.

    Weights and the ten variances are least squares' on fitted: the window alone, no memory.
    """
    (x, y), (seen, said) = (
        np.split(np.concatenate(part.pieces), [SEEN], axis=1) for part in (fitted, recordings)
    )
    weights = np.linalg.lstsq(x, y, rcond=None)[0]
    variance = ((y - x @ weights) ** 2).mean(0)
    errors = said - seen @ weights
    return float((0.5 * (errors**2 / variance + np.log(variance) + LOG2PI)).sum(1).mean())


def load(speakers: list[str], takes: int, batch: int) -> tuple[dict[str, Recordings], float]:
    """Training, on so many takes of each digit from number 10 on, validation and test; and s.

    s is the training part's standard deviation in quantisation steps, by which all are divided.
    """
    found, parts = digits(), TAKES | {"train": range(10, 10 + takes)}
    chosen = {
        part: [
            found.audio[k].astype(np.float64)
            for k in np.flatnonzero(np.isin(found.speaker, speakers) & np.isin(found.take, which))
        ]
        for part, which in parts.items()
    }
    s = float(np.concatenate(chosen["train"]).std())
    return {part: Recordings([a / s for a in of], batch) for part, of in chosen.items()}, s


def run(settings: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """One point: five rates, the best of them from fresh seeds, and its test."""
    torch.set_num_threads(1)
    parts, s = load(settings["speakers"], settings["takes"], settings["batch"])
    rates, seeds = settings["rates"], list(range(1, settings["seeds"] + 1))
    floor = -math.log(s)
    search = scratch / "rates.pt"
    searched, _, spent = _stage(settings, parts, floor, [0] * len(rates), rates, search)
    rate = rates[int(np.nanargmin(searched.best()[1]))]
    chosen = [rate] * len(seeds)
    history, model, seconds = _stage(settings, parts, floor, seeds, chosen, scratch / "seeds.pt")
    nats = {part: judge(model, of).double().numpy() for part, of in parts.items()}
    return {
        "rate": rate,
        "by rate": curve(searched) | {"seconds": spent},
        "by seed": curve(history) | {"seconds": seconds},
        **{part: nats[part].sum(1) / parts[part].lengths.sum() for part in parts},
        "test recordings": nats["test"].round(2),
        "steps": parts["test"].lengths,
        "deviation": s,
        "memoryless": memoryless(parts["test"]),
        "linear": linear(parts["train"], parts["test"]),
    }


def _stage(
    settings: dict[str, Any],
    parts: dict[str, Recordings],
    floor: float,
    seeds: list[int],
    rates: list[float],
    path: Path,
) -> tuple[History, Model, float | None]:
    """Train a stack of models; the processor's seconds for an epoch of all of them, the median."""
    train_on, valid = parts["train"], parts["valid"]
    model = Model(settings["unit"], settings["size"], seeds, settings["batch"], floor)
    chunks = train_on.chunks(settings["chunk"])
    clock = [time.process_time()]

    def validate(model: Model) -> Tensor:
        clock.append(time.process_time())
        return judge(model, valid).sum(1) / float(valid.lengths.sum())

    try:
        history = train(
            model,
            loss,
            lambda step: train_on.draw(step, settings["chunk"], seeds),
            steps=settings["epochs"] * chunks,
            rate=rates,
            optimiser=partial(torch.optim.RMSprop, alpha=0.99),
            clip=1.0,
            validate=validate,
            every=chunks,
            patience=settings["patience"],
            checkpoint=path,
            progress=False,
        )
    except NonFiniteError as error:
        history = error.history
    spent = np.diff(clock)  # none if the stage was finished before the run was resumed
    return history, model, float(f"{np.median(spent):.3g}") if len(spent) else None


# Logarithms of the Gaussians' first deviations, evenly from one to the other. Chosen on validation:
# in a trial, four epochs, a GRU was 0.9 to 1.6 nats better than with e⁰ for all.
QUIET, LOUD = -4.0, 1.0
SIZES = {"tanh": 131, "gru": 72, "lstm": 61}  # some 20,000 parameters in the layer, as for music
MATCHED = {"gru": 97, "lstm": 87}  # as many as tanh has, 75,352, with the read-out counted, to 1 %
RATES = [float(f"{rate:.3g}") for rate in np.geomspace(3e-4, 1e-2, 5)]


def _point(unit: str, size: int, **other: Any) -> dict[str, Any]:
    # The first two speakers by name; both use all 16 bits, as not every one of the six does.
    usual = {"speakers": ["george", "jackson"], "takes": 16, "batch": 8, "chunk": 100}
    long = {"epochs": 12, "patience": 3, "seeds": 3, "rates": RATES}
    return {"unit": unit, "size": size, **usual, **long, **other}


# A point that takes seconds, for the test that trains it again.
SMALL = _point(
    "gru", 8, speakers=["george"], takes=2, batch=25, epochs=2, seeds=2, rates=[0.003, 0.01]
)
SPEECH = Experiment(
    name="speech",
    about="The tanh unit, the GRU and the LSTM on spoken digits, set up as Chung et al. (2014).",
    points=(SMALL, *(_point(u, h) for sizes in (SIZES, MATCHED) for u, h in sizes.items())),
    run=run,
)
