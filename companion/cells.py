"""The equations, and nothing else.

Each cell is one function of single vectors: what starts with x is the input, p holds the
parameters, the rest is the state; it returns the new state, whose first part is the output.
``@`` is matrix times vector, ``*`` is the componentwise product ⊙. To run one with shapes
checked, on batches or over time, use :func:`companion.step` and :func:`companion.scan`; to make
its parameters, :func:`companion.init`.

Throughout, D is the input size and H the hidden size: x is (D,), h and c are (H,), every W is
(H, D), every U is (H, H), every b is (H,). A cell checks none of this: given numbers of other
shapes it would broadcast them, which is why :func:`companion.step` stands in front of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from companion.ops import Vector, sigmoid, tanh


def rnn(x: Vector, h: Vector, p: Any) -> Any:
    """The simple recurrent network: h' = tanh(W x + U h + b).

    x (D,), h (H,), p: W (H, D), U (H, H), b (H,). Returns h' (H,), every component in [−1, 1].
    Source: Elman 1990, doi:10.1207/s15516709cog1402_1. ``torch.nn.RNN``, with one bias for two.

    >>> import numpy as np, companion
    >>> p = companion.init(rnn, 1, 2, np.random.default_rng(0))
    >>> rnn(np.zeros(1), np.zeros(2), p) == np.tanh(p.b)
    array([ True,  True])
    """
    return tanh(p.W @ x + p.U @ h + p.b)


def lstm(
    x: Vector, h: Vector, c: Vector, p: Any, phi: Callable[[Any], Any] = tanh
) -> tuple[Any, Any]:
    """The long short-term memory: c' = f⊙c + i⊙g, h' = o⊙φ(c').

    i, f, o = σ(W x + U h + b), each with its own weights; g = tanh(W_g x + U_g h + b_g).
    x (D,), h (H,), c (H,), p: W· (H, D), U· (H, H), b· (H,) for i, f, g, o. Returns (h', c').
    Source: Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735, with the forget gate
    of Gers et al. 2000, doi:10.1162/089976600300015015. ``torch.nn.LSTM``, with one bias for two.

    >>> import numpy as np, companion
    >>> p = companion.init(lstm, 1, 2, np.random.default_rng(0), b="zeros")
    >>> h, c = lstm(np.zeros(1), np.zeros(2), np.ones(2), p)
    >>> c
    array([0.5, 0.5])
    """
    i = sigmoid(p.Wi @ x + p.Ui @ h + p.bi)
    f = sigmoid(p.Wf @ x + p.Uf @ h + p.bf)
    g = tanh(p.Wg @ x + p.Ug @ h + p.bg)
    o = sigmoid(p.Wo @ x + p.Uo @ h + p.bo)
    c = f * c + i * g
    return o * phi(c), c


def lstm_host(
    x: Vector, xo: Vector, h: Vector, c: Vector, p: Any, phi: Callable[[Any], Any] = tanh
) -> tuple[Any, Any]:
    """The LSTM with full-matrix peepholes V, and an input x° of its own for the output gate.

    With V = 0, x° = x and φ = tanh it is :func:`lstm`; which other choices make it a GRU is the
    book's main theorem. i, f = σ(W x + U h + V c + b), o = σ(W_o x° + U_o h + V_o c' + b_o), which
    reads the new cell; g = tanh(W_g x + U_g h + b_g); c' = f⊙c + i⊙g, h' = o⊙φ(c').
    x, x° (D,), h, c (H,), p: W· (H, D), U· (H, H), b· (H,) for i, f, g, o, and V· (H, H) for i, f,
    o. Returns (h', c'). Peepholes: Gers & Schmidhuber 2000, there diagonal.

    >>> import numpy as np, companion
    >>> p = companion.init(lstm_host, 1, 2, np.random.default_rng(0), b="zeros")
    >>> h, c = lstm_host(np.zeros(1), np.zeros(1), np.zeros(2), np.zeros(2), p)
    >>> c
    array([0., 0.])
    """
    i = sigmoid(p.Wi @ x + p.Ui @ h + p.Vi @ c + p.bi)
    f = sigmoid(p.Wf @ x + p.Uf @ h + p.Vf @ c + p.bf)
    g = tanh(p.Wg @ x + p.Ug @ h + p.bg)
    c = f * c + i * g
    o = sigmoid(p.Wo @ xo + p.Uo @ h + p.Vo @ c + p.bo)
    return o * phi(c), c


def gru(x: Vector, h: Vector, p: Any) -> Any:
    """The gated recurrent unit, reset *before* the matrix: n = tanh(W_n x + U_n (r⊙h) + b_n).

    (``companion.gru_reset_after`` is the form that PyTorch and cuDNN compute.)
    z, r = σ(W x + U h + b), each with its own weights; h' = (1−z)⊙h + z⊙n: z *writes*.
    x (D,), h (H,), p: W· (H, D), U· (H, H), b· (H,) for z, r, n. Returns h' (H,).
    Source: Chung et al. 2014, arXiv:1412.3555. Cho et al. 2014, arXiv:1406.1078v3, is the same
    with 1−z in the place of z.

    >>> import numpy as np, companion
    >>> p = companion.init(gru, 1, 2, np.random.default_rng(0), b="zeros")
    >>> gru(np.zeros(1), np.zeros(2), p)
    array([0., 0.])
    """
    z = sigmoid(p.Wz @ x + p.Uz @ h + p.bz)
    r = sigmoid(p.Wr @ x + p.Ur @ h + p.br)
    n = tanh(p.Wn @ x + p.Un @ (r * h) + p.bn)
    return (1 - z) * h + z * n


def gru_reset_after(x: Vector, h: Vector, p: Any) -> Any:
    """The gated recurrent unit, reset *after* the matrix: n = tanh(W_n x + r⊙(U_n h + b_Un) + b_n).

    (``companion.gru`` is the form of Cho et al., third version, and of Chung et al.)
    z, r = σ(W x + U h + b), each with its own weights; h' = (1−z)⊙h + z⊙n: z *writes*.
    x (D,), h (H,), p: W· (H, D), U· (H, H), b· (H,) for z, r, n, and b_Un (H,). Returns h' (H,).
    Source: the first version of Cho et al. 2014, arXiv:1406.1078v1, with z for 1−z; b_Un is
    cuDNN's. ``torch.nn.GRU`` with its z-weights (W_z, U_z, b_z) negated, since its z keeps.

    >>> import numpy as np, companion
    >>> p = companion.init(gru_reset_after, 1, 2, np.random.default_rng(0), b="zeros")
    >>> gru_reset_after(np.zeros(1), np.ones(2), p).shape
    (2,)
    """
    z = sigmoid(p.Wz @ x + p.Uz @ h + p.bz)
    r = sigmoid(p.Wr @ x + p.Ur @ h + p.br)
    n = tanh(p.Wn @ x + r * (p.Un @ h + p.bUn) + p.bn)
    return (1 - z) * h + z * n
