"""Theorems on what the gates are: which cells are the same, and which only nearly."""

from __future__ import annotations

from typing import Any

from companion.cells import gru, gru_reset_after, lstm, rnn
from companion.ops import Vector, sigmoid, tanh
from companion.theorems.given import Claim, Given
from companion.theorems.pieces import argument, gate, line, set_of
from companion.theorems.theorem import Theorem
from companion.trace import Cell
from companion.variants import coupled_lstm, mgu, min_gru


def gru_keeping(x: Vector, h: Vector, p: Any) -> Any:
    """The GRU of PyTorch's and Cho's sign, where z keeps: h' = z⊙h + (1−z)⊙n."""
    z = sigmoid(p.Wz @ x + p.Uz @ h + p.bz)
    r = sigmoid(p.Wr @ x + p.Ur @ h + p.br)
    n = tanh(p.Wn @ x + p.Un @ (r * h) + p.bn)
    return z * h + (1 - z) * n


def _with(p: Any, **values: Any) -> Any:
    return set_of(**(p._asdict() | values))


def _sign(given: Given, gru: Cell = gru) -> list[Claim]:
    p, x, h = given.parameters(gru), given.vector("x"), given.vector("h")
    negated = _with(p, Wz=-p.Wz, Uz=-p.Uz, bz=-p.bz) if given.holds("Z1") else p
    return [Claim("z writes = z keeps", gru(x, h, p), gru_keeping(x, h, negated))]


SIGN = Theorem(
    name="z and 1 − z",
    statement="The GRU whose z writes is the GRU whose z keeps, with other weights of z.",
    assumptions={"Z1": "(W_z, U_z, b_z) is negated"},
    claims=_sign,
    examples={"Z1": {"bz": 1, "h": 1}},
)


def _coupled(given: Given, lstm: Cell = lstm, coupled_lstm: Cell = coupled_lstm) -> list[Claim]:
    p, x, h, c = given.parameters(lstm), *map(given.vector, ("x", "h", "c"))
    tied = _with(p, Wf=-p.Wi, Uf=-p.Ui, bf=-p.bi) if given.holds("T1") else p
    pairs = zip(("h'", "c'"), lstm(x, h, c, tied), coupled_lstm(x, h, c, p), strict=True)
    return [Claim(*pair) for pair in pairs]


COUPLED = Theorem(
    name="Coupled gates are negated weights",
    statement="The coupled LSTM (CIFG, f = 1 − i) is the LSTM with the weights of f those of −i.",
    assumptions={"T1": "(W_f, U_f, b_f) = −(W_i, U_i, b_i)"},
    claims=_coupled,
    examples={"T1": {"bi": 1, "c": 1}},
)


def _mgu(given: Given, gru: Cell = gru, mgu: Cell = mgu) -> list[Claim]:
    p, x, h = given.parameters(gru), given.vector("x"), given.vector("h")
    shared = _with(p, Wr=p.Wz, Ur=p.Uz, br=p.bz) if given.holds("S1") else p
    return [Claim("GRU = MGU", gru(x, h, shared), mgu(x, h, p))]


MGU = Theorem(
    name="The MGU is a GRU with one gate",
    statement="The minimal gated unit is the GRU whose gates r and z share their weights.",
    assumptions={"S1": "(W_r, U_r, b_r) = (W_z, U_z, b_z)"},
    claims=_mgu,
    examples={"S1": {"bz": 1, "Un": 1, "h": 1}},
)


def _euler(given: Given, gru: Cell = gru) -> list[Claim]:
    h, z, n = given.vector("h"), sigmoid(given.vector("az")), tanh(given.vector("an"))
    step = z if given.holds("E1") else 1 - z
    return [Claim("h' = h + z⊙(n − h)", line(gru, "h'", h=h, z=z, n=n), h + step * (n - h))]


EULER = Theorem(
    name="A GRU step is an Euler step",
    statement="h' = h + z⊙(n − h): an Euler step of size z towards the candidate.",
    assumptions={"E1": "the size of the step is z, which writes, and not 1 − z"},
    claims=_euler,
    examples={"E1": {"az": 1, "h": 1}},
)


