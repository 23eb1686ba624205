"""Each cell against PyTorch's own, over drawn sizes, and on every kind of number."""

from functools import partial

import mpmath
import numpy as np
import pytest
import sympy
import torch
from hypothesis import given
from hypothesis import strategies as st

from companion import (
    gru,
    gru_reset_after,
    init,
    lstm,
    relu,
    relu_rnn,
    rnn,
    scan,
    sigmoid,
    softplus,
    step,
    tanh,
    zero_state,
)
from companion.trace import trace

CELLS = (rnn, relu_rnn, lstm, gru, gru_reset_after)
sizes = st.integers(1, 6)
seeds = st.integers(0, 2**32 - 1)


def torch_run(kind, gates, p, xs, negate_z=False):
    """PyTorch's layer with the weights of p in its layout: gates stacked, two biases.

    gates: the letters in PyTorch's order; "" for the plain RNN. Its GRU's z keeps, ours writes.
    """
    layer = kind(xs.shape[-1], p[1].shape[0], dtype=torch.float64)
    sign = {letter: -1.0 if letter == "z" and negate_z else 1.0 for letter in gates}

    def stacked(name):
        return torch.tensor(np.concatenate([sign[g] * getattr(p, name + g) for g in gates]))

    inner = [p.bUn if g == "n" and hasattr(p, "bUn") else np.zeros_like(p[2]) for g in gates]
    layer.load_state_dict(
        {
            "weight_ih_l0": stacked("W"),
            "weight_hh_l0": stacked("U"),
            "bias_ih_l0": stacked("b"),
            "bias_hh_l0": torch.tensor(np.concatenate(inner)),
        }
    )
    with torch.no_grad():
        return layer(torch.tensor(xs))[0].numpy()


@pytest.mark.parametrize(
    ("cell", "kind", "gates"),
    [
        (rnn, torch.nn.RNN, [""]),
        (relu_rnn, partial(torch.nn.RNN, nonlinearity="relu"), [""]),
        (lstm, torch.nn.LSTM, ["i", "f", "g", "o"]),
        (gru_reset_after, torch.nn.GRU, ["r", "z", "n"]),
    ],
)
@given(input_size=sizes, hidden_size=sizes, batch_size=sizes, seed=seeds)
def test_cell_is_pytorchs(cell, kind, gates, input_size, hidden_size, batch_size, seed):
    rng = np.random.default_rng(seed)
    p = init(cell, input_size, hidden_size, rng)
    xs = rng.standard_normal((7, batch_size, input_size))
    outputs, _ = scan(cell, xs, zero_state(cell, p, batch_size), p)
    theirs = torch_run(kind, gates, p, xs, negate_z=cell is gru_reset_after)
    np.testing.assert_allclose(outputs, theirs, rtol=0, atol=1e-12)


@given(input_size=sizes, hidden_size=sizes, batch_size=sizes, seed=seeds)
def test_reset_before_is_pytorchs_where_the_two_resets_coincide(
    input_size, hidden_size, batch_size, seed
):
    """U(r⊙h) = r⊙(Uh) if U is diagonal: PyTorch has no reset-before GRU but this one."""
    rng = np.random.default_rng(seed)
    p = init(gru, input_size, hidden_size, rng)
    p = p._replace(Un=np.diag(rng.standard_normal(hidden_size)))
    xs = rng.standard_normal((7, batch_size, input_size))
    outputs, _ = scan(gru, xs, zero_state(gru, p, batch_size), p)
    theirs = torch_run(torch.nn.GRU, ["r", "z", "n"], p, xs, negate_z=True)
    np.testing.assert_allclose(outputs, theirs, rtol=0, atol=1e-12)


def test_reset_before_is_not_pytorchs():
    """The negative control: Chung's GRU, with the same weights, is another function."""
    rng = np.random.default_rng(0)
    p = init(gru, 2, 3, rng)
    xs = rng.standard_normal((5, 1, 2))
    outputs, _ = scan(gru, xs, zero_state(gru, p, 1), p)
    theirs = torch_run(torch.nn.GRU, ["r", "z", "n"], p, xs, negate_z=True)
    assert np.abs(outputs - theirs).max() > 1e-4


