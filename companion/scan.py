"""One loop over time that serves every cell, and the checked single step.

A cell takes single vectors and checks nothing. Here is where shapes and kinds of number are
checked, once per call, and where a batch is laid out: inside, its members are the *columns* of a
matrix, so ``W @ x`` stays as it is printed; biases become columns too. Outside, time comes first,
then the batch: xs (T, D) or (T, B, D).
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from companion.check import Checked, check
from companion.parameters import Array
from companion.trace import Cell, trace

State = Any  # one array, or a plain tuple of arrays if the cell has more states than one


def step(cell: Cell, x: Any, state: State, p: Any) -> State:
    """One step of a cell, checked: its new state.

    x (D,) or a batch (B, D); each part of the state (H,) or (B, H) alike; p as `init` gives it.
    For a cell with several inputs or states, x or state is a tuple of as many arrays. All arrays
    are of one library and one precision. Raises TypeError or ValueError that name the argument,
    what it was and what was expected.

    >>> import numpy as np
    >>> from companion import init, rnn, zero_state
    >>> p = init(rnn, 3, 2, np.random.default_rng(0))
    >>> step(rnn, np.zeros((5, 3)), zero_state(rnn, p, batch_size=5), p).shape
    (5, 2)
    """
    given = check(cell, "x", x, state, p, time=False)
    new = _lay(cell(*_turn(given.xs, given), *_turn(given.state, given), _columns(p, given)))
    return _pack(_turn(new, given))


def scan(cell: Cell, xs: Any, state: State, p: Any) -> tuple[Array, State]:
    """Run a cell over a sequence: state = cell(x, state), again and again.

    xs (T, D) or (T, B, D), for a cell with several inputs a tuple of such; state and p as for
    :func:`step`. Returns the outputs of all steps, (T, H) or (T, B, H), and the last state.
    Raises as :func:`step` does, and ValueError for an empty or a ragged sequence.

    >>> import numpy as np
    >>> from companion import gru, init, zero_state
    >>> p = init(gru, 3, 2, np.random.default_rng(0))
    >>> outputs, state = scan(gru, np.ones((7, 3)), zero_state(gru, p), p)
    >>> outputs.shape, bool((outputs[-1] == state).all())
    ((7, 2), True)
    """
    given = check(cell, "xs", xs, state, p, time=True)
    weights = _columns(p, given)
    now = tuple(_turn(given.state, given))
    outputs = []
    for t in range(len(given.xs[0])):
        now = _lay(cell(*_turn([series[t] for series in given.xs], given), *now, weights))
        outputs.append(_turn(now[:1], given)[0])
    return _stack(outputs), _pack(_turn(now, given))


def zero_state(cell: Cell, p: Any, batch_size: int | None = None) -> State:
    """The state of a cell that has seen nothing: zeros (H,) or (B, H), of p's kind.

    >>> import numpy as np
    >>> from companion import init, lstm
    >>> zero_state(lstm, init(lstm, 1, 2, np.random.default_rng(0)))
    (array([0., 0.]), array([0., 0.]))
    """
    traced = trace(cell)
    name, row = next(
        (n, w.shape.index("H")) for n, w in traced.parameters.items() if "H" in w.shape
    )
    like = getattr(p, name)
    shape = tuple(like.shape)[row : row + 1]
    if batch_size is not None:
        shape = (batch_size, *shape)
    zeros = [_zeros(like, shape) for _ in traced.states]
    return _pack(zeros)


def _lay(new: Any) -> tuple[Array, ...]:
    return new if isinstance(new, tuple) else (new,)


def _pack(parts: Any) -> State:
    return parts[0] if len(parts) == 1 else tuple(parts)


def _turn(arrays: Any, given: Checked) -> list[Array]:
    """Rows to columns and back, if there is a batch."""
    return [array.T for array in arrays] if given.batch_size is not None else list(arrays)


def _columns(p: Any, given: Checked) -> Any:
    """The parameters for use with columns: a bias (H,) becomes (H, 1), so that it can only be
    added to every column, never, when B = H, to every row."""
    if given.batch_size is None:
        return p
    values = {name: getattr(p, name) for name in given.names}
    return SimpleNamespace(
        **{name: a[:, None] if len(a.shape) == 1 else a for name, a in values.items()}
    )


def _stack(arrays: list[Array]) -> Array:
    if hasattr(arrays[0], "__array_namespace__"):  # NumPy and JAX say what they are of
        return arrays[0].__array_namespace__().stack(arrays)
    import torch

    return torch.stack(arrays)


def _zeros(like: Array, shape: tuple[int, ...]) -> Array:
    if hasattr(like, "__array_namespace__"):
        return like.__array_namespace__().zeros(shape, dtype=like.dtype)
    return like.new_zeros(shape)