def _constant(given: Given, gru: Cell = gru) -> list[Claim]:
    p, x, h = given.parameters(gru), given.vector("x"), given.vector("h")
    if given.holds("C1"):
        p = p._replace(Wz=0 * p.Wz, Uz=0 * p.Uz)
    if given.holds("C2"):
        p = p._replace(Wr=0 * p.Wr, Ur=0 * p.Ur)
    leak = sigmoid(p.bz)
    inner = set_of(W=p.Wn, U=p.Un @ given.diag(sigmoid(p.br)), b=p.bn)
    return [Claim("GRU = leaky RNN", gru(x, h, p), (1 - leak) * h + leak * rnn(x, h, inner))]


CONSTANT = Theorem(
    name="With constant gates the GRU is a leaky RNN",
    statement="h' = (1−a)⊙h + a⊙tanh(W_n x + U_n diag(s) h + b_n), a = σ(b_z), s = σ(b_r).",
    assumptions={"C1": "W_z = 0 and U_z = 0", "C2": "W_r = 0 and U_r = 0"},
    claims=_constant,
    examples={"C1": {"Uz": 1, "h": 1}, "C2": {"Ur": 1, "Un": 1, "h": 1}},
)


def _limit(given: Given, gru: Cell = gru, rnn: Cell = rnn) -> list[Claim]:
    p, x, h = given.parameters(gru), given.vector("x"), given.vector("h")
    if given.holds("C2"):
        p = p._replace(Wr=0 * p.Wr, Ur=0 * p.Ur)
    plain = rnn(x, h, set_of(W=p.Wn, U=p.Un @ given.diag(sigmoid(p.br)), b=p.bn))
    rest = sigmoid(-gate(p, "z", x, h)) * (h - plain) if given.holds("C3") else 0 * h
    return [Claim("GRU − RNN = (1−z)⊙(h − RNN)", gru(x, h, p) - plain, rest)]


LIMIT = Theorem(
    name="The plain RNN is only a limit of the GRU",
    statement=(
        "With a constant reset gate, absorbed in U_n, GRU − RNN = (1−z)⊙(h − RNN), which tends to "
        "0 as b_z → ∞ and is never 0 for all h: no finite weights make z = 1."
    ),
    assumptions={"C2": "W_r = 0 and U_r = 0", "C3": "the rest, (1−z)⊙(h − RNN), is kept"},
    claims=_limit,
    examples={"C2": {"Ur": 1, "Un": 1, "h": 1}, "C3": {"bz": 30, "h": 1}},
    by_hand=(
        "1 − σ(b) > 0, and → 0 as b → ∞: the limit is for each (x, h), uniform on bounded sets. An "
        "RNN's map is bounded, no GRU's is: at fixed x take h = ±t e_j, of the sign for which "
        "(U_z h)_j ≤ 0; then 1 − z_j ≥ σ(−(W_z x + b_z)_j) > 0, |h'_j| ≥ (1−z_j)t − 1 → ∞"
    ),
)


def _small(given: Given, lstm: Cell = lstm, rnn: Cell = rnn) -> list[Claim]:
    p, x, s, c = given.parameters(lstm), *map(given.vector, ("x", "s", "c"))
    if given.holds("G1"):
        p = p._replace(Wi=0 * p.Wi, Ui=0 * p.Ui)
    i = sigmoid(p.bi)
    h = i * s
    plain = rnn(x, s, set_of(W=p.Wg, U=p.Ug @ given.diag(i), b=p.bg))
    f, o = (sigmoid(gate(p, letter, x, h)) for letter in "fo")
    return [Claim("h' = o⊙tanh(f⊙c + i⊙s')", lstm(x, h, c, p)[0], o * tanh(f * c + i * plain))]


