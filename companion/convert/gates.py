"""The one table of gate orders and signs, and the two functions that read it.

Every library stacks a cell's gates in one matrix for x, one for h, and one or two biases. They
differ in the order of the gates and, from this book, in what the GRU's update gate does. In our
letters:

=======  ========================  ====================  =====  =========  =====================
library  lstm, peephole_lstm       gru, gru_reset_after  z      gates are  biases
=======  ========================  ====================  =====  =========  =====================
PyTorch  i f g o                   r z n                 keeps  rows       two
Keras    i f g o                   z r n                 keeps  columns    one; reset after, two
ONNX     i o f g; peepholes i o f  z r n                 keeps  rows       two
=======  ========================  ====================  =====  =========  =====================

Our z writes: h' = (1−z)⊙h + z⊙n. Since σ(−a) = 1 − σ(a), negating (W_z, U_z, b_z) turns one
convention into the other. The libraries' own letters are others (g is also called c, n is called
h); here only the order counts. rnn and relu_rnn have no gates; their W, U, b are the stack.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from companion.cells import gru, gru_reset_after, lstm, rnn
from companion.convert.expect import own_parameters, refuse_cell
from companion.parameters import Array, parameter_set
from companion.trace import Cell, name_of, trace
from companion.variants import peephole_lstm, relu_rnn

Order = tuple[str, ...]

_ONE: Order = ("",)  # the plain network's W, U and b have no letter
_IFGO: Order = ("i", "f", "g", "o")
_IOFG: Order = ("i", "o", "f", "g")
_RZN: Order = ("r", "z", "n")
_ZRN: Order = ("z", "r", "n")

ORDERS: dict[str, dict[Cell, Order]] = {
    "PyTorch": {rnn: _ONE, relu_rnn: _ONE, lstm: _IFGO, gru: _RZN, gru_reset_after: _RZN},
    "Keras": {rnn: _ONE, relu_rnn: _ONE, lstm: _IFGO, gru: _ZRN, gru_reset_after: _ZRN},
    "ONNX": {
        rnn: _ONE,
        relu_rnn: _ONE,
        lstm: _IOFG,
        peephole_lstm: _IOFG,
        gru: _ZRN,
        gru_reset_after: _ZRN,
    },
}
PEEPHOLES: Order = ("i", "o", "f")  # ONNX's; the two others have none
NEGATED: Order = ("z",)  # writes here, keeps in all three libraries

# Made once: torch.compile, which comes through `split`, could not follow the trace of a cell.
_KINDS: dict[Cell, Any] = {
    cell: parameter_set(name_of(cell), tuple(trace(cell).parameters))
    for orders in ORDERS.values()
    for cell in orders
}


class Blocks(NamedTuple):
    """One layer's weights, gates stacked in rows in a library's order, with its signs.

    W (G·H, D); U (G·H, H); b_x and b_h (G·H,), the biases beside W x and beside U h; v (3·H,),
    the peepholes. None is for what a layer does without.
    """

    W: Array
    U: Array
    b_x: Array | None
    b_h: Array | None
    v: Array | None = None


def order_of(library: str, cell: Cell) -> Order:
    """The order of a cell's gates in a library, or an error that says which cells that has.

    >>> order_of("PyTorch", gru)
    ('r', 'z', 'n')
    """
    if cell not in ORDERS[library]:
        refuse_cell(library, cell, ORDERS[library])
    return ORDERS[library][cell]


def split(library: str, cell: Cell, blocks: Blocks) -> Any:
    """A cell's parameters from a library's blocks: slices, signs and sums of them, nothing else.

    So it serves every kind of array, and torch differentiates through it. What a layer does
    without is zero. Two biases become their sum, except in reset-after's n, which keeps both.
    """
    kind, H = _KINDS[cell], blocks.U.shape[1]
    values = {}
    for k, gate in enumerate(order_of(library, cell)):
        rows = slice(k * H, (k + 1) * H)
        b = _zeros(blocks.U, H) if blocks.b_x is None else blocks.b_x[rows]
        inner = _zeros(blocks.U, H) if blocks.b_h is None else blocks.b_h[rows]
        if f"bU{gate}" in kind._fields:
            values[f"bU{gate}"] = inner
        else:
            b = b + inner
        values[f"W{gate}"] = _signed(gate, blocks.W[rows])
        values[f"U{gate}"] = _signed(gate, blocks.U[rows])
        values[f"b{gate}"] = _signed(gate, b)
    for k, gate in enumerate(PEEPHOLES):
        if f"v{gate}" in kind._fields:
            rows = slice(k * H, (k + 1) * H)
            values[f"v{gate}"] = _zeros(blocks.U, H) if blocks.v is None else blocks.v[rows]
    return kind(**values)


def join(library: str, cell: Cell, p: Any, argument: str = "p") -> Blocks:
    """A library's blocks, as NumPy arrays, from a cell's parameters; `split` undoes it exactly.

    Our one bias goes beside W x; beside U h stand zeros, for reset-after's n its b_Un.
    argument: what messages call p.
    """
    order = order_of(library, cell)
    values = own_parameters(cell, argument, p)
    W, U, b_x = (
        np.concatenate([_signed(gate, values[letter + gate]) for gate in order])
        for letter in ("W", "U", "b")
    )
    zeros = np.zeros_like(values[f"b{order[0]}"])
    b_h = np.concatenate([values.get(f"bU{gate}", zeros) for gate in order])
    peepholes = [values[f"v{gate}"] for gate in PEEPHOLES if f"v{gate}" in values]
    return Blocks(W, U, b_x, b_h, np.concatenate(peepholes) if peepholes else None)


def _signed(gate: str, array: Array) -> Array:
    return -array if gate in NEGATED else array


def _zeros(like: Array, size: int) -> Array:
    """New ones at each call: two parameters that were one array would change together."""
    if hasattr(like, "new_zeros"):  # a torch tensor, which has no array namespace
        return like.new_zeros(size)
    return like.__array_namespace__().zeros(size, dtype=like.dtype)
