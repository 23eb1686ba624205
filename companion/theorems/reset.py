"""Theorems on the reset gate: before or after the matrix, now or one step late."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import sympy

from companion.cells import gru, gru_reset_after
from companion.ops import sigmoid
from companion.symbolic import component, jacobian, program, vector
from companion.symbolic.evaluate import compiled, named
from companion.theorems.given import Claim, Given
from companion.theorems.pieces import gate, set_of
from companion.theorems.theorem import Theorem
from companion.trace import Cell
from companion.variants import gru_delayed_reset


def collected(expr: Any) -> Any:
    """A sum of products of Sums over one index as one Sum, with what stands outside beside it.

    >>> from companion.symbolic import matrix, vector
    >>> U, r, h = matrix("U"), vector("r"), vector("h")
    >>> collected(component(U @ (r * h) - r * (U @ h)))
    Sum(-U[j, k]*h[k]*r[j] + U[j, k]*h[k]*r[k], (k, 0, H - 1))
    """
    inside, outside, limits = [], [], None
    for term in sympy.Add.make_args(sympy.expand(expr)):
        sums = [f for f in sympy.Mul.make_args(term) if isinstance(f, sympy.Sum)]
        if len(sums) != 1:
            outside.append(term)
            continue
        if limits not in (None, sums[0].limits):
            raise ValueError(f"{expr}: the sums run over {limits} and {sums[0].limits}")
        limits = sums[0].limits
        inside.append(sympy.expand(term / sums[0] * sums[0].function))
    total = sympy.Add(*inside)
    return sympy.Add(*outside, sympy.Sum(total, *limits) if limits and total else 0)


def _none(row: Any, equal_rows: bool) -> list[Claim]:
    """That a row is 0: what stands outside its sum, and each summand, as products of numbers.

    equal_rows: R2, U_jk r_k = U_jk r_j, as r_j = r_k wherever U_jk ≠ 0.
    """
    j, k = sympy.symbols("j k", integer=True)
    U, r = sympy.IndexedBase("Un"), sympy.IndexedBase("r")
    summand = sympy.Add(*(sympy.expand(total.function) for total in row.atoms(sympy.Sum)))
    if equal_rows:
        terms = sympy.Add.make_args(summand)
        summand = sympy.Add(*(t.xreplace({r[k]: r[j]}) if t.has(U[j, k]) else t for t in terms))
    outside = row.replace(lambda part: isinstance(part, sympy.Sum), lambda _: sympy.S.Zero)
    names = {entry: vector(str(entry)) for entry in row.atoms(sympy.Indexed)}
    return [
        Claim("row j, outside the sum", outside.xreplace(names), sympy.S.Zero,
              latex=r"r_j\, b_{Un,j} &= 0"),
        Claim("row j, each summand", summand.xreplace(names), sympy.S.Zero,
              latex=r"U_{jk}\, (r_j - r_k)\, h_k &= 0"),
    ]  # fmt: skip


def _reset(given: Given, gru: Cell = gru, gru_reset_after: Cell = gru_reset_after) -> list[Claim]:
    """The difference, for any weights; then that it is none, for the weights of R1 and R2."""
    p = given.parameters(gru_reset_after)
    x, h, r = given.vector("x"), given.vector("h"), given.vector("r")
    before, after = p.Un @ (r * h), r * (p.Un @ h + p.bUn)
    rows = (given.diag(r) @ p.Un - p.Un @ given.diag(r)) @ h + r * p.bUn
    claims = [Claim("after − before = [diag(r), U_n] h + r⊙b_Un", after - before, rows)]
    if given.symbolic:
        j, k = sympy.symbols("j k", integer=True)
        U, rj, hk, b = (sympy.IndexedBase(name) for name in ("Un", "r", "h", "bUn"))
        terms = sympy.expand(U[j, k] * (rj[j] - rj[k]) * hk[k])
        row = sympy.Sum(terms, (k, 0, sympy.Symbol("H") - 1)) + rj[j] * b[j]
        claims += [Claim("row j = Σ_k U_jk (r_j − r_k) h_k + r_j b_Un,j",
                         collected(component(after - before)), row)]  # fmt: skip
    else:
        sums = [
            sum(p.Un[j, k] * (r[j] - r[k]) * h[k] for k in range(len(h))) + r[j] * p.bUn[j]
            for j in range(len(h))
        ]
        claims += [Claim("row j = Σ_k U_jk (r_j − r_k) h_k + r_j b_Un,j",
                         after - before, np.array(sums, dtype=object))]  # fmt: skip
    if given.holds("R1"):
        p = p._replace(bUn=0 * p.bUn)
    if given.symbolic:
        row = collected(component(p.Un @ (r * h) - r * (p.Un @ h + p.bUn)))
        claims += _none(row, given.holds("R2"))
    if given.holds("R2"):
        p = p._replace(Un=given.diag(given.vector("u")))
    claims += [Claim("GRU before = after", gru(x, h, p), gru_reset_after(x, h, p))]
    if not given.symbolic and given.holds("R2"):
        # Units in pairs with one reset gate each pair: U_n may mix within a pair.
        pair = np.arange(len(h)) // 2
        mixed = np.where(pair[:, None] == pair, given.matrix("Up"), 0 * given.matrix("Up"))
        q = p._replace(Un=mixed, Wr=p.Wr[2 * pair], Ur=p.Ur[2 * pair], br=p.br[2 * pair])
        claims += [Claim("the same in pairs", gru(x, h, q), gru_reset_after(x, h, q))]
    return claims


RESET = Theorem(
    name="Reset before and reset after",
    statement=(
        "Row j of after − before, in the argument of n, is Σ_k U_jk (r_j − r_k) h_k + r_j b_Un,j. "
        "So at fixed r, U(r⊙h) = r⊙(U h) for all h if and only if U_jk (r_k − r_j) = 0 for all "
        "j, k; and with shared weights the two GRUs agree for all x and h if R1 and R2, and (by "
        "hand) only if."
    ),
    assumptions={
        "R1": "b_Un = 0",
        "R2": "units j and k have equal rows of (W_r, U_r, b_r) whenever U_jk ≠ 0",
    },
    claims=_reset,
    examples={
        "R1": {"bUn": 1},
        "R2": {"Un": [[0, 1], [0, 0]], "br": [1, 0], "h": [0, 1]},
    },
    sizes=(1, 2),
    by_hand=(
        "if: equal rows give r_j = r_k, so U_jk r_k = U_jk r_j for any U_n, with which row j is 0; "
        "the cells themselves are compared for a diagonal U_n, and measured for units in pairs. "
        "Only if: by hand, on the page 'Which GRU is right?'; h = 0 gives b_Un = 0, then h along "
        "one unit, then in the plane of two units, and growth give equal rows"
    ),
)


def _fixed(
    given: Given, gru: Cell = gru, gru_delayed_reset: Cell = gru_delayed_reset
) -> list[Claim]:
    p, x, h = given.parameters(gru), given.vector("x"), given.vector("h")
    own = sigmoid(gate(p, "r", x, h))
    r = own if given.holds("F1") else sigmoid(given.vector("a"))
    new, gate_new = gru_delayed_reset(x, h, r, p)
    return [Claim("h'", new, gru(x, h, p)), Claim("r'", gate_new, own)]


FIXED = Theorem(
    name="A delayed reset keeps the fixed points",
    statement=(
        "From (h, r) with r = σ(W_r x + U_r h + b_r) the delayed-reset GRU goes to (GRU(x, h), r): "
        "under constant input, (h*, r*) is a fixed point of it if and only if h* is one of the GRU "
        "and r* = σ(W_r x + U_r h* + b_r)."
    ),
    assumptions={"F1": "r is the gate that belongs to h"},
    claims=_fixed,
    examples={"F1": {"br": 1, "Un": 1, "h": 1}},
    by_hand="if (h*, r*) is fixed, its second line says that r* belongs to h*",
)


def _number(*values: Any) -> Any:
    return np.array([mpmath.iv.mpf(value) for value in values], dtype=object)


def _stability(_: Given) -> list[Claim]:
    claims = []
    for case, weights, place in (
        ("stable GRU, unstable delayed", {"bz": 2, "Ur": 2, "Un": -5, "bn": -1},
         ["-0.377172557", "-0.377172556"]),
        ("unstable GRU, stable delayed", {"bz": 2, "Ur": 3, "Un": -2, "bn": 1},
         ["0.387743514", "0.387743515"]),
    ):  # fmt: skip
        values = {name: _number(weights.get(name, 0)) for name in program(gru).parameters}
        p = set_of(**{k: v[:, None] if k[0].isupper() else v for k, v in values.items()})
        ends = [gru(_number(0), _number(end), p)[0] - mpmath.iv.mpf(end) for end in place]
        h = _number(place)
        step = named(program(gru), [_number(0), h], p)
        late = named(program(gru_delayed_reset), [_number(0), h, step["r"]], p)
        slope = compiled(jacobian(gru) @ vector("•"))(step | {"•": _number(1)})[0]
        (a, b), (c, d) = jacobian(gru_delayed_reset).evaluate(late)
        trace, det = a + d, a * d - b * c
        zero, one = mpmath.iv.mpf(0), mpmath.iv.mpf(1)
        claims += [Claim(f"{case}: a fixed point is enclosed", ends[0] * ends[1], zero)]
        if case.startswith("stable"):
            claims += [Claim(f"{case}: |GRU'| < 1", slope * slope, one)]
            claims += [Claim(f"{case}: |trace| > 1 + det", one + det, abs(trace))]
        else:
            claims += [Claim(f"{case}: |GRU'| > 1", one, slope * slope)]
            claims += [Claim(f"{case}: det < 1", det, one)]
            claims += [Claim(f"{case}: |trace| < 1 + det", abs(trace), one + det)]
    return claims


STABILITY = Theorem(
    name="A delayed reset changes which fixed points are stable",
    statement=(
        "There are GRUs (H = 1, integer weights) with a fixed point that is stable and that the "
        "delayed reset makes unstable, and others where it is the reverse."
    ),
    assumptions={},
    claims=_stability,
    examples={},
    kind="intervals",
    by_hand=(
        "both eigenvalues of a real 2×2 matrix are inside the unit circle iff |trace| < 1 + det < "
        "2; |trace| > 1 + det gives a real one outside, as λ² − trace λ + det < 0 at 1 or at −1"
    ),
)
