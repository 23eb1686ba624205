"""The memory lab: the cells learn adding and copying over growing spans, from several first values.

In each point of the grid the models of one cell, every variant of its first values from several
seeds at several rates, are trained side by side on the same batches. A model has *solved* the task
when its validation loss is below a tenth of what the best guess without a memory costs. Beside it
stands how much of the gradient survives, by lag, before the first update and after training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from companion.cells import gru, lstm, rnn
from companion.data.tasks import adding, copy_memory
from companion.experiments.experiment import Experiment
from companion.nn import Readout, Recurrent
from companion.train import History, NonFiniteError, checkpoint, train
from companion.variants import relu_rnn

SYMBOLS, COPIED = 4, 2  # a small copy task: two symbols out of four, not ten out of eight
SOLVED = 0.1  # of the memoryless loss
EVERY = 50  # updates from one validation to the next
JUDGED = 200  # sequences of a validation


class Variant(NamedTuple):
    """First values that are not drawn as usual: U, constant biases, chrono's biases."""

    U: str = "uniform"
    bias: Mapping[str, float] = MappingProxyType({})
    chrono: Mapping[str, int] = MappingProxyType({})  # so many times log u, u in [1, span − 1]


# The biases named here are set; all else is drawn uniformly within ±1/√H, as in torch.
VARIANTS: dict[str, dict[str, Variant]] = {
    "lstm": {
        **{f"forget {b}": Variant(bias={"bf": float(b)}) for b in (0, 1, 2, 5)},
        "chrono": Variant(chrono={"bf": 1, "bi": -1}),
    },
    "gru": {
        "drawn": Variant(),
        "update -2": Variant(bias={"bz": -2.0}),
        "chrono": Variant(chrono={"bz": -1}),
    },
    "rnn": {"drawn": Variant(), "orthogonal": Variant(U="orthogonal")},
    "relu_rnn": {"identity": Variant(U="identity", bias={"b": 0.0})},
}
CELLS: dict[str, Any] = {"lstm": lstm, "gru": gru, "rnn": rnn, "relu_rnn": relu_rnn}


class Batch(NamedTuple):
    """xs (T, B, D); targets (B, 1) or, of symbols to recall, (COPIED, B)."""

    xs: Tensor
    targets: Tensor


class Model(torch.nn.Module):
    """A layer of a cell and a read-out, E models at once, and the loss of each on each sequence."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        self.task = settings["task"]
        inputs, outputs = (2, 1) if self.task == "adding" else (SYMBOLS + 2, SYMBOLS + 1)
        each = [(seed, v, rate) for v, seed, rate in members(settings)]
        H, cell = settings["hidden_size"], CELLS[settings["cell"]]
        size: dict[str, Any] = {"models": len(each), "dtype": torch.float32}
        rng = [np.random.default_rng(seed) for seed, _, _ in each]
        self.layer = Recurrent(cell, inputs, H, rng=rng, **size)
        self.readout = Readout(H, outputs, rng=rng, **size)
        for k, (seed, variant, _) in enumerate(each):
            given = VARIANTS[settings["cell"]][variant]
            _start(self.layer, k, given, settings["span"], np.random.default_rng([seed, 1]))

    def forward(self, batch: Batch) -> Tensor:
        """(E, B): what is asked for at the end, averaged over the symbols that are recalled."""
        outputs, _ = self.layer(batch.xs)
        return self.judge(outputs, batch.targets)

    def judge(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss (E, B) of states (T, E, B, H); blanks, which cost no memory, are left out."""
        if self.task == "adding":
            errors: Tensor = (self.readout(outputs[-1]) - targets).square().squeeze(-1)
            return errors
        asked = self.readout(outputs[-len(targets) :]).movedim(-1, 1)
        wanted = targets[:, None].expand(-1, asked.shape[2], -1)
        return torch.nn.functional.cross_entropy(asked, wanted, reduction="none").mean(0)


