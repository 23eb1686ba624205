"""PyTorch's layout: the state dicts of ``torch.nn.RNN``, ``LSTM`` and ``GRU``.

For layer k = 0, 1, … and G gates; the keys of the reverse direction end in ``_reverse``:

==================  ===============================================  ===========================
key                 shape                                            ours
==================  ===============================================  ===========================
``weight_ih_l{k}``  (G·H, D); above layer 0 (G·H, H), or (G·H, 2·H)  W
``weight_hh_l{k}``  (G·H, H)                                         U
``bias_ih_l{k}``    (G·H,)                                           b
``bias_hh_l{k}``    (G·H,)                                           added to b; in n it is b_Un
==================  ===============================================  ===========================

Rows are stacked gate by gate: i f g o, for the GRU r z n with a z that keeps. ``torch.nn.GRU``
resets after the matrix: it is `gru_reset_after`, and `gru` has no place in PyTorch. `relu_rnn` is
``torch.nn.RNN`` with ``nonlinearity="relu"``.

PyTorch has two biases where one is enough. Ours goes into ``bias_ih``, with zeros in ``bias_hh``,
so from ours to theirs and back is exact. From theirs to ours and back the *function* is the same,
up to the rounding of one sum, but not the arrays: the two biases come back as their sum and zero.
Layers without biases come back with zeros.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from companion.cells import gru
from companion.convert.expect import expect_keys, expect_shape, own_arrays, refuse_cell
from companion.convert.gates import ORDERS, Blocks, join, order_of, split
from companion.parameters import Array
from companion.trace import Cell

_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def split_pytorch(
    cell: Cell,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
) -> Any:
    """One layer's parameters as slices, negations and sums of PyTorch's tensors.

    weight_ih (G·H, D), weight_hh (G·H, H), the biases (G·H,), or None, for zeros. They are NumPy
    arrays, or torch tensors, which are differentiated through. cell: rnn, relu_rnn, lstm,
    gru_reset_after, or gru, which torch.nn has not but which runs on the same weights, both
    biases summed. Returns a named tuple like `companion.init`'s. Raises ValueError that names the
    argument.

    >>> import numpy as np, companion
    >>> p = split_pytorch(companion.gru, np.ones((6, 3)), np.ones((6, 2)))
    >>> p
    gru parameters: Wz (2, 3), Uz (2, 2), bz (2,), Wr (2, 3), Ur (2, 2), br (2,), \
