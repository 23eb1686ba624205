"""The loop over time on torch tensors: the one place that runs a cell again and again.

It is `companion.scan` for layers: no checks (the layer has made them), several models at once,
either direction, and sequences of different lengths. Each step calls the cell as it is written.

This is also the seam for a faster engine: whatever computes the same outputs and last state from
the same five arguments can stand in its place, see `Layered.loop`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from companion.trace import Cell

States = tuple[Tensor, ...]


def loop(
    step: Cell,
    xs: tuple[Tensor, ...],
    state: States,
    p: Any,
    reverse: bool = False,
    mask: Tensor | None = None,
) -> tuple[Tensor, States]:
    """Run a cell over the sequence, from its end if reverse: outputs (T, …, H, B), last state.

    step: the cell, or the same function compiled. Columns are sequences: each of xs is
    (T, …, D, B), each part of the state (…, H, B), a bias in p (…, H, 1); … is nothing, or the
    number of models. mask (T, …, 1, B), if given, is true where a sequence has a step: elsewhere
    its state stays as it is and its output is zero. Nothing is checked here: the layer has.

    >>> from companion import rnn
    >>> from companion.parameters import parameter_set
    >>> p = parameter_set("rnn", ("W", "U", "b"))(*(torch.ones(1, 1) for _ in "WUb"))
    >>> outputs, last = loop(rnn, (torch.zeros(3, 1, 2),), (torch.zeros(1, 2),), p)
    >>> outputs.shape, torch.equal(outputs[-1], last[0])
    (torch.Size([3, 1, 2]), True)
    """
    # Not xs[t]: the gradient of that is a whole sequence for every step, T² in all.
    series = [x.unbind() for x in xs]
    length = len(series[0])
    outputs: list[Any] = [None] * length
    for t in reversed(range(length)) if reverse else range(length):
        new = step(*(x[t] for x in series), *state, p)
        new = new if isinstance(new, tuple) else (new,)
        if mask is not None:
            new = tuple(torch.where(mask[t], n, s) for n, s in zip(new, state, strict=True))
        outputs[t] = new[0] if mask is None else torch.where(mask[t], new[0], 0)
        state = new
    return torch.stack(outputs), state
