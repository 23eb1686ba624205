"""The counting lab: five cells learn three languages on short strings and are tested on long ones.

In each point of the grid one cell, with a linear read-out, is trained from several seeds at several
rates, all at once, on strings up to a length, and then tested, in float64, on longer ones. Of each
seed the rate is kept whose loss *on the trained lengths* was lowest: nothing is chosen by what is
tested. The weights of those are stored, so that a reader can look at their states.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from companion.cells import gru, gru_reset_after, lstm, rnn
from companion.data.languages import counting
from companion.data.tasks import parity
from companion.experiments.experiment import Experiment, Settings
from companion.experiments.report import select
from companion.experiments.store import Record
from companion.nn import Readout, Recurrent
from companion.parameters import parameter_set
from companion.scan import scan, zero_state
from companion.trace import Cell, trace
from companion.train import train
from companion.variants import relu_rnn

Floats = NDArray[np.float64]

CELLS: dict[str, Cell] = {
    "rnn": rnn,
    "relu_rnn": relu_rnn,
    "lstm": lstm,
    "gru": gru,
    "gru_reset_after": gru_reset_after,
}

# task: the letters of a language, trained on n = 1 … trained and tested to n = tested; or parity,
# trained on strings of so many bits and tested to so many. Then the number of updates.
TASKS = {"ab": (30, 300, 3000), "parity": (20, 500, 1000), "abc": (20, 200, 2000)}
FIRST = 5  # the shortest curriculum: an update sees n = 1 … N, N uniform in FIRST … trained


class Strings(NamedTuple):
    """What is asked after each symbol: xs (T, B, D), targets (T, B, O), mask (T, B)."""

    xs: Floats
    targets: Floats
    mask: Floats


def strings(task: str, longest: int) -> Strings:
    """The strings that a model is tested on, from the shortest to the longest.

    A language: one for each n = 1 … longest. Parity: 200 random ones of so many bits.

    >>> strings("ab", 3).xs.shape
    (7, 3, 3)
    """
    if task == "parity":
        xs, targets = parity(longest, 200, np.random.default_rng(0))
        return Strings(xs, targets, np.ones(xs.shape[:2]))
    batch = counting(range(1, longest + 1), task)
    return Strings(batch.xs, batch.targets, batch.mask)


def horizon(cell: Cell, p: Any, out: Any, task: str, longest: int) -> tuple[int, int]:
    """How far a model is right: without an error up to here, and how many are right in all.

    A language: n such that all of 1 … n are right, that is, after each of their symbols the
    read-out is positive for those that may follow and for no others; how many of 1 … longest are
    right. Parity: the number of bits up to which all 200 test strings are right; the steps at which
    all are. out: W (O, H) and b (O,). Computed in float64.

    A ReLU RNN that counts: its first unit is up one for a, down one for b; the others hold the
    last symbol.

    >>> W = np.array([[1.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> p = parameter_set("relu_rnn", ("W", "U", "b"))(W, np.diag([1.0, 0, 0, 0]), np.zeros(4))
    >>> read = np.array([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0], [-1.0, 0.0, 1.0, 0.0]])
    >>> horizon(relu_rnn, p, SimpleNamespace(W=read, b=np.full(3, -0.5)), "ab", 50)
    (50, 50)
    """
    given = strings(task, longest)
    h, _ = scan(cell, given.xs, zero_state(cell, p, given.xs.shape[1]), p)
    wrong = ((h @ out.W.T + out.b > 0) != (given.targets > 0.5)).any(2) & (given.mask > 0)
    right = ~wrong.any(1 if task == "parity" else 0)
    return int(np.append(right, False).argmin()), int(right.sum())


def kept(
    records: Sequence[Record], task: str, cell: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The result of a point of the grid, and what became of its networks, of each seed the best."""
    point = {"task": task, "cell": cell, "trained": TASKS[task][0]}
    result = select(records, point)[0]["result"]
    return result, [result["models"][k] for k in result["kept"]]


def weights(result: dict[str, Any], cell: str, seed: int) -> tuple[Any, Any]:
    """The stored parameters of one seed, as the cell takes them, and its read-out's W and b."""
    found = {
        name: np.frombuffer(base64.b64decode(stored["float32"]), "<f4")
        .reshape(stored["shape"])[result["seeds"].index(seed)]
        .astype(np.float64)
        for name, stored in result["weights"].items()
    }
    names = tuple(trace(CELLS[cell]).parameters)
    out = SimpleNamespace(W=found["readout.W"], b=found["readout.b"])
    return parameter_set(cell, names)(*(found[name] for name in names)), out


class Model(torch.nn.Module):
    """A layer of a cell and a read-out: E models at once, logits (T, E, B, O)."""

    def __init__(
        self, cell: Cell, inputs: int, hidden: int, outputs: int, seeds: list[int]
    ) -> None:
        super().__init__()
        rng = [np.random.default_rng(seed) for seed in seeds]
        size: dict[str, Any] = {"models": len(seeds), "rng": rng, "dtype": torch.float32}
        self.layer = Recurrent(cell, inputs, hidden, **size)
        self.readout = Readout(hidden, outputs, **size)

    def forward(self, xs: Tensor) -> Any:
        return self.readout(self.layer(xs)[0])


def run(settings: Settings, scratch: Path) -> dict[str, Any]:
    """One point: train, test, and keep the weights of each seed's best rate."""
    torch.set_num_threads(1)
    cell, task, trained = CELLS[settings["cell"]], settings["task"], settings["trained"]
    seeds = list(range(settings["seeds"]))
    both = [(rate, seed) for rate in settings["rates"] for seed in seeds]
    sizes = [a.shape[2] for a in strings(task, 1)[:2]]
    model = Model(cell, sizes[0], settings["hidden_size"], sizes[1], [seed for _, seed in both])
    all_lengths = _tensors(strings(task, trained))
    history = train(
        model,
        _loss,
        _batches(task, trained),
        steps=settings["steps"],
        rate=[rate for rate, _ in both],
        clip=1.0,
        schedule=lambda step: 1 - step / settings["steps"],
        validate=lambda model: _loss(model, all_lengths),
        every=50,
        checkpoint=scratch / "counting.pt",
        progress=False,
    )
    _, losses = history.best()
    found = []
    for k, (rate, seed) in enumerate(both):
        p, out = _one(model, cell, k)
        reach, right = horizon(cell, p, out, task, settings["tested"])
        found.append({"rate": rate, "seed": seed, "loss": float(losses[k]), "horizon": reach,
                      "right": right, "ended": history.ended[k]})  # fmt: skip
    best = [
        min((k for k in range(len(both)) if both[k][1] == seed), key=lambda k: losses[k])
        for seed in seeds
    ]
    return {"models": found, "seeds": seeds, "kept": best, "weights": _stored(model, best)}


def _batches(task: str, trained: int) -> Callable[[int], Any]:
    """What step s is trained on, the same for each cell: a function of s alone."""
    if task == "parity":

        def bits(step: int) -> Any:
            xs, targets = parity(trained, 64, np.random.default_rng([1, step]))
            return _tensors(Strings(xs, targets, np.ones(xs.shape[:2])))

        return bits
    known = [_tensors(strings(task, longest)) for longest in range(FIRST, trained + 1)]
    return lambda step: known[np.random.default_rng([1, step]).integers(len(known))]


def _tensors(given: Strings) -> tuple[Tensor, ...]:
    return tuple(torch.tensor(array, dtype=torch.float32) for array in given)


def _loss(model: Any, batch: tuple[Tensor, ...]) -> Tensor:
    """(E,): binary cross-entropy summed over the symbols, averaged over the steps in strings."""
    xs, targets, mask = batch
    logits = model(xs)
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, targets[:, None].expand_as(logits), reduction="none"
    )
    share = (mask / mask.sum())[:, None, :, None]
    return (each * share).sum((0, 2, 3))


def _one(model: Model, cell: Cell, k: int) -> tuple[Any, Any]:
    """One of the stacked models in NumPy, float64."""

    def array(value: Tensor) -> Floats:
        return value[k].detach().double().numpy()

    names = tuple(trace(cell).parameters)
    layer, out = model.layer.get_submodule("l0"), model.readout.weights
    p = parameter_set("stored", names)(*(array(getattr(layer, name)) for name in names))
    return p, SimpleNamespace(W=array(out["W"]), b=array(out["b"]))


def _stored(model: Model, kept: list[int]) -> dict[str, Any]:
    """Those models' parameters, exactly: float32, least byte first, in base 64."""
    named = {name.removeprefix("layer.l0."): value for name, value in model.named_parameters()}
    arrays = {
        name.replace("readout.weights.", "readout."): value[kept].detach().numpy().astype("<f4")
        for name, value in named.items()
    }
    return {
        name: {"shape": list(a.shape), "float32": base64.b64encode(a.tobytes()).decode()}
        for name, a in arrays.items()
    }


def _point(task: str, cell: str) -> Settings:
    trained, tested, steps = TASKS[task]
    return {"task": task, "cell": cell, "hidden_size": 10, "trained": trained, "tested": tested,
            "seeds": 5, "rates": [0.003, 0.01, 0.03, 0.1], "steps": steps}  # fmt: skip


# A point that takes seconds, for the test that trains it again.
SMALL = {**_point("ab", "lstm"), "trained": 6, "tested": 30, "seeds": 2, "rates": [0.03],
         "steps": 100}  # fmt: skip
COUNTING = Experiment(
    name="counting",
    about="Five cells learn aⁿbⁿ, parity and aⁿbⁿcⁿ on short strings and are tested on long ones.",
    points=(SMALL, *(_point(task, cell) for task in TASKS for cell in CELLS)),
    run=run,
)
