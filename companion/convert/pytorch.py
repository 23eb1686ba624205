"""PyTorch's layout: ``torch.nn.RNN``, ``LSTM`` and ``GRU``, as their state dicts hold it.

For layer k = 0, 1, …, each key with ``_reverse`` after it for the second direction, and G gates:

| key | shape | ours |
| --- | --- | --- |
| ``weight_ih_l{k}`` | (G·H, D), for k > 0 (G·H, H), bidirectional (G·H, 2·H) | every W |
| ``weight_hh_l{k}`` | (G·H, H) | every U |
| ``bias_ih_l{k}`` | (G·H,) | every b |
| ``bias_hh_l{k}`` | (G·H,) | added to b; of a GRU's n, b_Un |

Rows are gate by gate: i f g o, for the GRU r z n with a z that keeps.
"""

from __future__ import annotations

from typing import Any

from companion.convert.gates import Blocks, expect_shape, order_of, split
from companion.parameters import Array
from companion.trace import Cell


def split_pytorch(
    cell: Cell,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
) -> Any:
    """One layer's parameters from PyTorch's tensors, as slices, negations and sums of them.

    weight_ih (G·H, D), weight_hh (G·H, H), biases (G·H,) or both None, for zeros. They may be
    NumPy arrays or torch tensors, which are differentiated through. cell: rnn, lstm,
    gru_reset_after, or gru, which torch.nn has not, but which has the same weights with both
    biases summed. Returns a named tuple as `companion.init` does. Raises ValueError that names
    the argument.

    >>> import numpy as np, companion
    >>> p = split_pytorch(companion.gru, np.ones((6, 3)), np.ones((6, 2)))
    >>> p
    gru parameters: Wz (2, 3), Uz (2, 2), bz (2,), Wr (2, 3), Ur (2, 2), br (2,), \
Wn (2, 3), Un (2, 2), bn (2,)
    >>> p.Wz[0], p.Wr[0]
    (array([-1., -1., -1.]), array([1., 1., 1.]))
    """
    gates = len(order_of("PyTorch", cell))
    if (bias_ih is None) != (bias_hh is None):
        raise ValueError("of bias_ih and bias_hh one is None; expected both arrays or both None")
    D, H = weight_ih.shape[-1], weight_hh.shape[-1]
    expect_shape("weight_hh", weight_hh, (gates * H, H), f"({gates}·H, H)")
    expect_shape("weight_ih", weight_ih, (gates * H, D), f"({gates}·H, D)")
    for name, bias in (("bias_ih", bias_ih), ("bias_hh", bias_hh)):
        if bias is not None:
            expect_shape(name, bias, (gates * H,), f"({gates}·H,)")
    return split("PyTorch", cell, Blocks(weight_ih, weight_hh, bias_ih, bias_hh))
