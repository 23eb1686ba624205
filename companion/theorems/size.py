"""Theorems on how large a state, a gradient and a count can become."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy

from companion.cells import gru, lstm
from companion.ops import sigma, sigmoid, softplus, tanh
from companion.symbolic import diag, evaluate, jacobian, matrix, program, vector
from companion.symbolic.evaluate import named
from companion.theorems.given import Arrays, Claim, Given
from companion.theorems.pieces import gate, largest, line
from companion.theorems.theorem import Theorem
from companion.trace import Cell
from companion.variants import coupled_lstm, janet, min_lstm


def _bound(
    given: Given,
    lstm: Cell = lstm,
    gru: Cell = gru,
    janet: Cell = janet,
    coupled_lstm: Cell = coupled_lstm,
) -> list[Claim]:
    f = given.vector("f") if given.symbolic else sigmoid(given.vector("af"))
    c, B = map(given.vector, "cB")
    is_value = given.symbolic or not given.holds("S2")
    g = given.vector("g") if is_value else tanh(given.vector("ag"))
    drawn = isinstance(given, Arrays) and given.rng is not None
    if drawn:
        B = abs(B)
    M = np.maximum(abs(c), B) if drawn else given.vector("M")
    i = sigmoid(given.vector("ai"))
    if given.holds("S1"):
        i = given.vector("i") if given.symbolic else B * (1 - f) * i
    room = B * (1 - f) - i
    because = (M - c, M + c, M - B)
    because += (f, 1 - f, i, room) if given.holds("S1") else ()
    because += (1 - g, 1 + g) if given.holds("S2") else ()
    new = line(lstm, "c'", f=f, c=c, i=i, g=g)
    z, n = sigmoid(given.vector("az")), tanh(given.vector("an"))
    top = np.maximum(abs(c), 1) if drawn else given.vector("M1")
    h = line(gru, "h'", h=c, z=z, n=n)
    claims = [
        Claim("c' ≤ M", new, M, [(f, M - c), (1 - f, M - B), (room,), (i, 1 - g)], because),
        Claim("−c' ≤ M", -new, M, [(f, M + c), (1 - f, M - B), (room,), (i, 1 + g)], because),
    ]
    if given.symbolic or drawn:
        because = (top - c, top + c, top - 1)
        claims += [
            Claim("GRU: h' ≤ M", h, top, [(1 - z, top - c), (z, top - 1), (z, 1 - n)], because),
            Claim("GRU: −h' ≤ M", -h, top, [(1 - z, top + c), (z, top - 1), (z, 1 + n)], because),
        ]
    x, hidden = given.vector("x"), given.vector("h")
    p, q = given.parameters(janet), given.parameters(coupled_lstm)
    one, two = named(program(janet), [x, c], p), named(program(coupled_lstm), [x, hidden, c], q)
    tied = line(lstm, "c'", f=1 - two["i"], c=c, i=two["i"], g=two["g"])
    a, step = gate(p, "f", x, c), janet(x, c, p)
    claims += [
        Claim("JANET: f⊙h + i⊙g", step, line(lstm, "c'", f=one["f"], c=c, i=one["i"], g=one["g"])),
        Claim("JANET: f = σ(a)", one["f"], sigmoid(a)),
        Claim("JANET, β = 1: i = 1 − σ(a − β)", one["i"], 1 - sigmoid(a - 1)),
        Claim("CIFG: (1−i)⊙c + i⊙g", coupled_lstm(x, hidden, c, q)[1], tied),
    ]
    if drawn:
        top, other = np.maximum(abs(c), np.exp(1.0)), np.maximum(abs(c), 1)
        claims += [Claim("JANET: |h'| ≤ max(|h|, e^β)", abs(step), top, [])]
        claims += [Claim("CIFG: |c'| ≤ max(|c|, 1)", abs(tied), other, [])]
    return claims


def _janet_and_lstm() -> bool:
    """JANET: e^β(1−f) − i = (e^β − 1)(1−f)i; LSTM: (1+e^A)(1−f) = 1 at a_f = A."""
    a, beta = sympy.symbols("a beta", real=True)
    f, i = sigma(a), 1 - sigma(a - beta)
    room = (sympy.exp(beta) * (1 - f) - i - (sympy.exp(beta) - 1) * (1 - f) * i).rewrite(sympy.exp)
    full = ((1 + sympy.exp(a)) * (1 - f) - 1).rewrite(sympy.exp)
    return bool(sympy.simplify(room) == 0 and sympy.simplify(full) == 0)


BOUND = Theorem(
    name="What a gated state is bounded by",
    statement=(
        "If |g| ≤ 1, 0 ≤ f ≤ 1 and 0 ≤ i ≤ B(1−f), then c' = f⊙c + i⊙g has |c'| ≤ M for every "
        "M ≥ max(|c|, B): so |c_t| ≤ max(|c_0|, B). GRU and CIFG: B = 1. JANET, β ≥ 0: B = e^β. An "
        "LSTM whose arguments of f stay below A: B = 1 + e^A."
    ),
    assumptions={"S1": "0 ≤ f ≤ 1 and 0 ≤ i ≤ B(1−f)", "S2": "|g| ≤ 1"},
    claims=_bound,
    examples={
        "S1": {"B": 1, "M": 1, "c": 1, "af": 5, "ai": 5, "ag": 5},
        "S2": {"B": 1, "M": 1, "g": 9},
    },
    lemma=_janet_and_lstm,
    by_hand=(
        "JANET: e^β(1−f) − i = (e^β − 1)(1−f)i, the lemma, is not negative for β ≥ 0; LSTM: "
        "i ≤ 1 = (1 + e^A)σ(−A) ≤ (1 + e^A)(1−f)"
    ),
)


def _contraction(given: Given, gru: Cell = gru) -> list[Claim]:
    if given.symbolic:
        h, z, r, n = vector("h"), vector("z"), vector("r"), vector("n")
        Uz, Ur, Un = (matrix(f"U{k}") for k in "zrn")
        form = diag(1 - z) + diag(z * (1 - z) * (n - h)) @ Uz
        form = form + diag(z * (1 - n**2)) @ Un @ (diag(r) + diag(h * r * (1 - r)) @ Ur)
        size, a, u, w = (vector(k) for k in ("|h|", "|Uz|", "|Un|", "|Ur|"))
        z, r = sigmoid(vector("az")), sigmoid(vector("ar"))
        row = 1 - z + 2 * z * (1 - z) * a + z * (1 - n**2) * u * (r + size * r * (1 - r) * w)
        kappa = 2 * a + u * (1 + w / 4)
        half = sympy.Rational(1, 2)
        parts = [(2, a, z, z), (z, u, 1 - r), (z, u, w, (half - r) ** 2),
                 (z, u, w, r, 1 - r, 1 - size), (z, u, n**2, r),
                 (z, u, n**2, size, r, 1 - r, w)]  # fmt: skip
        because = (a, u, w, size, *([1 - size] if given.holds("K1") else []))
        k, m = vector("κ"), vector("m")
        known = (z - m, *([1 - k] if given.holds("K2") else []))
        return [
            Claim("∂h'/∂h", jacobian(gru), form),
            Claim("each row's bound", row, 1 - (1 - kappa) * z, parts, because),
            Claim("with m = min z", 1 - (1 - k) * z, 1 - (1 - k) * m, [(1 - k, z - m)], known),
        ]
    p, x, h = given.parameters(gru), given.vector("x"), given.vector("h")

    def norm(a: Any) -> Any:
        return largest(sum(abs(entry) for entry in row) for row in a)

    def constant(p: Any) -> Any:
        return 2 * norm(p.Uz) + norm(p.Un) * (1 + norm(p.Ur) / 4)

    if given.holds("K1"):
        h = tanh(h)
    if given.holds("K2"):  # made smaller, so that κ becomes κ/(1 + κ)
        scale = 1 + constant(p)
        p = p._replace(Uz=p.Uz / scale, Un=p.Un / scale)
    values, kappa = named(program(gru), [x, h], p), constant(p)
    least = -largest(-z for z in values["z"])
    return [Claim("‖∂h'/∂h‖ ≤ 1 − (1−κ) min z",
                  norm(evaluate(jacobian(gru), values)), 1 - (1 - kappa) * least, [])]  # fmt: skip


CONTRACTION = Theorem(
    name="When the GRU contracts",
    statement=(
        "For |h| ≤ 1 and κ = 2‖U_z‖ + ‖U_n‖(1 + ¼‖U_r‖) < 1, in the ∞-norm, "
        "‖∂h_t/∂h_{t−1}‖ ≤ 1 − (1−κ) min z_t (reset-before, z writes)."
    ),
    assumptions={"K1": "|h| ≤ 1", "K2": "κ < 1"},
    claims=_contraction,
    examples={
        "K1": {"Uz": [[1, 0], [0, 0]], "bz": [33, 33], "h": [-99, 0]},
        "K2": {"Un": [[3, 0], [0, 0]], "bz": [5, -5], "br": 5},
    },
    sizes=(1, 2),
    by_hand="norms are submultiplicative; |n − h| ≤ 2, as |h| ≤ 1; κ is that of the row's bound",
)


def _convex(given: Given, min_lstm: Cell = min_lstm) -> list[Claim]:
    f, h, g = sigmoid(given.vector("af")), given.vector("h"), given.vector("g")
    drawn = isinstance(given, Arrays) and given.rng is not None
    M = np.maximum(h, g) if drawn else given.vector("M")
    m = np.minimum(h, g) if drawn else given.vector("m")
    new = line(min_lstm, "h'", f=f, h=h, g=g)
    if not given.holds("N1"):
        new = f * h + sigmoid(given.vector("ai")) * g
    return [
        Claim("h' ≤ max(h, g)", new, M, [(f, M - h), (1 - f, M - g)], (M - h, M - g)),
        Claim("min(h, g) ≤ h'", m, new, [(f, h - m), (1 - f, g - m)], (h - m, g - m)),
    ]


def _normalised() -> bool:
    """σ(softplus(−b) − softplus(−a)) = σ(a)/(σ(a) + σ(b)), the paper's f/(f + i)."""
    a, b = sympy.symbols("a b", real=True)
    ours = sigma(softplus(-b) - softplus(-a)).rewrite(sympy.exp)
    theirs = (sigma(a) / (sigma(a) + sigma(b))).rewrite(sympy.exp)
    return bool(sympy.simplify(ours.rewrite(sympy.exp) - theirs) == 0)


