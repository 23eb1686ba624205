"""The theorems notice a cell that is not the one they are about."""

from functools import partial

import pytest

from companion import gru, sigmoid, tanh
from companion.symbolic import vector
from companion.theorems import THEOREMS, Claim, Theorem

# The same lines as in test_theorems; under coverage SymPy takes twice its time.
pytestmark = pytest.mark.no_cover

BY_NAME = {theorem.name: theorem for theorem in THEOREMS}
MAIN = THEOREMS[0]


def swapped(x, h, p):
    z = sigmoid(p.Wz @ x + p.Uz @ h + p.bz)
    r = sigmoid(p.Wr @ x + p.Ur @ h + p.br)
    n = tanh(p.Wn @ x + p.Un @ (z * h) + p.bn)
    return (1 - r) * h + r * n


def keeping(x, h, p):
    z = sigmoid(p.Wz @ x + p.Uz @ h + p.bz)
    r = sigmoid(p.Wr @ x + p.Ur @ h + p.br)
    n = tanh(p.Wn @ x + p.Un @ (r * h) + p.bn)
    return z * h + (1 - z) * n


def dropped(x, h, p):
    z = sigmoid(p.Wz @ x + p.Uz @ h + p.bz)
    r = sigmoid(p.Wr @ x + p.Ur @ h + p.br)
    n = tanh(p.Wn @ x + p.Un @ (r * h) + p.bn)
    return (1 - z) * h + n + 0 * z


def after(x, h, p):
    z = sigmoid(p.Wz @ x + p.Uz @ h + p.bz)
    r = sigmoid(p.Wr @ x + p.Ur @ h + p.br)
    n = tanh(p.Wn @ x + r * (p.Un @ h) + p.bn)
    return (1 - z) * h + z * n


def starred(x, h, p):
    z = sigmoid(p.Wz @ x + p.Uz * h + p.bz)
    r = sigmoid(p.Wr @ x + p.Ur @ h + p.br)
    n = tanh(p.Wn @ x + p.Un @ (r * h) + p.bn)
    return (1 - z) * h + z * n


@pytest.mark.parametrize("saboteur", [swapped, keeping, dropped, after])
def test_the_main_theorem_fails_for_another_cell(saboteur):
    proof = MAIN.prove(gru=saboteur)
    assert not proof
    assert proof.status == "open"
    assert proof.residual != 0
    assert MAIN.check(gru=saboteur) > 1e-3
    assert MAIN.prove(gru=gru)


def test_the_main_theorem_fails_for_another_host():
    def late(x, xo, h, c, p, phi=tanh):
        i = sigmoid(p.Wi @ x + p.Ui @ h + p.Vi @ c + p.bi)
        f = sigmoid(p.Wf @ x + p.Uf @ h + p.Vf @ c + p.bf)
        o = sigmoid(p.Wo @ xo + p.Uo @ h + p.Vo @ c + p.bo)  # the old cell
        g = tanh(p.Wg @ x + p.Ug @ h + p.bg)
        c = f * c + i * g
        return o * phi(c), c

    assert not MAIN.prove(lstm_host=late)
    assert MAIN.check(lstm_host=late) > 1e-3


def test_a_star_for_an_at_is_refused():
    with pytest.raises(TypeError, match=r"Uz is a matrix; '\*' needs a vector"):
        MAIN.prove(gru=starred)


def two_gates(x, h, c, p, f_of=lambda i: 1 - i, phi=tanh, ci=0, co=0, wrong=1):
    """A rung of the ladder: gates that read h, or c, and one thing wrong."""
    i = sigmoid(p.Wi @ x + p.Ui @ (c if ci else h) + p.bi)
    g = tanh(p.Wg @ x + p.Ug @ h + p.bg)
    o = sigmoid(p.Wo @ x + p.Uo @ (c if co else h) + p.bo)
    c = f_of(i) * c + wrong * i * g
    return o * phi(c), c


def linear(a):
    return 1 * a


def forgetless(x, h, c, p):
    i = sigmoid(p.Wi @ x + p.Ui @ h + p.bi)
    f = sigmoid(p.Wf @ x + p.Uf @ h + p.bf)
    g = tanh(p.Wg @ x + p.Ug @ h + p.bg)
    o = sigmoid(p.Wo @ x + p.Uo @ h + p.bo)
    c = c + i * g + 0 * f
    return o * tanh(c), c


def reading_late(x, c, p):
    i = sigmoid(p.Wi @ x + p.Ui @ c + p.bi)
    o = sigmoid(p.Wo @ x + p.Uo @ c + p.bo)
    g = tanh(p.Wg @ x + o * (p.Ug @ c) + p.bg)
    return (1 - i) * c + i * g


def prompt_reset(x, h, r, p):
    z = sigmoid(p.Wz @ x + p.Uz @ h + p.bz)
    r = sigmoid(p.Wr @ x + p.Ur @ h + p.br)
    n = tanh(p.Wn @ x + p.Un @ (r * h) + p.bn)
    return (1 - z) * h + z * n, r