def test_z_writes():
    """The negative control of the sign: without it, z keeps, and the two differ."""
    rng = np.random.default_rng(0)
    p = init(gru_reset_after, 2, 3, rng)
    xs = rng.standard_normal((5, 1, 2))
    outputs, _ = scan(gru_reset_after, xs, zero_state(gru_reset_after, p, 1), p)
    assert np.abs(outputs - torch_run(torch.nn.GRU, ["r", "z", "n"], p, xs)).max() > 1e-2


@pytest.mark.parametrize("cell", CELLS)
@given(input_size=sizes, hidden_size=sizes, seed=seeds)
def test_one_function_on_every_kind_of_number(cell, input_size, hidden_size, seed):
    rng = np.random.default_rng(seed)
    p = init(cell, input_size, hidden_size, rng)
    x = rng.standard_normal(input_size)
    state = zero_state(cell, p)
    state = tuple(rng.uniform(-1, 1, hidden_size) for _ in state) if cell is lstm else x[:1] + state
    expected = np.array(step(cell, x, state, p))

    def run(make, back):
        parts = tuple(map(make, state)) if cell is lstm else make(state)
        new = step(cell, make(x), parts, type(p)(*map(make, p)))
        return np.array([back(part) for part in (new if cell is lstm else (new,))])

    def objects(kind):
        return lambda a: np.vectorize(kind, otypes=[object])(a)

    as_floats = np.vectorize(float, otypes=[float])
    for make, back in [
        (torch.tensor, lambda a: a.numpy()),
        (objects(mpmath.mpf), as_floats),
        (objects(lambda v: sympy.Float(float(v), 30)), np.vectorize(lambda v: float(v.evalf(30)))),
        (objects(mpmath.iv.mpf), np.vectorize(lambda v: float(v.mid))),
    ]:
        np.testing.assert_allclose(run(make, back).reshape(expected.shape), expected, atol=1e-12)
    single = run(lambda a: a.astype(np.float32), lambda a: a)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single.reshape(expected.shape), expected, atol=1e-5)


def test_sigmoid_is_exact_in_both_tails():
    with mpmath.workdps(50):
        for a in (-700.0, -40.0, -1.0, 0.0, 1.0, 40.0, 700.0):
            exact = float(1 / (1 + mpmath.exp(-mpmath.mpf(a))))
            assert sigmoid(np.float64(a)) == pytest.approx(exact, rel=4e-16)


def test_intervals_enclose():
    for a in (-3, -0.1, 0, 0.1, 2):
        for op, exact in ((sigmoid, lambda v: 1 / (1 + mpmath.exp(-v))), (tanh, mpmath.tanh)):
            got = op(mpmath.iv.mpf(a))
            with mpmath.workdps(50):
                assert mpmath.mpf(got.a) <= exact(mpmath.mpf(a)) <= mpmath.mpf(got.b)


def test_sigma_is_the_logistic_function():
    a = sympy.Symbol("a", real=True)
    assert sigmoid(-a) == 1 - sigmoid(a)
    assert sigmoid(sympy.Integer(0)) == sympy.Rational(1, 2)
    derivative = sympy.diff(1 / (1 + sympy.exp(-a)), a)
    assert sympy.simplify(sigmoid(a).diff(a).rewrite(sympy.exp) - derivative) == 0
    assert sympy.simplify(sigmoid(a).rewrite(sympy.exp) - sympy.tanh(a)) != 0  # negative control


@pytest.mark.parametrize("bad", ["0.5", None, 1j, [0.5], mpmath.mpc(1, 2)])
def test_unknown_numbers_are_refused(bad):
    for op in (sigmoid, tanh, softplus, relu):
        for _ in range(2):  # the second time, too: registering must not loop
            with pytest.raises(TypeError, match=f"a is a {type(bad).__name__}; expected"):
                op(bad)


def test_phi_is_an_argument():
    linear = partial(lstm, phi=lambda a: a)
    p = init(linear, 2, 3, np.random.default_rng(0))
    h, c = step(linear, np.ones(2), zero_state(linear, p), p)
    assert np.abs(h) == pytest.approx(np.abs(h / c * c))
    assert "o * c'" in str(trace(linear))
    assert not np.allclose(h, step(lstm, np.ones(2), zero_state(lstm, p), p)[0])
