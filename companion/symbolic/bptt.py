"""Backpropagation through time, for any cell, on NumPy: its backward step, run from the end.

This is the loop that the chapters derive, not a fast one; torch's autograd and differences in
50-digit arithmetic are its witnesses in the tests.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from companion.check import check
from companion.parameters import parameter_set
from companion.symbolic.backward import backward
from companion.trace import Cell


class Gradients(NamedTuple):
    """The gradients of a loss: p's as a set like p, that of xs and of the first state as given."""

    p: Any
    xs: Any
    state: Any


def bptt(
    cell: Cell, xs: Any, state: Any, p: Any, d_outputs: Any = None, d_state: Any = None
) -> Gradients:
    """The gradients of a loss of one :func:`companion.scan`, with respect to all it was given.

    cell, xs, state, p: as for scan, NumPy arrays of any kind. d_outputs: the gradient of the loss
    with respect to the outputs, (T, H) or (T, B, H); d_state: with respect to the last state, one
    array or a tuple like state. None stands for zeros. Over a batch, the gradients of p are sums.
    Raises what scan raises, and ValueError for gradients of another shape.

    >>> from companion import init, rnn, scan
    >>> p = init(rnn, 1, 2, np.random.default_rng(0))
    >>> xs, h = np.ones((3, 1)), np.zeros(2)
    >>> found = bptt(rnn, xs, h, p, d_outputs=np.ones((3, 2)))
    >>> moved = p._replace(b=p.b + [1e-6, 0])
    >>> slope = (scan(rnn, xs, h, moved)[0].sum() - scan(rnn, xs, h, p)[0].sum()) / 1e-6
    >>> abs(float(slope - found.p.b[0])) < 1e-5
    True
    """
    given = check(cell, "xs", xs, state, p, time=True)
    derived = backward(cell)
    length, batched = len(given.xs[0]), given.batch_size is not None
    seeds = [d_state] if len(given.state) == 1 else d_state or [None] * len(given.state)
    now = [_gradient("d_state", seed, part) for seed, part in zip(seeds, given.state, strict=True)]
    like = np.broadcast_to(given.state[0], (length, *given.state[0].shape))
    d_outputs = _gradient("d_outputs", d_outputs, like)

    columns = p
    if batched:  # as scan has it: biases become columns, and so do the members of the batch
        weights = {name: getattr(p, name) for name in given.names}
        laid = (value[:, None] if value.ndim == 1 else value for value in weights.values())
        columns = parameter_set(derived.forward.name, given.names)(*laid)
    steps, states = [], tuple(part.T for part in given.state)
    for t in range(length):
        steps.append(derived.values((*(series[t].T for series in given.xs), *states), columns))
        states = tuple(steps[-1][name] for name in derived.forward.outputs)

    d_p = {name: np.zeros_like(getattr(p, name)) for name in given.names}
    d_xs = [np.zeros_like(series) for series in given.xs]
    for t in reversed(range(length)):
        now[0] = now[0] + d_outputs[t]
        found = derived.gradients(steps[t], tuple(part.T for part in now))
        for name, sum_ in d_p.items():
            sum_ += found[name]
        for name, series in zip(derived.arguments, d_xs, strict=False):
            series[t] = np.transpose(found[name])
        now = [
            np.zeros_like(part) + np.transpose(found[name])
            for name, part in zip(derived.forward.states, given.state, strict=True)
        ]
    made = parameter_set(derived.forward.name, given.names)(*d_p.values())
    return Gradients(made, _pack(d_xs), _pack(now))


def _gradient(argument: str, value: Any, like: Any) -> Any:
    if value is None:
        return np.zeros_like(like)
    if np.shape(value) != like.shape:
        raise ValueError(f"{argument} has shape {np.shape(value)}; expected {like.shape}")
    return value


def _pack(parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else tuple(parts)