def unsigned(x, h, p):
    f = sigmoid(p.Wf @ x + p.Uf @ h + p.bf)
    i = sigmoid(-(p.Wf @ x + p.Uf @ h + p.bf))
    g = tanh(p.Wg @ x + p.Ug @ h + p.bg)
    return f * h + i * g


LADDER = "The ladder from the LSTM to the GRU"
GATED = {"phi": linear, "ci": 1, "co": 1}


@pytest.mark.parametrize(
    ("rung", "saboteur"),
    [
        ("lstm", forgetless),
        ("coupled_lstm", partial(two_gates, f_of=lambda i: i)),
        ("coupled_lstm", partial(two_gates, phi=linear)),
        ("coupled_lstm", partial(two_gates, wrong=2)),
        ("linear_lstm", two_gates),
        ("linear_lstm", partial(two_gates, phi=linear, ci=1)),
        ("linear_lstm", partial(two_gates, phi=linear, co=1)),
        ("linear_lstm", partial(two_gates, phi=linear, wrong=2)),
        ("cell_gated_lstm", partial(two_gates, phi=linear)),
        ("cell_gated_lstm", partial(two_gates, phi=linear, ci=1)),
        ("cell_gated_lstm", partial(two_gates, phi=linear, co=1)),
        ("cell_gated_lstm", partial(two_gates, ci=1, co=1)),
        ("cell_gated_lstm", partial(two_gates, **GATED, f_of=lambda i: i)),
        ("reading_lstm", reading_late),
        ("gru_delayed_reset", prompt_reset),
        ("gru", keeping),
    ],
)
def test_every_rung_of_the_ladder_is_looked_at(rung, saboteur):
    assert not BY_NAME[LADDER].prove(**{rung: saboteur})
    assert BY_NAME[LADDER].check(**{rung: saboteur}) > 1e-3


def test_the_rungs_by_the_saboteurs_template():
    """Nothing wrong with it, the template is the rung: the proof is of what the cells compute."""
    for rung, settings_ in (
        ("coupled_lstm", {}),
        ("linear_lstm", {"phi": linear}),
        ("cell_gated_lstm", GATED),
    ):
        assert BY_NAME[LADDER].prove(**{rung: partial(two_gates, **settings_)})


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("What a gated state is bounded by", {"janet": unsigned}),
        ("What a gated state is bounded by", {"coupled_lstm": partial(two_gates, wrong=2)}),
        ("A second bias is redundant, but for one place", {"gru": after}),
        ("Total derivatives of the cell do not chain", {"lstm": forgetless}),
        ("An LSTM counts", {"lstm": forgetless}),
        ("z and 1 − z", {"gru": keeping}),
        ("The MGU is a GRU with one gate", {"gru": keeping}),
        ("A GRU step is an Euler step", {"gru": keeping}),
        ("With constant gates the GRU is a leaky RNN", {"gru": keeping}),
        ("The GRU is adaptive exponential smoothing", {"gru": keeping}),
        ("What a gated state is bounded by", {"gru": dropped}),
        ("When the GRU contracts", {"gru": after}),
        ("A delayed reset keeps the fixed points", {"gru": after}),
        ("The ladder from the LSTM to the GRU", {"gru": after}),
    ],
)
def test_other_theorems_see_saboteurs(name, cells):
    assert BY_NAME[name].prove()
    assert not BY_NAME[name].prove(**cells)


@pytest.mark.parametrize(
    ("parts", "because", "proved"),
    [
        ([["1 - σ", "h"]], ["h"], True),
        ([["1 - σ", "h"]], [], False),  # h may be negative
        ([["2", "1 - σ", "h"], ["-1", "1 - σ", "h"]], ["h"], False),  # −1 is negative
        ([["σ - 1", "-h"]], ["h"], False),
        ([["1 - σ", "h"], ["σ", "h"]], ["h"], False),  # another sum
    ],
)
def test_an_inequality_needs_a_certificate(parts, because, proved):
    """σ(a)⊙h ≤ h, if h is not negative."""
    a, h = vector("a"), vector("h")
    known = {"h": h, "σ": sigmoid(a), "1 - σ": 1 - sigmoid(a), "σ - 1": sigmoid(a) - 1, "-h": -h}
    known |= {"2": 2, "-1": -1}

    def claims(_):
        products = [[known[f] for f in part] for part in parts]
        return [Claim("σh ≤ h", sigmoid(a) * h, h, products, [known[f] for f in because])]

    assert bool(Theorem("", "", {}, claims, {}).prove()) == proved


def test_squares_are_not_negative_and_cubes_may_be():
    h = vector("h")
    for power, proved in ((2, True), (3, False)):
        claim = Claim("", 0, h**power, [[h**power]])
        assert bool(Theorem("", "", {}, lambda _, c=claim: [c], {}).prove()) == proved