SMALL = Theorem(
    name="The plain RNN is a small-signal limit of the LSTM",
    statement=(
        "With a constant input gate i and h = i⊙s, the LSTM's h' is o⊙tanh(f⊙c + i⊙s'), where s' = "
        "tanh(W_g x + U_g diag(i) s + b_g) is an RNN's step. As o → 1, i → 0 and f⊙c/i → 0, with "
        "U_g diag(i) held fixed, h'/i → s', for any fixed number of steps."
    ),
    assumptions={"G1": "W_i = 0 and U_i = 0"},
    claims=_small,
    examples={"G1": {"Wi": 1, "x": 1, "bg": 1}},
    by_hand=(
        "tanh(e)/e → 1 as e → 0, and the RNN is continuous, so finitely many steps pass to the "
        "limit; with c_0 = 0, f → 0 is enough, as then |c_{t−1}| ≤ i/(1−f)"
    ),
)


def _second_bias(given: Given, rnn: Cell = rnn, lstm: Cell = lstm, gru: Cell = gru) -> list[Claim]:
    p, q = given.parameters(rnn), given.parameters(gru_reset_after)
    x, h, b2 = given.vector("x"), given.vector("h"), given.vector("b2")
    plain = tanh((p.W @ x + p.b) + (p.U @ h + b2))
    merged = q._replace(bUn=0 * b2, bn=q.bn + b2)
    if given.holds("B1"):
        z, r = (sigmoid(gate(q, letter, x, h)) for letter in "zr")
        n = tanh((q.Wn @ x + q.bn) + (r * (q.Un @ h) + b2))
        two = line(gru_reset_after, "h'", h=h, z=z, n=n)
    else:
        two = gru_reset_after(x, h, q._replace(bUn=b2))
    claims = [
        Claim("RNN with two biases", plain, rnn(x, h, p._replace(b=p.b + b2))),
        Claim("reset-after GRU, two biases in n", two, gru_reset_after(x, h, merged)),
    ]
    for cell, letters, state in ((lstm, "ifgo", [h, given.vector("c")]), (gru, "zrn", [h])):
        q = given.parameters(cell)
        both = q._replace(**{f"b{k}": getattr(q, f"b{k}") + b2 for k in letters})
        for k in letters:
            W, U, b = (getattr(q, kind + k) for kind in "WUb")
            seen = sigmoid(gate(both, "r", x, h)) * h if k == "n" else h
            found = argument(cell, k, [x, *state], both)
            claims += [Claim(f"argument of {k}", found, (W @ x + b) + (U @ seen + b2))]
    return claims


SECOND_BIAS = Theorem(
    name="A second bias is redundant, but for one place",
    statement="Two biases in one argument act as their sum, except inside r⊙(U_n h + b_Un).",
    assumptions={"B1": "the second bias stands outside the product with r"},
    claims=_second_bias,
    examples={"B1": {"b2": 1}},
    by_hand="as functions; an optimiser sees two parameters, so the steps it takes may differ",
)


def gru_linear(x: Vector, h: Vector, p: Any) -> Any:
    """The GRU with the identity in the place of tanh."""
    z = sigmoid(p.Wz @ x + p.Uz @ h + p.bz)
    r = sigmoid(p.Wr @ x + p.Ur @ h + p.br)
    n = p.Wn @ x + p.Un @ (r * h) + p.bn
    return (1 - z) * h + z * n


def _min_gru(given: Given, min_gru: Cell = min_gru) -> list[Claim]:
    p, x, h = given.parameters(gru), given.vector("x"), given.vector("h")
    q = p._replace(
        Uz=0 * p.Uz if given.holds("M1") else p.Uz, Un=0 * p.Un if given.holds("M2") else p.Un
    )
    whole = gru_linear if given.holds("M3") else gru
    return [Claim("minGRU = GRU", min_gru(x, h, p), whole(x, h, q))]


MIN_GRU = Theorem(
    name="The minGRU is a GRU that does not look at its state",
    statement="The minGRU is the GRU with U_z = 0, U_n = 0 and a linear candidate.",
    assumptions={"M1": "U_z = 0", "M2": "U_n = 0", "M3": "the candidate is linear"},
    claims=_min_gru,
    examples={"M1": {"Uz": 1, "h": 1}, "M2": {"Un": 1, "h": 1}, "M3": {"bn": 1}},
)
