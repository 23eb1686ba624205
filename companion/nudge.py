"""How long a loop remembers: what a nudge of the first input leaves in the state."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from companion.parameters import Array
from companion.scan import step, zero_state
from companion.trace import Cell


def nudge(cell: Cell, xs: NDArray[Any], p: Any) -> Array:
    """How far two runs are apart that differ in the first input: ‖s̃_t − s_t‖ / ‖s̃_1 − s_1‖.

    xs (T, D), a NumPy array, to whose first step 1 is added in one of the runs. s is the whole
    state, for an LSTM h and c together. Returns T numbers, of which the first is 1.

    >>> from companion import init, rnn
    >>> p = init(rnn, 1, 8, np.random.default_rng(0))
    >>> nudge(rnn, np.zeros((4, 1)), p).round(2)
    array([1.  , 0.41, 0.18, 0.13])
    """
    nudged = xs.copy()
    nudged[0] += 1
    apart = states(cell, nudged, p) - states(cell, xs, p)
    distance = np.sqrt((apart**2).sum(axis=1))
    return distance / distance[0]


def states(cell: Cell, xs: NDArray[Any], p: Any) -> NDArray[Any]:
    """The whole state after every step, from zero: (T, H), or (T, 2H) for h and c together.

    >>> from companion import init, lstm
    >>> states(lstm, np.zeros((4, 1)), init(lstm, 1, 8, np.random.default_rng(0))).shape
    (4, 16)
    """
    state, found = zero_state(cell, p), []
    for x in xs:
        state = step(cell, x, state, p)
        found.append(np.ravel(state))
    return np.array(found)
