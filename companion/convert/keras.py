"""Keras' layout: the lists that ``get_weights`` of its SimpleRNN, LSTM and GRU layers returns.

With G gates, and ``@`` from the right, so that everything is transposed:

=====  ======================================  ========  ==============================
place  name                                    shape     ours
=====  ======================================  ========  ==============================
0      ``kernel``                              (D, G·H)  Wᵀ
1      ``recurrent_kernel``                    (H, G·H)  Uᵀ
2      ``bias``                                (G·H,)    b
2      ``bias`` of a GRU with ``reset_after``  (2, G·H)  b; in n the second row is b_Un
=====  ======================================  ========  ==============================

Columns are stacked gate by gate: i f g o, for the GRU z r n with a z that keeps. `gru` is Keras'
GRU with ``reset_after=False``, `gru_reset_after` its default. Activations are Keras' defaults,
tanh, and sigmoid for the gates; `relu_rnn` is SimpleRNN with ``activation="relu"``. The list of a
Bidirectional layer is the forward layer's, then the backward layer's. A GRU's list without a bias
does not show where it resets: the cell that is given says so.

From ours to theirs and back is exact. So is theirs to ours and back, except that a GRU with
``reset_after`` has a second bias for z and r also: it comes back added to the first, the function
the same up to the rounding of that sum. Layers without a bias come back with zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from companion.cells import gru, gru_reset_after
from companion.convert.expect import expect_shape, own_arrays
from companion.convert.gates import Blocks, join, order_of, split
from companion.parameters import Array
from companion.trace import Cell

_NAMES = ("kernel", "recurrent_kernel", "bias")
_RESETS: dict[Cell, str] = {
    gru: ", as reset_after=False has it",
    gru_reset_after: ", as reset_after=True has it",
}


def to_keras(cell: Cell, p: Any) -> list[Array]:
    """The list for ``set_weights`` of one Keras layer: kernel, recurrent_kernel, bias.

    cell: rnn, relu_rnn, lstm, gru or gru_reset_after; p as `companion.init` gives it. Returns
    NumPy arrays of p's dtype. Raises ValueError or TypeError that name the argument.

    >>> import companion
    >>> p = companion.init(companion.gru_reset_after, 3, 4, np.random.default_rng(0))
    >>> [array.shape for array in to_keras(companion.gru_reset_after, p)]
    [(3, 12), (4, 12), (2, 12)]
    """
    blocks = join("Keras", cell, p)
    biases: tuple[Array, ...] = (blocks.b_x, blocks.b_h)
    bias = np.stack(biases) if cell is gru_reset_after else blocks.b_x
    return [blocks.W.T.copy(), blocks.U.T.copy(), bias]


def from_keras(cell: Cell, weights: Sequence[Any]) -> Any:
    """The parameters in what ``get_weights`` of one Keras layer returns.

    cell: rnn, relu_rnn, lstm, gru or gru_reset_after; weights: kernel, recurrent_kernel and, if
    there is one, bias, of one real dtype. Returns a named tuple of NumPy arrays that share no
    memory with weights. Raises ValueError or TypeError that name the array.

    >>> import companion
    >>> p = companion.init(companion.gru, 3, 4, np.random.default_rng(0))
    >>> again = from_keras(companion.gru, to_keras(companion.gru, p))
    >>> all(map(np.array_equal, p, again))
    True
    """
    G = len(order_of("Keras", cell))
    expected = f"{', '.join(_NAMES)} of one layer, the bias optional"
    if not isinstance(weights, list | tuple):
        raise TypeError(f"weights is a {type(weights).__name__}; expected a list: {expected}")
    if len(weights) not in (2, 3):
        raise ValueError(f"weights has {len(weights)} arrays; expected {expected}")
    arrays = own_arrays(dict(zip(_NAMES, weights, strict=False)))
    kernel, recurrent = arrays["kernel"], arrays["recurrent_kernel"]
    D, H = kernel.shape[0], recurrent.shape[0]
    expect_shape("recurrent_kernel", recurrent, (H, G * H), f"(H, {G}·H)")
    expect_shape("kernel", kernel, (D, G * H), f"(D, {G}·H)")
    b_x = b_h = None
    if "bias" in arrays:
        bias = arrays["bias"]
        two = cell is gru_reset_after
        shape, letters = ((2, G * H), f"(2, {G}·H)") if two else ((G * H,), f"({G}·H,)")
        expect_shape("bias", bias, shape, letters + _RESETS.get(cell, ""))
        b_x, b_h = bias if two else (bias, None)
    return split("Keras", cell, Blocks(kernel.T, recurrent.T, b_x, b_h))
