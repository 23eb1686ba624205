"""Theorems on many steps: closed forms, scans, time constants, and which derivatives multiply."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import sympy

from companion.cells import gru, lstm
from companion.ops import sigma, sigmoid, softplus, tanh
from companion.symbolic import jacobian, program, vector
from companion.symbolic.evaluate import compiled, named
from companion.symbolic.operators import Operator
from companion.theorems.given import Claim, Given
from companion.theorems.pieces import line, set_of
from companion.theorems.theorem import Theorem
from companion.trace import Cell
from companion.variants import min_gru

Pair = tuple[Any, Any]


def _closed(keep: list[Any], write: list[Any], new: list[Any], first: Any) -> tuple[Any, Any]:
    """Π keep ⊙ first + Σ_k write_k ⊙ Π_{j>k} keep_j ⊙ new_k, and the sum of all weights."""
    total, weights = first, 1
    for f in keep:
        total, weights = f * total, f * weights
    for k, (i, g) in enumerate(zip(write, new, strict=True)):
        weight = i
        for f in keep[k + 1 :]:
            weight = f * weight
        total, weights = total + weight * g, weights + weight
    return total, weights


def _smoothing(given: Given, gru: Cell = gru, lstm: Cell = lstm) -> list[Claim]:
    steps = range(1, 5)
    z, f, i = ([sigmoid(given.vector(f"a{k}{t}")) for t in steps] for k in "zfi")
    n = [tanh(given.vector(f"an{t}")) for t in steps]
    h = first = given.vector("h0")
    c = h
    for t in range(4):
        h = line(gru, "h'", h=h, z=z[t], n=n[t])
        c = line(lstm, "c'", c=c, f=f[t], i=i[t], g=n[t])
    smooth, weights = _closed([1 - k for k in z], z, n, first)
    cell, _ = _closed(f, i, n, first)
    if not given.holds("S1"):
        weights = _closed(f, i, n, first)[1]
    # One step more, from a state A⊙h_0 + S, where the weights in S add up to w = 1 − A.
    A, S, w = given.vector("A"), given.vector("S"), 1 - given.vector("A")
    keep, (z1, f1, i1, n1) = 1 - z[0], (k[0] for k in (z, f, i, n))
    state = A * first + S
    kept, write = (keep, z1) if given.holds("S1") else (f1, i1)
    return [
        Claim("GRU, closed form", h, smooth),
        Claim("LSTM, closed form", c, cell),
        Claim("the weights sum to 1", weights * given.one, given.one),
        Claim("GRU, one step more", line(gru, "h'", h=state, z=z1, n=n1),
              (keep * A) * first + (keep * S + z1 * n1)),
        Claim("LSTM, one step more", line(lstm, "c'", c=state, f=f1, i=i1, g=n1),
              (f1 * A) * first + (f1 * S + i1 * n1)),
        Claim("the weights still sum to 1", kept * A + kept * w + write, given.one),
    ]  # fmt: skip


SMOOTHING = Theorem(
    name="The GRU is adaptive exponential smoothing",
    statement=(
        "h_T = Π(1−z_j)⊙h_0 + Σ_k z_k⊙Π_{j>k}(1−z_j)⊙n_k, with weights that sum to exactly 1. "
        "LSTM: c_T = Πf_j⊙c_0 + Σ_k Π_{j>k} f_j⊙i_k⊙g_k, with weights that need not."
    ),
    assumptions={"S1": "what is kept and what is written sum to 1, f = 1 − i"},
    claims=_smoothing,
    examples={"S1": {"af4": 1}},
    by_hand="induction over T, whose step is claimed; T = 4 is written out",
)


def _chain(given: Given, lstm: Cell = lstm) -> list[Claim]:
    """Two steps from c_0, where h_0 = o_0⊙tanh(c_0) and o_0 is held fixed."""
    p, J, direction = given.parameters(lstm), jacobian(lstm), vector("•")
    if given.holds("T1"):
        p = p._replace(Uo=0 * p.Uo)
    c0, o0, v = given.vector("c0"), sigmoid(given.vector("ao")), given.vector("v")
    first = named(program(lstm), [given.vector("x1"), o0 * tanh(c0), c0], p)
    second = named(program(lstm), [given.vector("x2"), first["h'"], first["c'"]], p)
    if given.symbolic:  # opaque values: the claim is about the operators
        first, second = (
            {name: value if isinstance(value, Operator) else vector(f"{name}{t}")
             for name, value in step.items()} for t, step in ((1, first), (2, second))
        )  # fmt: skip
        first["c"], first["c'"] = c0, vector("c1")
        second["c"] = first["c'"]

    def act(row: str, column: str, step: Any, u: Any) -> Any:
        return compiled(J[row, column] @ direction)(step | {"•": u})

    def exposed(o: Any, c: Any, u: Any) -> Any:
        return o * (1 - tanh(c) * tanh(c)) * u

    dh0 = exposed(o0, c0, v)
    dc1 = act("c'", "h", first, dh0) + act("c'", "c", first, v)
    dh1 = act("h'", "h", first, dh0) + act("h'", "c", first, v)
    blocks = act("c'", "h", second, dh1) + act("c'", "c", second, dc1)
    # The total over one step holds the output gate of the step before fixed: c → h → c.
    totals = act("c'", "h", second, exposed(first["o"], second["c"], dc1))
    totals = totals + act("c'", "c", second, dc1)
    return [
        Claim("the direct part of ∂c₁/∂c₀ is diag(f₁)", act("c'", "c", first, v), first["f"] * v),
        Claim("∂c₂/∂c₀ = ∂c₂/∂c₁ ∂c₁/∂c₀", blocks, totals),
    ]


CHAIN = Theorem(
    name="Total derivatives of the cell do not chain",
    statement=(
        "∂c_t/∂c_{t−1} = diag(f_t) is the direct part. The total over a step, through h_{t−1} = "
        "o_{t−1}⊙tanh(c_{t−1}) with o_{t−1} held fixed, multiplies over two steps if U_o = 0, and "
        "not in general. The 2×2 block Jacobians of (h, c) always multiply."
    ),
    assumptions={"T1": "U_o = 0: the output gate does not read the state"},
    claims=_chain,
    examples={"T1": {"Uo": 1, "Ug": 1, "c0": 1, "v": 1}},
    by_hand="the blocks are the chain rule; a test compares their product with autograd",
)


def _explodes(_: Given, Ug: int = 9) -> list[Claim]:
    """H = 1: c = h = 0, large U_g: the direct path is σ(b_f) < 1, the total derivative is not."""

    def number(k: int) -> Any:
        return np.array([mpmath.iv.mpf(k)], dtype=object)

    values = {name: number(0) for name in program(lstm).parameters}
    values = {k: v[:, None] if k[0].isupper() else v for k, v in values.items()}
    values |= {"Ug": number(Ug)[:, None], "bi": number(3), "bo": number(3)}
    p = program(lstm)
    step = named(p, [number(0), number(0), number(0)], set_of(**values))
    J = jacobian(lstm)
    direct = compiled(J["c'", "c"] @ vector("•"))(step | {"•": number(1)})[0]
    through = compiled(J["c'", "h"] @ vector("•"))(step | {"•": step["o"]})[0]
    one = mpmath.iv.mpf(1)
    return [
        Claim("the direct part is below 1", direct, one),
        Claim("the total derivative is above 1", one, direct + through),
    ]


EXPLODES = Theorem(
    name="The direct path never explodes, the total can",
    statement=(
        "Πf_t ≤ 1 always. With U_g = 9, b_i = b_o = 3 and all else 0 (H = 1), at h = c = 0 the "
        "total derivative ∂c_t/∂c_{t−1} is above 1 in every step, so it grows without bound."
    ),
    assumptions={},
    claims=_explodes,
    examples={},
    kind="intervals",
    by_hand="h = c = 0 is a fixed point, so every step is the same; as U_o = 0 the totals chain",
)


def _scan(given: Given, min_gru: Cell = min_gru) -> list[Claim]:
    def then(first: Pair, second: Pair) -> Pair:
        return second[0] * first[0], second[0] * first[1] + second[1]

    one, two, three = ((given.vector(f"a{k}"), given.vector(f"b{k}")) for k in "123")
    left = then(then(one, two), three)
    right = then(one, then(two, three))
    swapped = then(one, two) if given.holds("O1") else then(two, one)
    h = given.vector("h")
    p, x1, x2 = given.parameters(min_gru), given.vector("x1"), given.vector("x2")
    steps = []
    for x in (x1, x2):
        values = named(program(min_gru), [x, h], p)
        steps.append((1 - values["z"], values["z"] * values["n"]))
    a, b = then(*steps)
    return [
        Claim("(p•q)•r = p•(q•r), first", left[0], right[0]),
        Claim("(p•q)•r = p•(q•r), second", left[1], right[1]),
        *(Claim("(1, 0)•p = p", *pair) for pair in zip(then((1, 0), one), one, strict=True)),
        *(Claim("p•(1, 0) = p", *pair) for pair in zip(then(one, (1, 0)), one, strict=True)),
        Claim("p•q, applied", two[0] * (one[0] * h + one[1]) + two[1], swapped[0] * h + swapped[1]),
        Claim("two steps of the minGRU", min_gru(x2, min_gru(x1, h, p), p), a * h + b),
    ]


SCAN = Theorem(
    name="A cell that is affine in its state is a scan",
    statement=(
        "(a₁, b₁)•(a₂, b₂) = (a₂⊙a₁, a₂⊙b₁ + b₂) is associative, with unit (1, 0), and not "
        "commutative; with a = 1−z, b = z⊙n it runs the minGRU."
    ),
    assumptions={"O1": "the order of the two is kept"},
    claims=_scan,
    examples={"O1": {"a1": 1, "a2": 2, "b1": 1}},
)


def _decay(given: Given, amount: Any) -> Any:
    """e^−Δ, on whatever Δ is."""
    if given.symbolic:
        return sympy.exp(-amount)
    if amount.dtype == object:
        return np.array([mpmath.iv.exp(-each) for each in amount], dtype=object)
    return np.exp(-amount)


def _hold(given: Given, min_gru: Cell = min_gru) -> list[Claim]:
    a, h, n = map(given.vector, ("a", "h", "n"))
    time = softplus(a) if given.holds("Z1") else a
    solved = n + (h - n) * _decay(given, time)
    return [Claim("ḣ = n − h, held for Δ", solved, line(min_gru, "h'", h=h, z=sigmoid(a), n=n))]


def _decay_of_softplus(expr: Any) -> Any:
    plus = type(softplus(sympy.Symbol("a")))
    return expr.replace(
        lambda e: isinstance(e, sympy.exp) and isinstance(-e.args[0], plus),
        lambda e: 1 - sigma((-e.args[0]).args[0]),
    )


def _solves() -> bool:
    """e^−softplus(a) = 1 − σ(a); and n + (h − n)e^−s solves ḣ = n − h from h."""
    a, s, h, n = sympy.symbols("a s h n", real=True)
    decay: Any = sympy.exp(-softplus(a))
    kept: Any = 1 - sigma(a)
    held = n + (h - n) * sympy.exp(-s)
    return bool(
        sympy.simplify((decay - kept).rewrite(sympy.exp)) == 0
        and sympy.simplify(held.diff(s) - (n - held)) == 0
        and held.subs(s, 0) == h
    )


HOLD = Theorem(
    name="A gate is a length of time",
    statement="ḣ = n − h with n held for Δ = softplus(a) ends at (1−z)⊙h + z⊙n with z = σ(a).",
    assumptions={"Z1": "Δ = softplus(a)"},
    claims=_hold,
    examples={"Z1": {"a": 1, "h": 1}},
    rewrite=_decay_of_softplus,
    lemma=_solves,
)


def _diagonal(given: Given, min_gru: Cell = min_gru) -> list[Claim]:
    p, x, h, v = given.parameters(min_gru), *map(given.vector, ("x", "h", "v"))
    cell = min_gru if given.holds("G1") else gru
    if cell is gru:
        p = given.parameters(gru)
    values = named(program(cell), [x, h], p)
    found = compiled(jacobian(cell) @ vector("•"))(values | {"•": v})
    return [Claim("∂h'/∂h v = (1−z)⊙v", found, (1 - values["z"]) * v)]


DIAGONAL = Theorem(
    name="If neither gate nor candidate reads the state, the Jacobian is diagonal",
    statement=(
        "For the minGRU ∂h_t/∂h_{t−1} = diag(1−z_t) exactly, so a product of them is diagonal too."
    ),
    assumptions={"G1": "neither gate nor candidate reads h (the minGRU, not the GRU)"},
    claims=_diagonal,
    examples={"G1": {"Un": [[0, 1], [0, 0]], "v": [0, 1]}},  # a 0 of v that does not stay 0
    sizes=(1, 2),
)