CONVEX = Theorem(
    name="The normalised minLSTM averages",
    statement=(
        "As f + i = 1, min(h, g) ≤ h' ≤ max(h, g) in every component, so |h_t| ≤ max(|h_0|, "
        "max_k |g_k|): with fixed weights, on bounded inputs, it is bounded. Like the LSTM's, that "
        "bound grows with the weights."
    ),
    assumptions={"N1": "the gates are normalised"},
    claims=_convex,
    examples={"N1": {"af": 5, "ai": 5, "h": 1, "g": 1, "M": 1}},
    lemma=_normalised,
    by_hand="induction over t; g = W_g x + b_g is bounded for bounded x",
)


def _count(given: Given, lstm: Cell = lstm) -> list[Claim]:
    f, i, g = sigmoid(given.vector("af")), sigmoid(given.vector("ai")), tanh(given.vector("ag"))
    t, c = given.vector("t"), given.vector("c")
    new = line(lstm, "c'", f=f, c=c, i=i, g=g)
    claims = [Claim("(t+1) − c' = (t−c) + (1−f)⊙c + (1 − i⊙g)",
                    (t + 1) - new, (t - c) + (1 - f) * c + (1 - i * g))]  # fmt: skip
    if given.symbolic:
        T, e = given.vector("T"), given.vector("e")
        kept, written = e - (1 - f), 3 * e - (1 - i * g)
        near = (kept, written, g) if given.holds("C1") else ()
        claims += [
            Claim("0 ≤ c'", 0 * t, new, [(f, c), (i, g)], (c, *near)),
            Claim("c' ≤ t+1", new, t + 1, [(t - c,), (1 - f, c), (1 - i,), (i, 1 - g)], (c, t - c)),
            Claim("(t+1) − c' ≤ (t−c) + (T+3)e", (t + 1) - new, (t - c) + (T + 3) * e,
                  [(T, kept), (1 - f, T - c), (written,)], (T, T - c, *near)),
        ]  # fmt: skip
    else:
        b = 20 * given.one if given.holds("C1") else given.vector("b")
        p = given.parameters(lstm)
        p = type(p)(*(0 * value for value in p))._replace(bf=b, bi=b, bg=b)
        h, c = 0 * given.one, 0 * given.one
        for step in range(1, 21):
            h, c = lstm(0 * given.vector("x"), h, c, p)
            claims += [Claim(f"|c_{step} − {step}| ≤ 10⁻⁶", abs(c - step) * 10**6, given.one, [])]
    return claims


COUNT = Theorem(
    name="An LSTM counts",
    statement=(
        "For every T and ε there are weights with |c_t − t| ≤ ε for t ≤ T, from h_0 = c_0 = 0: "
        "b_f = b_i = b_g = b large, all else 0. The error grows in a step by "
        "(1−f)⊙c + (1 − i⊙g) ≤ (T + 3)e with e = e^−b."
    ),
    assumptions={"C1": "the gates are nearly saturated: b = 20 for T = 20, ε = 10⁻⁶"},
    claims=_count,
    examples={"C1": {"b": 1}},
    by_hand=(
        "1 − σ(b) = e^−b σ(b) ≤ e and 1 − tanh b ≤ 2e^−2b, so 1 − σ(b) tanh b ≤ 3e; by induction "
        "0 ≤ c_t ≤ t ≤ T, and T steps add up to T(T + 3)e"
    ),
)
