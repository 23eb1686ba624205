"""relu on every kind of number and in symbols, and the RNN that counts with it."""

import math

import mpmath
import numpy as np
import sympy
import torch

from companion import init, relu, relu_rnn, rnn, scan, step
from companion.symbolic import diag, equal, evaluate, jacobian, latex, matrix, vector

U = matrix("U")
a, b, h = map(vector, "abh")


def test_relu_keeps_kind_and_precision():
    a = np.array([-2.0, 0.0, 3.0])
    for kind in (np.float32, np.float64):
        assert relu(a.astype(kind)).dtype == kind
        assert relu(torch.tensor(a.astype(kind))).numpy().dtype == kind
    assert relu(np.float32(-1)).dtype == np.float32
    assert [relu(k) for k in (-2, 0, 3, -0.5, 0.5)] == [0, 0, 3, 0, 0.5]
    with mpmath.workdps(50):
        third = mpmath.mpf(1) / 3
        assert relu(third) == third
        assert relu(-third) == 0
    for unknown in (np.float64("nan"), torch.tensor(np.nan), mpmath.mpf("nan")):
        assert math.isnan(relu(unknown))


def test_intervals_under_relu_are_tight():
    ends = [((-2, -1), (0, 0)), ((-1, 2), (0, 2)), ((1, 2), (1, 2)), ((-1, 0), (0, 0))]
    for inside, outside in ends:
        found = relu(mpmath.iv.mpf(inside))
        assert (found.a, found.b) == outside


def test_relu_and_its_step():
    s, t = sympy.Symbol("s"), sympy.Symbol("t", positive=True)
    step = relu(s).diff(s)
    assert (str(relu(s)), str(step)) == ("relu(s)", "step(s)")
    assert [relu(sympy.Integer(k)) for k in (-2, 0, 2)] == [0, 0, 2]
    assert [step.subs(s, k) for k in (-2, 0, 2)] == [0, 0, 1]
    assert (relu(t), relu(-t), relu(t).diff(t)) == (t, 0, 1)
    assert relu(sympy.pi - 3) == sympy.pi - 3
    assert step.diff(s).is_Derivative  # a jump has no slope, and none is made up
    assert latex(relu(U @ h)) == r"\operatorname{relu}(\mathbf{U} \mathbf{h})"
    assert latex(relu(h).diff(h)) == r"\operatorname{step}(\mathbf{h})"


def test_relu_in_the_ring():
    assert equal(relu(U @ (a + b)), relu(U @ a + U @ b))
    assert equal(jacobian(relu(U @ h), h), diag(relu(b).diff(b).xreplace({b: U @ h})) @ U)
    assert not equal(relu(a + b), relu(a) + relu(b))
    assert not equal(relu(a) - relu(-a), a)  # true, but not known
    assert not equal(jacobian(relu(a) - relu(-a), a), jacobian(a, a))  # but at 0 they differ
    assert not equal(relu(-a), -relu(a))


def test_the_step_on_every_kind_of_number():
    step = relu(h).diff(h)
    at = np.array([-2.0, 0.0, 0.5])

    def value(array):
        return evaluate(step, {"h": array})

    np.testing.assert_array_equal(value(at), [0, 0, 1])
    assert value(at.astype(np.float32)).dtype == np.float32
    assert list(value(np.vectorize(mpmath.mpf, otypes=[object])(at))) == [0, 0, 1]
    assert list(value(np.array([sympy.Float(k) for k in at]))) == [0, 0, 1]
    ends = [((-2, -1), (0, 0)), ((-1, 0), (0, 0)), ((-1, 2), (0, 1)), ((1, 2), (1, 1))]
    for inside, outside in ends:
        found = value(np.array([mpmath.iv.mpf(inside)], dtype=object))[0]
        assert (found.a, found.b) == outside


def test_the_relu_rnn_counts():
    """Exactly, up and down, as far as floats go; with the same weights the tanh RNN does not."""
    rng = np.random.default_rng(0)
    p = init(relu_rnn, 1, 1, rng, b="zeros")._replace(W=np.ones((1, 1)), U=np.ones((1, 1)))
    moves = np.concatenate([np.ones(500), rng.choice([-1.0, 1.0], 500)])
    outputs, _ = scan(relu_rnn, moves[:, None], np.zeros(1), p)
    np.testing.assert_array_equal(outputs[:, 0], np.cumsum(moves))
    assert relu_rnn(np.ones(1), np.array([2.0**53 - 1]), p) == 2.0**53
    assert np.abs(scan(rnn, moves[:, None], np.zeros(1), p)[0]).max() <= 1
    # But not below 0: what is taken away there is forgotten.
    below, _ = scan(relu_rnn, np.array([[-1.0], [-1.0], [1.0]]), np.zeros(1), p)
    assert below[:, 0].tolist() == [0, 0, 1]


def test_an_irnn_at_the_start_adds_up_its_input():
    """U = 1, b = 0 (Le et al. 2015): what is not negative is summed, and kept without a loss."""
    p = init(relu_rnn, 3, 3, np.random.default_rng(0), b="zeros")
    p = p._replace(W=np.eye(3), U=np.eye(3))
    xs = np.random.default_rng(1).uniform(0, 1, (50, 3))
    outputs, last = scan(relu_rnn, xs, np.zeros(3), p)
    np.testing.assert_allclose(outputs, np.cumsum(xs, 0), rtol=1e-14)
    np.testing.assert_array_equal(step(relu_rnn, np.zeros(3), last, p), last)
    assert not np.allclose(step(rnn, np.zeros(3), last, p), last)
