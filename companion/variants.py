"""Named relatives of the three cells, and the steps between the LSTM and the GRU.

As in :mod:`companion.cells`, each is its equation. W is (H, D), U (H, H), b and v (H,), and D, H
are the input and the hidden size. Letters are ours throughout, so a paper's own may differ: z
writes, f keeps, n and g are candidates.

The ladder, LSTM → `coupled_lstm` → `linear_lstm` → `cell_gated_lstm` → `reading_lstm` → GRU, takes
one change at a time. All of them are different cells; only the last is the GRU, by other letters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from companion.ops import Vector, relu, sigmoid, softplus, tanh


def relu_rnn(x: Vector, h: Vector, p: Any) -> Any:
    """The simple recurrent network with relu for tanh: h' = relu(W x + U h + b).

    No component of h' is negative, and none is bounded above, so it can count, as `rnn` cannot
    (Weiss et al. 2018, arXiv:1805.04908). p: as for `rnn`. Returns h' (H,).
    Source: Le et al. 2015, arXiv:1504.00941, who start from U = 1 and b = 0 (the IRNN).
    ``torch.nn.RNN`` with ``nonlinearity="relu"``, with one bias for two.

    >>> from companion import trace
    >>> print(str(trace(relu_rnn)).splitlines()[-1])
      h' = relu(W @ x + U @ h + b)
    """
    return relu(p.W @ x + p.U @ h + p.b)


def peephole_lstm(x: Vector, h: Vector, c: Vector, p: Any) -> tuple[Any, Any]:
    """The LSTM whose gates also see the cell, each unit its own: i = σ(W x + U h + v⊙c + b).

    i and f look at the old cell, o at the new one. p: as for `lstm`, and v_i, v_f, v_o (H,).
    Returns (h', c'). Source: Gers & Schmidhuber 2000, Graves 2013, arXiv:1308.0850.

    >>> from companion import count
    >>> count(peephole_lstm)
    H*(4*D + 4*H + 7)
    """
    i = sigmoid(p.Wi @ x + p.Ui @ h + p.vi * c + p.bi)
    f = sigmoid(p.Wf @ x + p.Uf @ h + p.vf * c + p.bf)
    g = tanh(p.Wg @ x + p.Ug @ h + p.bg)
    c = f * c + i * g
    o = sigmoid(p.Wo @ x + p.Uo @ h + p.vo * c + p.bo)
    return o * tanh(c), c


def coupled_lstm(
    x: Vector, h: Vector, c: Vector, p: Any, phi: Callable[[Any], Any] = tanh
) -> tuple[Any, Any]:
    """The LSTM with tied gates, f = 1 − i (CIFG): c' = (1−i)⊙c + i⊙g.

    The first rung of the ladder. p: as for `lstm`, without those of f. Returns (h', c').
    Source: Greff et al. 2017, doi:10.1109/TNNLS.2016.2582924.

    >>> from companion import count
    >>> count(coupled_lstm)
    3*H*(D + H + 1)
    """
    i = sigmoid(p.Wi @ x + p.Ui @ h + p.bi)
    g = tanh(p.Wg @ x + p.Ug @ h + p.bg)
    o = sigmoid(p.Wo @ x + p.Uo @ h + p.bo)
    c = (1 - i) * c + i * g
    return o * phi(c), c


def linear_lstm(x: Vector, h: Vector, c: Vector, p: Any) -> tuple[Any, Any]:
    """`coupled_lstm` with a linear output, h' = o⊙c'. The second rung. Returns (h', c').

    >>> from companion import trace
    >>> print(str(trace(linear_lstm)).splitlines()[-1])
      h' = o * c'
    """
    i = sigmoid(p.Wi @ x + p.Ui @ h + p.bi)
    g = tanh(p.Wg @ x + p.Ug @ h + p.bg)
    o = sigmoid(p.Wo @ x + p.Uo @ h + p.bo)
    c = (1 - i) * c + i * g
    return o * c, c


def cell_gated_lstm(x: Vector, h: Vector, c: Vector, p: Any) -> tuple[Any, Any]:
    """`linear_lstm` whose gates read the cell itself: i, o = σ(W x + U c + b).

    Only g still reads what was exposed, h = o⊙c of the step before. The third rung, and the same
    as `gru_delayed_reset`. Returns (h', c').

    >>> from companion import trace
    >>> print(str(trace(cell_gated_lstm)).splitlines()[-5])
      i = sigmoid(Wi @ x + Ui @ c + bi)
    """
    i = sigmoid(p.Wi @ x + p.Ui @ c + p.bi)
    g = tanh(p.Wg @ x + p.Ug @ h + p.bg)
    o = sigmoid(p.Wo @ x + p.Uo @ c + p.bo)
    c = (1 - i) * c + i * g
    return o * c, c


def reading_lstm(x: Vector, c: Vector, p: Any) -> Any:
    """`cell_gated_lstm` whose output gate acts when the cell is read, not when it is written.

    So nothing but the cell is carried over. The last rung: the GRU, with i, o, g for its z, r, n.
    Returns c' (H,).

    >>> from companion import trace
    >>> print(str(trace(reading_lstm)).splitlines()[-2])
      g = tanh(Wg @ x + Ug @ (o * c) + bg)
    """
    i = sigmoid(p.Wi @ x + p.Ui @ c + p.bi)
    o = sigmoid(p.Wo @ x + p.Uo @ c + p.bo)
    g = tanh(p.Wg @ x + p.Ug @ (o * c) + p.bg)
    return (1 - i) * c + i * g


def gru_delayed_reset(x: Vector, h: Vector, r: Vector, p: Any) -> tuple[Any, Any]:
    """The GRU whose candidate uses the reset gate of the step before: U_n (r_{t−1}⊙h_{t−1}).

    The second state is that gate, (H,), free in (0, 1) at the start. p: as for `gru`.
    Returns (h', r'). It has the GRU's fixed points under constant input, not its stability.

    >>> from companion import trace
    >>> print(str(trace(gru_delayed_reset)).splitlines()[-3])
      n = tanh(Wn @ x + Un @ (r * h) + bn)
    """
    z = sigmoid(p.Wz @ x + p.Uz @ h + p.bz)
    n = tanh(p.Wn @ x + p.Un @ (r * h) + p.bn)
    r = sigmoid(p.Wr @ x + p.Ur @ h + p.br)
    return (1 - z) * h + z * n, r


def mgu(x: Vector, h: Vector, p: Any) -> Any:
    """The minimal gated unit: the GRU with one gate in both places.

    z = σ(W_z x + U_z h + b_z), n = tanh(W_n x + U_n (z⊙h) + b_n), h' = (1−z)⊙h + z⊙n.
    Returns h' (H,). Source: Zhou et al. 2016, arXiv:1603.09420, who call the gate f.

    >>> from companion import count
    >>> count(mgu)
    2*H*(D + H + 1)
    """
    z = sigmoid(p.Wz @ x + p.Uz @ h + p.bz)
    n = tanh(p.Wn @ x + p.Un @ (z * h) + p.bn)
    return (1 - z) * h + z * n


def janet(x: Vector, h: Vector, p: Any, beta: float = 1) -> Any:
    """Just another network, an LSTM with a forget gate only: h' = f⊙h + i⊙g, i = 1 − σ(a − β).

    f = σ(a), a = W_f x + U_f h + b_f: both gates come from one argument. Returns h' (H,).
    Source: van der Westhuizen & Lasenby 2018, arXiv:1804.04849.

    >>> from companion import count
    >>> count(janet)
    2*H*(D + H + 1)
    """
    a = p.Wf @ x + p.Uf @ h + p.bf
    f = sigmoid(a)
    i = 1 - sigmoid(a - beta)
    g = tanh(p.Wg @ x + p.Ug @ h + p.bg)
    return f * h + i * g


def min_gru(x: Vector, h: Vector, p: Any) -> Any:
    """The minGRU: gate and candidate look at the input only, and the candidate is linear.

    z = σ(W_z x + b_z), n = W_n x + b_n, h' = (1−z)⊙h + z⊙n, so the loop over time is a scan.
    Returns h' (H,). Source: Feng et al. 2024, arXiv:2410.01201.

    >>> from companion import count
    >>> count(min_gru)
    2*H*(D + 1)
    """
    z = sigmoid(p.Wz @ x + p.bz)
    n = p.Wn @ x + p.bn
    return (1 - z) * h + z * n


def min_lstm(x: Vector, h: Vector, p: Any) -> Any:
    """The minLSTM with normalised gates, f/(f+i) and i/(f+i), which sum to 1.

    As log σ(−a) = −softplus(a), f/(f+i) is σ(log f − log i) without a quotient.
    g = W_g x + b_g is linear. Returns h' (H,). Source: Feng et al. 2024, arXiv:2410.01201.

    >>> from companion import count
    >>> count(min_lstm)
    3*H*(D + 1)
    """
    ai = p.Wi @ x + p.bi
    af = p.Wf @ x + p.bf
    f = sigmoid(softplus(-ai) - softplus(-af))
    g = p.Wg @ x + p.bg
    return f * h + (1 - f) * g
