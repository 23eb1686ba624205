"""Stacks of models that walk through sequences in chunks, and a search in two stages.

A stack is a layer and a read-out, E models at once. The search trains one model at each of several
learning rates, side by side, chooses the rate by validation, and trains models from fresh seeds at
that rate. Music and speech say what a step costs, and nothing else.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from companion.experiments.rolls import Chunk, Rolls
from companion.nn import Readout, Recurrent
from companion.nn.fused import fused
from companion.trace import Cell
from companion.train import History, NonFiniteError, train


class Stack(torch.nn.Module):
    """Nats of each step of each sequence, for E models, one for each seed; `cost` is to be given.

    state (E, parts, B, H): where the last chunk ended, so that the next one goes on there. It is a
    buffer so that a checkpoint has it. alive (E,): which are still in training, told by `train`.
    """

    state: Tensor

    def __init__(
        self, cell: Cell, input_size: int, size: int, outputs: int, seeds: list[int], batch: int
    ) -> None:
        super().__init__()
        rng = [np.random.default_rng([seed, 0]) for seed in seeds]
        stacked: dict[str, Any] = {"models": len(seeds), "rng": rng, "dtype": torch.float32}
        self.layer = Recurrent(cell, input_size, size, **stacked)
        self.layer.loop = fused
        self.readout = Readout(size, outputs, **stacked)
        parts = len(self.layer.state_names)
        self.register_buffer("state", torch.zeros(len(seeds), parts, batch, size))
        self.alive = np.ones(len(seeds), bool)
        self.like = lru_cache(1)(self._of)

    def _of(self, count: int) -> Stack:
        """A stack of so many, for parameters that are given with each call."""
        few = copy.deepcopy(self)
        few.layer.models = few.readout.models = count
        return few

    def cost(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Nats (E, T, B) from what the read-out says (E, T, B, O) and what came (…, T, B, D)."""
        raise NotImplementedError

    def forward(self, chunk: Chunk) -> Tensor:
        """Nats (E, T, B), zero behind a sequence's end; training, the state goes to the next."""
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
        said = self.readout(rows).unflatten(1, outputs.shape[::2][:2])
        targets, mask = chunk.targets, chunk.mask
        if mask.ndim == 3:  # each model has sequences of its own
            targets, mask = targets.transpose(0, 1), mask.transpose(0, 1)
        return self.cost(said, targets) * mask


def living(stack: Stack, chunk: Chunk, given: dict[str, Tensor] | None = None) -> Tensor:
    """Nats (E, T, B) of the models that are still in training; 0 for the others, not computed.

    given: parameters in place of the stack's. Most rates of a search end long before the last one.
    """
    given = given or dict(stack.named_parameters())
    if stack.alive.all():
        everything: Tensor = torch.func.functional_call(stack, given, (chunk,))
        return everything
    at = torch.from_numpy(np.flatnonzero(stack.alive))
    few = stack.like(len(at)).train(stack.training)
    few.state = stack.state[at]
    if chunk.mask.ndim == 3:
        chunk = Chunk(chunk.inputs[:, at], chunk.targets[:, at], chunk.mask[:, at], chunk.first)
    nats: Tensor = torch.func.functional_call(few, {k: p[at] for k, p in given.items()}, (chunk,))
    stack.state = stack.state.index_copy(0, at, few.state)
    return nats.new_zeros(len(stack.alive), *nats.shape[1:]).index_copy(0, at, nats)


def loss(stack: Any, chunk: Chunk, noise: float = 0.0) -> Tensor:
    """Nats for each step (E,): the mean over the steps of the chunk, padding left out."""
    moved = None
    if noise:  # Graves 2011: every weight is moved at random while the gradient is computed
        moved = {k: p + noise * torch.randn_like(p) for k, p in stack.named_parameters()}
    each: Tensor = living(stack, chunk, moved).sum((1, 2)) / chunk.mask.sum((0, -1))
    return each


@torch.no_grad()
def judge(stack: Any, rolls: Rolls) -> Tensor:
    """Nats (E, pieces), each summed over the piece's steps; 0 where training has ended."""
    stack.eval()
    return torch.cat([living(stack, chunk).sum(1) for chunk in rolls.whole()], 1)[:, rolls.back]


class Found(NamedTuple):
    """What a search found: the rate, both curves and losses by part, as a record keeps them; the
    stack of the fresh seeds; which of these validation likes best; nats by part (E, pieces)."""

    record: dict[str, Any]
    stack: Any
    best: int
    nats: dict[str, Any]


def search(
    settings: dict[str, Any],
    parts: dict[str, Any],
    make: Callable[[list[int]], Stack],
    scratch: Path,
) -> Found:
    """Both stages; make gives a stack with one model for each seed.

    settings: rates, seeds (how many), epochs, patience, chunk; noise and momentum, if any. parts:
    the sequences for train, valid and test.
    """
    torch.set_num_threads(1)
    rates, seeds = settings["rates"], list(range(1, settings["seeds"] + 1))
    stack = make([0] * len(rates))
    searched, spent = _stage(stack, settings, parts, [0] * len(rates), rates, scratch / "rates.pt")
    rate = rates[int(np.nanargmin(searched.best()[1]))]
    stack = make(seeds)
    chosen = [rate] * len(seeds)
    history, seconds = _stage(stack, settings, parts, seeds, chosen, scratch / "seeds.pt")
    nats = {part: judge(stack, of).double().numpy() for part, of in parts.items()}
    record = {
        "rate": rate,
        "by rate": curve(searched) | {"seconds": spent},
        "by seed": curve(history) | {"seconds": seconds},
        **{part: nats[part].sum(1) / parts[part].lengths.sum() for part in parts},
    }
    return Found(record, stack, int(np.nanargmin(history.best()[1])), nats)


def _stage(
    stack: Stack,
    settings: dict[str, Any],
    parts: dict[str, Rolls],
    seeds: list[int],
    rates: list[float],
    path: Path,
) -> tuple[History, float | None]:
    """Train a stack; the processor's seconds for an epoch of all of them, the median."""
    train_on, valid = parts["train"], parts["valid"]
    chunks = train_on.chunks(settings["chunk"])
    clock = [time.process_time()]

    def validate(stack: Stack) -> Tensor:
        clock.append(time.process_time())
        return judge(stack, valid).sum(1) / float(valid.lengths.sum())

    momentum = settings.get("momentum", 0.0)
    torch.manual_seed(2014)  # of the weight noise
    try:
        history = train(
            stack,
            partial(loss, noise=settings.get("noise", 0.0)),
            lambda step: train_on.draw(step, settings["chunk"], seeds),
            steps=settings["epochs"] * chunks,
            rate=rates,
            optimiser=partial(torch.optim.RMSprop, alpha=0.99, momentum=momentum),
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
    return history, float(f"{np.median(spent):.3g}") if len(spent) else None


def curve(history: History) -> dict[str, Any]:
    """Validation after each epoch, for each model, to four digits; None where it had ended."""
    values = [
        [float(f"{v:.4g}") if np.isfinite(v) else None for v in row] for row in history.validations
    ]
    return {"updates": history.validated, "valid": values, "ended": history.ended}