def memoryless(task: str) -> float:
    """What the best guess without a memory costs: a variance, or the entropy of a symbol.

    >>> round(memoryless("adding"), 3), round(memoryless("copy"), 3)
    (0.167, 1.386)
    """
    return 1 / 6 if task == "adding" else float(np.log(SYMBOLS))


def draw(task: str, span: int, size: int, rng: np.random.Generator) -> Batch:
    """A batch of adding, span = T, or of copying, span = the lag.

    >>> draw("copy", 10, 3, np.random.default_rng(0)).xs.shape
    torch.Size([14, 3, 6])
    """
    if task == "adding":
        given = adding(span, size, rng)
        return Batch(*(torch.tensor(array, dtype=torch.float32) for array in given))
    xs, targets = copy_memory(span, size, rng, symbols=SYMBOLS, length=COPIED)
    return Batch(torch.tensor(xs, dtype=torch.float32), torch.tensor(targets[-COPIED:]))


def members(settings: dict[str, Any]) -> list[tuple[str, int, float]]:
    """The models of a point in their order: variant, seed, rate."""
    return [
        (variant, seed, rate)
        for variant in VARIANTS[settings["cell"]]
        for seed in range(settings["seeds"])
        for rate in settings["rates"]
    ]


def chrono(size: int, longest: int, rng: np.random.Generator) -> Any:
    """log u, u uniform in [1, longest − 1]: σ of it is 1 − 1/(1 + u), so that σ^u is about 1/e.

    Source: Tallec & Ollivier 2018, arXiv:1804.11188.

    >>> chrono(3, 100, np.random.default_rng(0)).round(2)
    array([4.15, 3.31, 1.61])
    """
    return np.log(rng.uniform(1, longest - 1, size))


@torch.no_grad()
def _start(
    layer: Recurrent, k: int, given: Variant, longest: int, rng: np.random.Generator
) -> None:
    """Put a variant's first values into model k of a layer."""
    p: Any = layer.get_submodule("l0")
    H = layer.hidden_size
    if given.U == "identity":
        p.U[k] = torch.eye(H)
    elif given.U == "orthogonal":
        q, r = np.linalg.qr(rng.standard_normal((H, H)))
        p.U[k] = torch.tensor(q * np.sign(np.diag(r)))
    for name, value in given.bias.items():
        getattr(p, name)[k] = value
    if given.chrono:
        logs = torch.tensor(chrono(H, longest, rng))
        for name, factor in given.chrono.items():
            getattr(p, name)[k] = factor * logs