Wn (2, 3), Un (2, 2), bn (2,)
    >>> p.Wz[0], p.Wr[0]
    (array([-1., -1., -1.]), array([1., 1., 1.]))
    """
    sizes = weight_ih.shape[-1], weight_hh.shape[-1]
    return _split(cell, sizes, "", weight_ih, weight_hh, bias_ih, bias_hh)


def to_pytorch(cell: Cell, p: Any) -> dict[str, Array]:
    """The state dict of PyTorch's module with one layer and one direction.

    cell: rnn, relu_rnn, lstm or gru_reset_after; p as `companion.init` gives it. Returns NumPy
    arrays of p's dtype, by key. Raises ValueError or TypeError that name the argument.

    >>> import numpy as np, companion
    >>> p = companion.init(companion.lstm, 3, 4, np.random.default_rng(0))
    >>> {key: array.shape for key, array in to_pytorch(companion.lstm, p).items()}
    {'weight_ih_l0': (16, 3), 'weight_hh_l0': (16, 4), 'bias_ih_l0': (16,), 'bias_hh_l0': (16,)}
    """
    _expect_cell(cell)
    return _keyed("_l0", join("PyTorch", cell, p))


def from_pytorch(cell: Cell, weights: Mapping[str, Any]) -> Any:
    """The parameters in the state dict of PyTorch's module with one layer and one direction.

    cell: rnn, relu_rnn, lstm or gru_reset_after; weights: ``weight_ih_l0``, ``weight_hh_l0`` and,
    both or neither, ``bias_ih_l0``, ``bias_hh_l0``, of one real dtype. Returns a named tuple of
    NumPy arrays that share no memory with weights. Raises ValueError or TypeError that name the
    key.

    >>> import numpy as np, companion
    >>> p = companion.init(companion.lstm, 3, 4, np.random.default_rng(0))
    >>> again = from_pytorch(companion.lstm, to_pytorch(companion.lstm, p))
    >>> all(map(np.array_equal, p, again))
    True
    """
    _expect_cell(cell)
    why = "; for more layers or directions see from_pytorch_layers"
    _expect_keys(weights, ("_l0",), why)
    (p,) = from_pytorch_layers(cell, weights)
    return p


def to_pytorch_layers(
    cell: Cell, ps: Sequence[Any], *, bidirectional: bool = False
) -> dict[str, Array]:
    """The state dict of PyTorch's module with any number of layers, in one direction or both.

    cell: rnn, relu_rnn, lstm or gru_reset_after; ps: one parameter set a layer, from the first,
    which reads x, upwards; bidirectional, two a layer, forward before reverse. Returns NumPy
    arrays of ps' dtype, by key. Raises ValueError or TypeError that name the parameter set, such
    as ps[1], or, where layers do not fit together, the key.

    >>> import numpy as np, companion
    >>> ps = [companion.init(companion.rnn, D, 2, np.random.default_rng(0)) for D in (3, 3, 4, 4)]
    >>> weights = to_pytorch_layers(companion.rnn, ps, bidirectional=True)
    >>> weights["weight_ih_l0_reverse"].shape, weights["weight_ih_l1"].shape
    ((2, 3), (2, 4))
    """
    _expect_cell(cell)
    directions = 2 if bidirectional else 1
    if not ps or len(ps) % directions:
        raise ValueError(
            f"ps has length {len(ps)}; expected one parameter set a layer, two if bidirectional"
        )
    suffixes = _suffixes(len(ps) // directions, bidirectional)
    weights: dict[str, Array] = {}
    for k, (suffix, p) in enumerate(zip(suffixes, ps, strict=True)):
        weights |= _keyed(suffix, join("PyTorch", cell, p, f"ps[{k}]"))
    from_pytorch_layers(cell, weights)  # which sees layers that do not fit together
    return weights


def from_pytorch_layers(cell: Cell, weights: Mapping[str, Any]) -> list[Any]:
    """The parameters in the state dict of PyTorch's module with any number of layers.

    cell: rnn, relu_rnn, lstm or gru_reset_after; weights: ``weight_ih_l{k}``, ``weight_hh_l{k}``
    and, all or none, ``bias_ih_l{k}``, ``bias_hh_l{k}``, of one real dtype. The keys tell the
    layers and directions. Returns a list of parameter sets, from the first layer upwards; if
    bidirectional, two a layer, forward before reverse: NumPy arrays that share no memory with
    weights. Raises ValueError or TypeError that name the key.

    >>> import numpy as np, companion
    >>> shapes = {"weight_ih_l0": (4, 3), "weight_hh_l0": (4, 4),
    ...           "weight_ih_l1": (4, 4), "weight_hh_l1": (4, 4)}
    >>> weights = {key: np.ones(shape) for key, shape in shapes.items()}
    >>> [p.W.shape for p in from_pytorch_layers(companion.rnn, weights)]
    [(4, 3), (4, 4)]
    """
    _expect_cell(cell)
    keys = list(map(str, weights)) if isinstance(weights, Mapping) else []
    layers = sum(bool(re.fullmatch(r"weight_ih_l\d+", key)) for key in keys)
    bidirectional = any(key.endswith("_reverse") for key in keys)
    suffixes = _suffixes(max(layers, 1), bidirectional)
    _expect_keys(weights, suffixes)
    arrays = own_arrays(weights)
    H = arrays["weight_hh_l0"].shape[-1]
    D = arrays["weight_ih_l0"].shape[-1]
    above = (1 + bidirectional) * H
    return [
        _split(
            cell,
            (D if suffix in ("_l0", "_l0_reverse") else above, H),
            suffix,
            *(arrays.get(name + suffix) for name in _NAMES),
        )
        for suffix in suffixes
    ]


def _keyed(suffix: str, blocks: Blocks) -> dict[str, Array]:
    arrays = (blocks.W, blocks.U, blocks.b_x, blocks.b_h)
    return {name + suffix: array for name, array in zip(_NAMES, arrays, strict=True)}


def _suffixes(layers: int, bidirectional: bool) -> tuple[str, ...]:
    ends = ("", "_reverse") if bidirectional else ("",)
    return tuple(f"_l{k}{end}" for k in range(layers) for end in ends)


def _expect_cell(cell: Cell) -> None:
    if cell is gru or cell not in ORDERS["PyTorch"]:
        why = "; torch.nn.GRU resets after the matrix, gru before it" if cell is gru else ""
        refuse_cell("PyTorch", cell, [c for c in ORDERS["PyTorch"] if c is not gru], why)


def _expect_keys(weights: Any, suffixes: tuple[str, ...], why: str = "") -> None:
    matrices, biases = (
        tuple(name + suffix for suffix in suffixes for name in names)
        for names in (_NAMES[:2], _NAMES[2:])
    )
    if isinstance(weights, Mapping) and any(str(key).startswith("bias_") for key in weights):
        expect_keys(weights, matrices + biases, (), why)  # one bias alone is none of PyTorch's
    else:
        expect_keys(weights, matrices, biases, why)


def _split(
    cell: Cell,
    sizes: tuple[int, int],
    suffix: str,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
) -> Any:
    """Check the shapes against D and H, under names that end in the suffix, then split."""
    G = len(order_of("PyTorch", cell))
    if (bias_ih is None) != (bias_hh is None):
        raise ValueError("one of bias_ih and bias_hh is None; expected both or neither")
    D, H = sizes
    expect_shape(f"weight_hh{suffix}", weight_hh, (G * H, H), f"({G}·H, H)")
    expect_shape(f"weight_ih{suffix}", weight_ih, (G * H, D), f"({G}·H, inputs)")
    for name, bias in ((f"bias_ih{suffix}", bias_ih), (f"bias_hh{suffix}", bias_hh)):
        if bias is not None:
            expect_shape(name, bias, (G * H,), f"({G}·H,)")
    return split("PyTorch", cell, Blocks(weight_ih, weight_hh, bias_ih, bias_hh))
