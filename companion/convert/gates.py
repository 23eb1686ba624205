"""The one table of gate orders and signs, and the two functions that read it.

Every library stacks a cell's gates in one matrix for x, one for h, and one or two biases; they
differ in the order of the gates and, against this book, in what the GRU's update gate does. With
our letters:

| | rnn | lstm | gru, gru_reset_after | z | stacked |
| --- | --- | --- | --- | --- | --- |
| PyTorch | W | i f g o | r z n | keeps | rows |
| Keras | W | i f g o | z r n | keeps | columns |
| ONNX | W | i o f g, peepholes i o f | z r n | keeps | rows |

Ours writes: h' = (1−z)⊙h + z⊙n. Since σ(−a) = 1 − σ(a), negating (W_z, U_z, b_z) turns one into
the other, exactly also in floating point. PyTorch's files, and Keras' and ONNX's, call g, n and i
by other letters (c, h, …); the order is what counts.
"""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

import numpy as np

from companion.cells import gru, gru_reset_after, lstm, rnn
from companion.parameters import Array, parameter_set
from companion.trace import Cell, name_of, trace
from companion.variants import peephole_lstm

_ONE = ("",)  # the plain network's W, U, b carry no letter
ORDERS: dict[str, dict[Cell, tuple[str, ...]]] = {
    "PyTorch": {
        rnn: _ONE,
        lstm: ("i", "f", "g", "o"),
        gru: ("r", "z", "n"),
        gru_reset_after: ("r", "z", "n"),
    },
    "Keras": {
        rnn: _ONE,
        lstm: ("i", "f", "g", "o"),
        gru: ("z", "r", "n"),
        gru_reset_after: ("z", "r", "n"),
    },
    "ONNX": {
        rnn: _ONE,
        lstm: ("i", "o", "f", "g"),
        peephole_lstm: ("i", "o", "f", "g"),
        gru: ("z", "r", "n"),
        gru_reset_after: ("z", "r", "n"),
    },
}
PEEPHOLES = ("i", "o", "f")  # in ONNX; the two others have none
NEGATED = ("z",)  # the gates that keep in all three libraries and write in ours

# Looked up, not traced, when weights are split: torch.compile then sees dictionaries only.
KINDS: dict[Cell, Any] = {
    cell: parameter_set(name_of(cell), tuple(trace(cell).parameters))
    for orders in ORDERS.values()
    for cell in orders
}


class Blocks(NamedTuple):
    """A cell's weights with the gates stacked in rows, in a library's order and signs.

    W (G·H, D), U (G·H, H), b_in and b_hidden (G·H,), v (3·H,): the biases that stand beside W x
    and beside U h, and the peepholes. None for what is not there.
    """

    W: Array
    U: Array
    b_in: Array | None = None
    b_hidden: Array | None = None
    v: Array | None = None


def order_of(library: str, cell: Cell) -> tuple[str, ...]:
    """The gates of a cell in the order of a library, or an error that says which cells it has.

    >>> order_of("PyTorch", gru)
    ('r', 'z', 'n')
    """
    if cell not in ORDERS[library]:
        refuse(library, cell, tuple(map(name_of, ORDERS[library])))
    return ORDERS[library][cell]


def refuse(library: str, cell: Cell, expected: tuple[str, ...], why: str = "") -> NoReturn:
    """Raise the error for a cell that a library's layout cannot express."""
    raise ValueError(
        f"cell is {name_of(cell)}; expected one that {library} has: {', '.join(expected)}{why}"
    )


def split(library: str, cell: Cell, blocks: Blocks) -> Any:
    """A cell's parameters from a library's blocks: slices, signs and sums, nothing else.

    It works on any kind of array, and through it torch differentiates. Missing biases and
    peepholes become zeros. Two biases become their sum, except where the cell has both.
    """
    kind = KINDS[cell]
    H = blocks.U.shape[1]
    values = {}
    for k, gate in enumerate(ORDERS[library][cell]):
        rows = slice(k * H, (k + 1) * H)
        values[f"W{gate}"] = _signed(gate, blocks.W[rows])
        values[f"U{gate}"] = _signed(gate, blocks.U[rows])
        b_in = _zeros(blocks.U, H) if blocks.b_in is None else blocks.b_in[rows]
        b_hidden = None if blocks.b_hidden is None else blocks.b_hidden[rows]
        if f"bU{gate}" in kind._fields:
            values[f"bU{gate}"] = _zeros(blocks.U, H) if b_hidden is None else b_hidden
        elif b_hidden is not None:
            b_in = b_in + b_hidden
        values[f"b{gate}"] = _signed(gate, b_in)
    for k, gate in enumerate(PEEPHOLES):
        if f"v{gate}" in kind._fields:
            rows = slice(k * H, (k + 1) * H)
            values[f"v{gate}"] = _zeros(blocks.U, H) if blocks.v is None else blocks.v[rows]
    return kind(**values)


def join(library: str, cell: Cell, p: Any) -> Blocks:
    """A library's blocks, NumPy arrays of their own, from a cell's parameters: undoes `split`.

    The one bias goes beside W x, zeros beside U h, and b_Un beside U h where there is one.
    """
    values = _checked(cell, p)
    order = order_of(library, cell)
    H = len(values[f"b{order[0]}"])
    b_hidden = [values.get(f"bU{gate}", np.zeros(H, values[f"b{gate}"].dtype)) for gate in order]
    peepholes = [values[f"v{gate}"] for gate in PEEPHOLES if f"v{gate}" in values]
    W, U, b_in = (
        np.concatenate([_signed(gate, values[f"{letter}{gate}"]) for gate in order])
        for letter in "WUb"
    )
    v = np.concatenate(peepholes) if peepholes else None
    return Blocks(W, U, b_in, np.concatenate(b_hidden), v)


def expect_shape(name: str, array: Array, shape: tuple[int, ...], letters: str) -> None:
    """Raise ValueError unless an array has the shape that its place in a layout asks for."""
    if tuple(array.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(array.shape)}; expected {shape} = {letters}")


def _signed(gate: str, array: Array) -> Array:
    return -array if gate in NEGATED else array


def _zeros(like: Array, size: int) -> Array:
    if hasattr(like, "new_zeros"):  # torch, whose tensors know no array namespace
        return like.new_zeros(size)
    return like.__array_namespace__().zeros(size, dtype=like.dtype)


def _checked(cell: Cell, p: Any) -> dict[str, Array]:
    """The parameters by name, if they are all there, of one real dtype, and fit together."""
    wires = trace(cell).parameters
    missing = [name for name in wires if not hasattr(p, name)]
    if missing:
        raise ValueError(
            f"p, a {type(p).__name__}, has no {', '.join(missing)}; {name_of(cell)} needs "
            f"{', '.join(wires)} as attributes (companion.init makes them)"
        )
    values = {name: np.asarray(getattr(p, name)) for name in wires}
    first = next(iter(values))
    sizes = dict(zip("HD", values[first].shape, strict=False))  # the first is a W, (H, D)
    for name, array in values.items():
        letters = wires[name].shape
        shape = tuple(sizes.get(letter, 0) for letter in letters)
        expect_shape(
            f"p.{name}", array, shape, f"({', '.join(letters)}{',' * (len(letters) == 1)})"
        )
        if array.dtype.kind != "f" or array.dtype != values[first].dtype:
            raise TypeError(
                f"p.{name} has dtype {array.dtype} and p.{first} {values[first].dtype}; "
                "expected one real floating-point dtype"
            )
    return values