def run(settings: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """One point: gradients by lag, training, gradients by lag again."""
    torch.set_num_threads(1)
    task, span, size = settings["task"], settings["span"], settings["batch_size"]
    model, each = Model(settings), members(settings)
    judged = draw(task, span, JUDGED, np.random.default_rng([2, span]))
    lags = _lags(len(judged.xs))
    before = survival(model, judged)[lags]
    history = _trained(
        model,
        lambda step: draw(task, span, size, np.random.default_rng([1, span, step])),
        lambda model: model(judged).mean(1) / memoryless(task),
        [rate for _, _, rate in each],
        settings["updates"],
        scratch / "memory.pt",
    )
    after = survival(model, judged)[lags]
    losses, found = history.validations, []
    for k, (variant, seed, rate) in enumerate(each):
        below = np.flatnonzero(losses[:, k] < SOLVED)
        found.append({
            "variant": variant, "seed": seed, "rate": rate,
            "solved": int(history.validated[below[0]]) if len(below) else None,
            "loss": _short(history.best()[1][k]),
            "losses": [_short(v) for v in losses[:, k]],
            "before": [_short(v) for v in before[:, k]],
            "after": [_short(v) for v in after[:, k]],
            "ended": history.ended[k],
        })  # fmt: skip
    return {"models": found, "lags": lags, "validated": history.validated.tolist()}


def _trained(
    model: Model,
    batches: Callable[[int], Batch],
    validate: Callable[[Any], Tensor],
    rates: list[float],
    updates: int,
    path: Path,
) -> History:
    """Train, in parts that go on from one another, until all have solved it or the updates end."""
    part = 2 * EVERY
    done = checkpoint.load(path)["done"] if path.exists() else 0
    # A run that was killed goes on with the part that it was in: those before have their end.
    for until in range(max(part, -(-done // part) * part), updates + 1, part):
        try:
            history = train(
                model, lambda model, batch: model(batch).mean(1), batches, steps=until,
                rate=rates, clip=1.0, validate=validate, every=EVERY,
                checkpoint=path, progress=False,
            )  # fmt: skip
        except NonFiniteError as error:
            return error.history
        if (history.best()[1] < SOLVED).all():
            break
    return history


def survival(model: Model, batch: Batch) -> Any:
    r"""How much of the gradient is left after k steps back, (T, E): row k is ‖g_k‖/‖g_0‖.

    g_k = ∂ℓ/∂s_{T−k}, ℓ the loss at the last step and s all that the cell carries from step to
    step, (h, c) for the LSTM; ‖·‖ is over the units, then the mean over the sequences.
    """
    models, H, size = model.readout.models or 1, model.layer.hidden_size, batch.xs.shape[1]
    zero = batch.xs.new_zeros(models, H, size)
    state = (zero,) * len(model.layer.state_names)
    p, nudges, outputs = model.layer.weights("l0"), [], []
    for x in batch.xs.mT:
        state = model.layer.cell(x, *state, p)
        state = state if isinstance(state, tuple) else (state,)
        # A nudge of zero after the step: so ∂/∂c leaves out the h of the same step.
        nudge = tuple(torch.zeros_like(s, requires_grad=True) for s in state)
        state = tuple(s + e for s, e in zip(state, nudge, strict=True))
        nudges.append(nudge)
        outputs.append(state[0].mT)
    targets = batch.targets if model.task == "adding" else batch.targets[-1:]
    loss = model.judge(torch.stack(outputs), targets).sum()
    flat = [e for nudge in nudges for e in nudge]
    g = torch.autograd.grad(loss, flat, allow_unused=True)
    whole = [torch.zeros_like(flat[0]) if part is None else part for part in g]
    parts = torch.stack(whole).reshape(len(nudges), -1, *flat[0].shape)  # (T, states, E, H, B)
    norms = parts.square().sum((1, 3)).sqrt().mean(-1).flip(0).double()
    return (norms / norms[0]).numpy()  # nan where nothing arrives at all


def _lags(steps: int) -> list[int]:
    """About twenty lags from 0 to the first step, evenly."""
    return sorted({int(k) for k in np.linspace(0, steps - 1, 20).round()})


def _short(value: float) -> float | None:
    """Three digits; None where a model had ended."""
    return float(f"{value:.3g}") if np.isfinite(value) else None


def _point(task: str, span: int, cell: str) -> dict[str, Any]:
    return {"task": task, "span": span, "cell": cell, "hidden_size": 24, "batch_size": 20,
            "rates": [0.005, 0.02], "seeds": 5, "updates": 1500}  # fmt: skip


# A point that takes seconds, for the test that trains it again.
SMALL = {**_point("adding", 8, "gru"), "rates": [0.02], "seeds": 2, "updates": 200}
# In the order in which they are run: if time is up, whole spans are missing, not cells.
SPANS = (
    ("adding", 20), ("copy", 10), ("adding", 40), ("copy", 20), ("copy", 40), ("adding", 80),
)  # fmt: skip

MEMORY = Experiment(
    name="memory",
    about="Who learns adding and copying over growing spans, and how far gradients reach.",
    points=(SMALL, *(_point(task, span, cell) for task, span in SPANS for cell in CELLS)),
    run=run,
)
