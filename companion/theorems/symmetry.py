"""Theorems on what a change of units changes: scale, sign and order."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import sympy

from companion.cells import gru, lstm, rnn
from companion.ops import sigma, sigmoid, tanh
from companion.symbolic import matrix, normal, vector
from companion.symbolic.operators import Transpose
from companion.symbolic.ring import MatVec
from companion.theorems.given import Arrays, Claim, Given
from companion.theorems.pieces import set_of
from companion.theorems.theorem import Theorem
from companion.trace import Cell


def _tanh_as_sigma(expr: Any) -> Any:
    return expr.replace(sympy.tanh, lambda a: 2 * sigma(2 * a) - 1)


def _tanh_is_sigma() -> bool:
    a = sympy.Symbol("a", real=True)
    difference: Any = sympy.tanh(a) - 2 * sigma(2 * a) + 1
    return bool(sympy.simplify(difference.rewrite(sympy.exp)) == 0)


def _logistic(given: Given, rnn: Cell = rnn) -> list[Claim]:
    W, U, b = given.matrix("Ws"), given.matrix("Us"), given.vector("bs")
    x, h = given.vector("x"), given.vector("h")
    new = sigmoid(W @ x + U @ ((h + 1) / 2) + b)
    p = set_of(
        W=W / 2 if given.holds("L1") else W,
        U=U / 4 if given.holds("L2") else U,
        b=b / 2 + (U @ given.one) / 4 if given.holds("L3") else b,
    )
    return [Claim("2s' − 1 = h'", 2 * new - 1, rnn(x, h, p))]


LOGISTIC = Theorem(
    name="The logistic RNN is a tanh RNN",
    statement=(
        "s' = σ(W_s x + U_s s + b_s) is, with h = 2s − 1, the RNN h' = tanh(W x + U h + b). As "
        "U = U_s/4, Pascanu's conditions λ₁ < 4 for σ and λ₁ < 1 for tanh are one."
    ),
    assumptions={"L1": "W = W_s/2", "L2": "U = U_s/4", "L3": "b = b_s/2 + U_s 1/4"},
    claims=_logistic,
    examples={
        "L1": {"Ws": 1, "x": 1},
        "L2": {"Us": 1, "h": 1},
        "L3": {"bs": 1},
    },
    rewrite=_tanh_as_sigma,
    lemma=_tanh_is_sigma,
)

_S = vector("s")


def _with_signs(expr: Any) -> Any:
    """s⊙s = 1 and tanh(s⊙a) = s⊙tanh(a), for s of signs."""

    def signs(e: Any) -> Any:
        e = normal(e).replace(
            lambda part: part.is_Pow and part.args[0] == _S, lambda part: _S ** (part.args[1] % 2)
        )
        return normal(e)

    def odd(argument: Any) -> Any:
        argument = _with_signs(argument)
        if argument and all(term.has_free(_S) and _S in sympy.Mul.make_args(term)
                            for term in sympy.Add.make_args(argument)):  # fmt: skip
            return _S * sympy.tanh(signs(_S * argument))
        return sympy.tanh(argument)

    return signs(signs(expr).replace(sympy.tanh, odd))


def _signs_lemma() -> bool:
    a = sympy.Symbol("a")
    return all(sympy.tanh(s * a) == s * sympy.tanh(a) for s in (1, -1))


def _signs(given: Given, rnn: Cell = rnn, gru: Cell = gru, lstm: Cell = lstm) -> list[Claim]:
    s = given.vector("s")
    if isinstance(given, Arrays) and given.rng is not None:
        s = np.sign(s)
    x, h, c = map(given.vector, ("x", "h", "c"))
    D = given.diag(s)
    p, q, g = given.parameters(rnn), given.parameters(lstm), given.parameters(gru)
    phi = tanh if given.holds("P1") else sigmoid
    cell = lstm if phi is tanh else partial(lstm, phi=phi)

    def turned(p: Any, candidate: str) -> Any:
        changed = {name: getattr(p, name) @ D for name in p._fields if name.startswith("U")}
        U = f"U{candidate}"
        changed |= {f"W{candidate}": D @ getattr(p, f"W{candidate}"), U: D @ changed[U]}
        return p._replace(**changed, **{f"b{candidate}": s * getattr(p, f"b{candidate}")})

    new = cell(x, h, c, q)
    cell_state = s * c if given.holds("P2") else c
    theirs = cell(x, s * h, cell_state, turned(q, "g"))
    return [
        Claim("RNN", rnn(x, s * h, turned(p, "")), s * rnn(x, h, p)),
        Claim("GRU", gru(x, s * h, turned(g, "n")), s * gru(x, h, g)),
        Claim("LSTM, h'", theirs[0], s * new[0]),
        Claim("LSTM, c'", theirs[1], s * new[1]),
    ]


SIGNS = Theorem(
    name="A hidden unit has no sign",
    statement=(
        "Change the signs s of any units, in the state, in the columns of every U, and in the rows "
        "of the candidate's W, U and b: the new state changes by the same signs."
    ),
    assumptions={
        "P1": "φ is odd, as tanh is",
        "P2": "in the LSTM, s acts on c and on h together",
    },
    claims=_signs,
    examples={"P1": {"s": -1, "c": 1}, "P2": {"s": -1, "c": 1}},
    rewrite=_with_signs,
    lemma=_signs_lemma,
)

_P = matrix("P").expr


def _push_order(expr: Any) -> Any:
    """P acts on components: it goes into sums, products and functions, and PᵀP = 1."""

    def inside(operator: Any, v: Any) -> Any:
        back = Transpose(_P) if operator == _P else _P
        if v.is_number:
            return v  # a constant vector
        if v.is_Add or v.is_Mul or isinstance(v, sympy.Function):
            return v.func(*(inside(operator, part) for part in v.args))
        if v.is_Pow:
            return inside(operator, v.args[0]) ** v.args[1]
        if isinstance(v, MatVec) and v.args[0] == back:
            return v.args[1]
        return MatVec(operator, v)

    def whole(e: Any) -> Any:
        if not e.args:
            return e
        e = e.func(*(whole(part) for part in e.args))
        if isinstance(e, MatVec) and e.args[0] in (_P, Transpose(_P)):
            return inside(*e.args)
        return e

    return whole(sympy.sympify(expr))


def _order(given: Given, rnn: Cell = rnn, gru: Cell = gru, lstm: Cell = lstm) -> list[Claim]:
    P = given.matrix("P")
    if isinstance(given, Arrays) and given.rng is not None:
        P = np.eye(len(P))[given.rng.permutation(len(P))]
    x, h, c = map(given.vector, ("x", "h", "c"))

    def turned(p: Any) -> Any:
        def one(name: str, value: Any) -> Any:
            if name.startswith("U"):
                return P @ value @ P.T if given.holds("Q1") else P @ value
            return P @ value

        return p._replace(**{name: one(name, value) for name, value in p._asdict().items()})

    p, g, q = map(given.parameters, (rnn, gru, lstm))
    new, theirs = lstm(x, h, c, q), lstm(x, P @ h, P @ c, turned(q))
    return [
        Claim("RNN", rnn(x, P @ h, turned(p)), P @ rnn(x, h, p)),
        Claim("GRU", gru(x, P @ h, turned(g)), P @ gru(x, h, g)),
        Claim("LSTM, h'", theirs[0], P @ new[0]),
        Claim("LSTM, c'", theirs[1], P @ new[1]),
    ]


ORDER = Theorem(
    name="Hidden units have no order",
    statement=(
        "With P a permutation, W → P W, U → P U Pᵀ, b → P b and P on the state change nothing but "
        "the order of the new state: RNN, GRU and LSTM."
    ),
    assumptions={"Q1": "U is permuted on both sides"},
    claims=_order,
    examples={"Q1": {"P": [[0, 1], [1, 0]], "U": [[1, 0], [0, 0]], "h": [1, 0]}},
    sizes=(1, 2),
    rewrite=_push_order,
    by_hand="a permutation acts on components: it goes into sums, products and functions",
)
