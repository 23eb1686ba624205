"""ONNX's layout: the inputs W, R, B and P of its operators RNN, LSTM and GRU.

With G gates, and N = 1 direction, or 2, forward before reverse:

=====  ==============================================  =========================
input  shape                                           ours
=====  ==============================================  =========================
``W``  (N, G·H, D)                                     W
``R``  (N, G·H, H)                                     U
``B``  (N, 2·G·H), biases beside W x, then beside U h  b is their sum, but see n
``P``  (N, 3·H), of an LSTM with peepholes, i o f      v
=====  ==============================================  =========================

Rows are stacked gate by gate: i o f g (ONNX calls g c), for the GRU z r n (n is h) with a z that
keeps. The node's attributes are not among the weights: `gru` asks for ``linear_before_reset=0``,
the default, `gru_reset_after` for ``linear_before_reset=1``, where n has two biases, our b_n
and b_Un. hidden_size and direction must be set. Activations are ONNX's defaults, except that
`relu_rnn` asks for ``activations=["Relu"]``, once for each direction.

From ours to theirs and back is exact: b goes into the first half of B, zeros into the second.
From theirs to ours and back the *function* is the same, up to the rounding of one sum, but not B.
B and P may be missing, which is zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from companion.cells import lstm
from companion.convert.expect import expect_keys, expect_shape, own_arrays
from companion.convert.gates import PEEPHOLES, Blocks, join, order_of, split
from companion.parameters import Array
from companion.trace import Cell
from companion.variants import peephole_lstm

_DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}


def to_onnx(cell: Cell, p: Any, *, direction: str = "forward") -> dict[str, Array]:
    """The inputs W, R, B, and P if there are peepholes, of one ONNX node.

    cell: rnn, relu_rnn, lstm, peephole_lstm, gru or gru_reset_after. direction as the node's
    attribute: for "forward" and "reverse" p is as `companion.init` gives it, for "bidirectional"
    a pair of such, forward then reverse. Returns NumPy arrays of p's dtype by name. Raises
    ValueError or TypeError that name the argument.

    >>> import companion
    >>> p = companion.init(companion.peephole_lstm, 3, 4, np.random.default_rng(0))
    >>> {name: array.shape for name, array in to_onnx(companion.peephole_lstm, p).items()}
    {'W': (1, 16, 3), 'R': (1, 16, 4), 'B': (1, 32), 'P': (1, 12)}
    """
    order_of("ONNX", cell)
    if _expect_direction(direction) == 1:
        ps = {"p": p}
    elif isinstance(p, list | tuple) and len(p) == 2 and not hasattr(p, "_fields"):
        ps = {"p[0]": p[0], "p[1]": p[1]}
    else:
        raise ValueError(
            f"p is {_described(p)}; expected, for direction='bidirectional', a pair of parameter "
            "sets, forward then reverse"
        )
    named = [_named(join("ONNX", cell, one, argument)) for argument, one in ps.items()]
    for name, array in named[-1].items():
        shape = named[0][name].shape
        expect_shape(f"the second {name}", array, shape, "the first's")
        if array.dtype != named[0][name].dtype:
            raise TypeError(
                f"the second {name} has dtype {array.dtype}; expected {named[0][name].dtype}, "
                "as the first has"
            )
    return {name: np.stack([arrays[name] for arrays in named]) for name in named[0]}


def from_onnx(cell: Cell, weights: Mapping[str, Any], *, direction: str = "forward") -> Any:
    """The parameters in the inputs of one ONNX node.

    cell: rnn, relu_rnn, lstm, peephole_lstm, gru or gru_reset_after; weights: W and R and, if
    there are any, B and, for peephole_lstm, P, of one real dtype. direction as the node's
    attribute; for "bidirectional" a pair comes back, forward then reverse. Returns a named tuple
    of NumPy arrays that share no memory with weights. Raises ValueError or TypeError that name
    the input.

    >>> import companion
    >>> p = companion.init(companion.gru, 3, 4, np.random.default_rng(0))
    >>> weights = to_onnx(companion.gru, (p, p), direction="bidirectional")
    >>> forward, reverse = from_onnx(companion.gru, weights, direction="bidirectional")
    >>> all(map(np.array_equal, p, reverse))
    True
    """
    G, N = len(order_of("ONNX", cell)), _expect_direction(direction)
    optional = ("B", "P") if cell is peephole_lstm else ("B",)
    why = "; peephole_lstm is the LSTM with P" if cell is lstm else ""
    expect_keys(weights, ("W", "R"), optional, why)
    arrays = own_arrays(weights)
    D, H = arrays["W"].shape[-1], arrays["R"].shape[-1]
    shapes = {
        "R": ((N, G * H, H), f"({N}, {G}·H, H)"),
        "W": ((N, G * H, D), f"({N}, {G}·H, D)"),
        "B": ((N, 2 * G * H), f"({N}, {2 * G}·H)"),
        "P": ((N, len(PEEPHOLES) * H), f"({N}, {len(PEEPHOLES)}·H)"),
    }
    for name, (shape, letters) in shapes.items():
        if name in arrays:
            expect_shape(name, arrays[name], shape, f"{letters}, direction={direction!r}")
    ps = []
    for k in range(N):
        one = {name: array[k] for name, array in arrays.items()}
        b_x, b_h = np.split(one["B"], 2) if "B" in one else (None, None)
        ps.append(split("ONNX", cell, Blocks(one["W"], one["R"], b_x, b_h, one.get("P"))))
    return ps[0] if N == 1 else tuple(ps)


def _named(blocks: Blocks) -> dict[str, Array]:
    B = np.concatenate([blocks.b_x, blocks.b_h])
    named = {"W": blocks.W, "R": blocks.U, "B": B}
    return named if blocks.v is None else named | {"P": blocks.v}


def _described(p: Any) -> str:
    plain = isinstance(p, list | tuple) and not hasattr(p, "_fields")
    return f"a {type(p).__name__} of {len(p)}" if plain else f"one {type(p).__name__}"


def _expect_direction(direction: str) -> int:
    if not isinstance(direction, str) or direction not in _DIRECTIONS:
        raise ValueError(f"direction is {direction!r}; expected one of {', '.join(_DIRECTIONS)}")
    return _DIRECTIONS[direction]
