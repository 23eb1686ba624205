"""The main theorem: under six assumptions on the LSTM, its cell is the GRU's state.

And what one gets instead if the missing time index is filled in with the LSTM's own timing: a GRU
whose reset gate is one step late. And the ladder: one change at a time from the LSTM to the GRU.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from companion.cells import gru, lstm, lstm_host
from companion.ops import Vector, sigmoid, tanh
from companion.symbolic.evaluate import named
from companion.symbolic.program import program
from companion.theorems.given import Claim, Given
from companion.theorems.pieces import argument, gate, line, set_of
from companion.theorems.theorem import Theorem
from companion.trace import Cell
from companion.variants import (
    cell_gated_lstm,
    coupled_lstm,
    gru_delayed_reset,
    linear_lstm,
    reading_lstm,
)


def _identity(a: Any) -> Any:
    return a


def _is(left: str, right: str, mark: str = "", gate: str = "", keep: bool = False) -> str:
    """The line left_t = right_t in LaTeX, such as h_t = r_{t+1} ⊙ h^G_t."""
    times = rf"\mathbf{{{gate[0]}}}{gate[1:]}" if gate else ""
    value = rf"\mathbf{{{right}}}{f'^{{{mark}}}' if mark else ''}_{{t}}" if right else ""
    product = r" \odot ".join(part for part in (times, value) if part)
    return rf"\mathbf{{{left}}}_{{t}} &= {'1 - ' if keep else ''}{product}"


def _host_weights(given: Given, p: Any) -> Any:
    """The LSTM's weights, made of the GRU's, as A1, A3 and A4 say, or as the textbook has it."""
    none = 0 * p.Uz
    q = set_of(Wi=p.Wz, bi=p.bz, Wo=p.Wr, bo=p.br, Wg=p.Wn, Ug=p.Un, bg=p.bn)
    q.Ui, q.Vi = (none, p.Uz) if given.holds("A3") else (p.Uz, none)
    q.Uo, q.Vo = (none, p.Ur) if given.holds("A4") else (p.Ur, none)
    for kind in "WUVb":
        negated = -getattr(q, f"{kind}i")
        make = given.vector if kind == "b" else given.matrix
        setattr(q, f"{kind}f", negated if given.holds("A1") else make(f"{kind}f"))
    return q


def _main(given: Given, gru: Cell = gru, lstm_host: Cell = lstm_host) -> list[Claim]:
    """On vectors one step of the induction, from any state; on numbers the steps t = 1, 2, 3."""
    p = given.parameters(gru)
    q = _host_weights(given, p)
    phi = _identity if given.holds("A2") else tanh
    times = range(1, 2 if given.symbolic else 4)
    xs = {t: given.vector(f"x{t}") for t in range(1, times.stop + 1)}
    state = given.vector("h0")
    c = state
    h = sigmoid(gate(p, "r", xs[1], c)) * c if given.holds("A6") else c
    host = partial(lstm_host, phi=phi)
    claims = []
    for t in times:
        arguments = [xs[t], xs[t + 1] if given.holds("A5") else xs[t], h, c]
        inside = named(program(host), arguments, q)
        old = named(program(gru), [xs[t], state], p)
        h, c = host(*arguments, q)
        state = gru(xs[t], state, p)
        r = sigmoid(gate(p, "r", xs[t + 1], state))
        claims += [
            Claim(f"c_{t} = hG_{t}", c, state, latex=_is("c", "h", "G")),
            Claim(f"h_{t} = r_{t + 1}⊙hG_{t}", h, r * state, latex=_is("h", "h", "G", "r_{t+1}")),
            Claim(f"f_{t} = 1 − z_{t}", inside["f"], 1 - old["z"], latex=_is("f", "z", keep=True)),
            Claim(f"o_{t} = r_{t + 1}", inside["o"], r, latex=_is("o", "", "", "r_{t+1}")),
        ]
        claims += [  # the names are looked up, so that none can be swapped
            Claim(f"{mine}_{t} = {theirs}_{t}", inside[mine], old[theirs], latex=_is(mine, theirs))
            for mine, theirs in (("i", "z"), ("g", "n"))
        ]
    return claims


MAIN = Theorem(
    name="The GRU is an LSTM",
    statement=(
        "For every reset-before GRU, all inputs x_1 … x_{T+1} and every state hG_0, let the LSTM "
        "with peepholes V and an input x° of its own for the output gate have (W_i, b_i) = "
        "(W_z, b_z), (W_o, b_o) = (W_r, b_r), (W_g, U_g, b_g) = (W_n, U_n, b_n). Under A1 to A6, "
        "for t = 1 … T: c_t = hG_t, i_t = z_t, g_t = n_t, o_t = r_{t+1}, h_t = r_{t+1}⊙hG_t, where "
        "r_{T+1} := σ(W_r x_{T+1} + U_r hG_T + b_r)."
    ),
    assumptions={
        "A1": "(W_f, U_f, V_f, b_f) = −(W_i, U_i, V_i, b_i), so f = 1 − i",
        "A2": "φ₂ = id: the output is linear",
        "A3": "U_i = 0, V_i = U_z: i and f read the cell, not the exposed state",
        "A4": "U_o = 0, V_o = U_r: o reads the new cell",
        "A5": "x°_t = x_{t+1}: o is fed the next input",
        "A6": "c_0 = hG_0 and h_0 = r_1⊙c_0",
    },
    claims=_main,
    examples={
        "A1": {"bf": 1, "bn": 1, "h0": 1},
        "A2": {"bn": 1, "Un": 1},
        "A3": {"Uz": 1, "bn": 1, "h0": 1},
        "A4": {"Ur": 1, "bn": 1, "h0": 1},
        "A5": {"Wr": 1, "x2": 1, "bn": 1, "Un": 1},
        "A6": {"Un": 1, "h0": 1},
    },
    by_hand="induction over t: the claims at t give the state that the step from t to t+1 is from",
)


def lstm_early(x: Vector, h: Vector, c: Vector, p: Any, phi: Any = tanh) -> tuple[Any, Any]:
    """The LSTM with full peepholes, all of whose gates look at the old cell. Returns (h', c').

    i, f, o = σ(W x + U h + V c + b), g = tanh(W_g x + U_g h + b_g), c' = f⊙c + i⊙g, h' = o⊙φ(c').
    """
    i = sigmoid(p.Wi @ x + p.Ui @ h + p.Vi @ c + p.bi)
    f = sigmoid(p.Wf @ x + p.Uf @ h + p.Vf @ c + p.bf)
    o = sigmoid(p.Wo @ x + p.Uo @ h + p.Vo @ c + p.bo)
    g = tanh(p.Wg @ x + p.Ug @ h + p.bg)
    c = f * c + i * g
    return o * phi(c), c


def _delayed(
    given: Given, gru: Cell = gru, gru_delayed_reset: Cell = gru_delayed_reset
) -> list[Claim]:
    p = given.parameters(gru)
    q = _host_weights(given, p)
    phi = _identity if given.holds("A2") else tanh
    late, r = given.vector("h0"), sigmoid(given.vector("a0"))
    c = late
    h = r * c if given.holds("A6") else c
    claims = []
    for t in range(1, 2 if given.symbolic else 4):
        x = given.vector(f"x{t}")
        h, c = lstm_early(x, h, c, q, phi=phi)
        late, r = gru_delayed_reset(x, late, r, p)
        claims += [
            Claim(f"c_{t} = hD_{t}", c, late, latex=_is("c", "h", "D")),
            Claim(f"h_{t} = r_{t}⊙hD_{t}", h, r * late, latex=_is("h", "h", "D", "r_{t}")),
        ]
    return claims


DELAYED = Theorem(
    name="With its own timing, the LSTM is a GRU with delayed reset",
    statement=(
        "Let all gates of the LSTM read the cell c_{t−1}, with the weights of the main theorem and "
        "no shift of the input. Under A1 to A4 and A6, c_t is the state of the GRU whose candidate "
        "uses r_{t−1}⊙h_{t−1}, for every r_0 in (0, 1)^H, and h_t = r_t⊙c_t."
    ),
    assumptions={
        "A1": "(W_f, U_f, V_f, b_f) = −(W_i, U_i, V_i, b_i), so f = 1 − i",
        "A2": "φ₂ = id: the output is linear",
        "A3": "U_i = 0, V_i = U_z: i and f read the cell",
        "A4": "U_o = 0, V_o = U_r: o reads the cell",
        "A6": "c_0 = hD_0 and h_0 = r_0⊙c_0",
    },
    claims=_delayed,
    examples={
        "A1": {"bf": 1, "bn": 1, "h0": 1},
        "A2": {"bn": 1, "Un": 1},
        "A3": {"Uz": 1, "bn": 1, "h0": 1},
        "A4": {"Ur": 1, "bn": 1, "h0": 1},
        "A6": {"Un": 1, "h0": 1},
    },
    by_hand="induction over t",
)


def _ladder(
    given: Given,
    lstm: Cell = lstm,
    coupled_lstm: Cell = coupled_lstm,
    linear_lstm: Cell = linear_lstm,
    cell_gated_lstm: Cell = cell_gated_lstm,
    reading_lstm: Cell = reading_lstm,
    gru_delayed_reset: Cell = gru_delayed_reset,
    gru: Cell = gru,
) -> list[Claim]:
    """Each rung is run, and compared with the one before."""
    p, x, h, c = given.parameters(lstm), *map(given.vector, ("x", "h", "c"))
    letters = {"z": "i", "r": "o", "n": "g"}
    q = set_of(**{f"{k}{gate}": getattr(p, k + letters[gate]) for gate in "zrn" for k in "WUb"})
    one, two, three = (
        named(program(cell), [x, h, c], p) for cell in (lstm, coupled_lstm, linear_lstm)
    )
    o, last = sigmoid(gate(p, "o", x, c)), sigmoid(given.vector("al"))
    exposed = [x, last * c, c]
    four = named(program(cell_gated_lstm), exposed, p)
    five = reading_lstm(x, c, p)
    late, reset = gru_delayed_reset(x, c, last, q)
    claims = [
        Claim("tied gates: c'", two["c'"] - one["c'"], ((1 - one["i"]) - one["f"]) * c),
        Claim("tied gates: h'", two["h'"], one["o"] * tanh(two["c'"])),
        Claim("linear output: c'", three["c'"], two["c'"]),
        Claim("linear output: h'", three["h'"] - two["h'"],
              two["o"] * (two["c'"] - tanh(two["c'"]))),
    ]  # fmt: skip
    for k, differs in (("i", p.Ui @ (c - h)), ("o", p.Uo @ (c - h)), ("g", 0 * h)):
        reads = (argument(cell, k, [x, h, c], p) for cell in (cell_gated_lstm, linear_lstm))
        label = f"gates read the cell: argument of {k}"
        claims += [Claim(label, next(reads) - next(reads), differs)]
    i, g = four["i"], four["g"]
    written = line(linear_lstm, "c'", i=i, c=c, g=g)
    read = argument(reading_lstm, "g", [x, c], p) - argument(cell_gated_lstm, "g", exposed, p)
    return [
        *claims,
        Claim("gates read the cell: c'", four["c'"], written),
        Claim("gates read the cell: h'", four["h'"],
              line(linear_lstm, "h'", **{"o": four["o"], "c'": written})),
        Claim("gates read the cell = delayed reset: c'", four["c'"], late),
        Claim("gates read the cell = delayed reset: h'", four["h'"], reset * late),
        Claim("reading-side gate: argument of g", read, p.Ug @ ((o - last) * c)),
        Claim("reading-side gate: c'", five, cell_gated_lstm(x, o * c, c, p)[1]),
        Claim("reading-side gate: output", five - cell_gated_lstm(x, o * c, c, p)[0],
              (1 - o) * five),
        Claim("the last rung = GRU", five if given.holds("D1") else four["c'"], gru(x, c, q)),
    ]  # fmt: skip


LADDER = Theorem(
    name="The ladder from the LSTM to the GRU",
    statement=(
        "Each rung differs from the one before by ((1−i) − f)⊙c, which vanishes if f = 1−i; by "
        "o⊙(c' − tanh c'), if c' = 0; in the arguments of i and o by U(c − h), if h = c; in that "
        "of g by U_g((o_t − o_{t−1})⊙c_{t−1}), if the gate stands still, and in what is handed on, "
        "c_t for o_t⊙c_t, by (1 − o_t)⊙c_t. The third rung is the GRU with delayed reset, the last "
        "is the GRU."
    ),
    assumptions={"D1": "the output gate acts when the cell is read, not when it is written"},
    claims=_ladder,
    examples={"D1": {"Wo": 1, "x": 1, "Ug": 1, "c": 1}},
)
