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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from companion.data.spoken import digits
from companion.experiments.chung import CELLS
from companion.experiments.experiment import Experiment
from companion.experiments.rolls import Chunk, Rolls
from companion.experiments.stacks import Stack, search

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


class Model(Stack):
    """A layer and a read-out of the mixture: nats of each step of each recording.

    floor: the least logarithm of a standard deviation.
    """

    def __init__(self, unit: str, size: int, seeds: list[int], batch: int, floor: float) -> None:
        super().__init__(CELLS[unit], SEEN, size, OUTPUTS, seeds, batch)
        self.floor = floor
        with torch.no_grad():  # from soft to loud: equal Gaussians would take long to differ
            first = torch.tensor(np.linspace(QUIET, LOUD, MIXED).repeat(SAID))
            self.readout.weights["b"][:, -len(first) :] += first

    def cost(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What the ten samples of each step cost (E, T, B)."""
        return costs(outputs, targets, self.floor)


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
    parts, s = load(settings["speakers"], settings["takes"], settings["batch"])
    unit, size, batch = settings["unit"], settings["size"], settings["batch"]
    found = search(
        settings, parts, lambda seeds: Model(unit, size, seeds, batch, -math.log(s)), scratch
    )
    return found.record | {
        "test recordings": found.nats["test"].round(2),
        "steps": parts["test"].lengths,
        "deviation": s,
        "memoryless": memoryless(parts["test"]),
        "linear": linear(parts["train"], parts["test"]),
    }


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
