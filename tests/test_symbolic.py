"""Vectors of unspecified size: what they prove, what they mean, and what they refuse."""

import numpy as np
import pytest
import sympy
from cells_under_test import CELLS, drawn, name, parts
from hypothesis import given, settings
from hypothesis import strategies as st

from companion import gru, gru_reset_after, sigma, sigmoid, softplus, tanh, trace
from companion.symbolic import (
    component,
    components,
    diag,
    equal,
    evaluate,
    explicit,
    jacobian,
    latex,
    matrix,
    normal,
    parameters,
    program,
    run,
    vector,
)
from companion.symbolic.components import size

cells = pytest.mark.parametrize("cell", CELLS, ids=name)
U, V = matrix("U"), matrix("V")
a, b, h, x, z, n, r = map(vector, ("a", "b", "h", "x", "z", "n", "r"))


def test_the_ring():
    assert equal((1 - z) * h + z * n, h + z * (n - h))
    assert equal(z * (h + n) - h * z, n * z)
    assert not equal((1 - z) * h + z * n, z * h + (1 - z) * n)  # z writes, or keeps
    assert equal((h, n * z), (h + 0, z * n))
    assert not equal((h, n), (n, h))


def test_a_matrix_acts_linearly_and_no_more():
    assert equal(U @ (2 * a - b / 3 + 0), 2 * (U @ a) - (U @ b) / 3)
    assert equal(U @ (sympy.sqrt(2) * a * (1 - b)), sympy.sqrt(2) * (U @ a - U @ (a * b)))
    assert equal(U @ (V @ (a + b)), U @ (V @ a) + U @ (V @ b))
    assert equal((U + 2 * V) @ a, U @ a + 2 * (V @ a))
    assert equal((U @ V).T, V.T @ U.T)
    assert equal((U - diag(a) @ V / 2).T, U.T - V.T @ diag(a) / 2)
    assert equal(diag(a) @ diag(b), diag(a * b))
    assert equal(-U, (-1) * U)
    assert equal((U @ U) @ a, U @ (U @ a))
    assert equal((U @ U @ diag(a) @ diag(a)).T, diag(a * a) @ U.T @ U.T)
    for left, right in [
        (U @ (r * h), r * (U @ h)),  # reset before and after
        (U @ (a * b), (U @ a) * (U @ b)),
        (U @ (V @ a), V @ (U @ a)),
        (U @ a, V @ a),
        (U @ tanh(a), tanh(U @ a)),
    ]:
        assert not equal(left, right)
    assert not equal(U @ V, V @ U)
    assert not equal(U, U.T)


def test_matvec_is_lazy():
    """As written until it is compared: twelve steps unrolled stay small."""
    assert str(U @ (a + b)) == "U @ (a + b)"
    state, p = h, parameters(gru)
    for t in range(12):
        state = gru(vector(f"x{t}"), state, p)
    assert state.has(h)


def test_sigmoid_has_a_normal_form():
    assert equal(sigmoid(-(U @ h) - b), 1 - sigmoid(U @ h + b))
    assert equal(sigmoid(U @ (h - b)), 1 - sigmoid(U @ b - U @ h))
    assert equal(tanh(-(U @ h)), -tanh(U @ h))
    assert not equal(sigmoid(2 * a), sigmoid(a))


def test_equal_is_sound_and_not_complete():
    """A true identity that it does not know comes back False, which refutes nothing."""
    assert not equal(tanh(a), 2 * sigmoid(2 * a) - 1)
    at = np.linspace(-3, 3, 7)
    np.testing.assert_allclose(np.tanh(at), 2 * sigmoid(2 * at) - 1, atol=1e-15)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_what_is_equal_is_equal_on_numbers(seed):
    """Random expressions against their normal form, on random arrays."""
    rng = np.random.default_rng(seed)
    pool = [a, b, h, sympy.Integer(1), sympy.Integer(-2)]
    for _ in range(8):
        left, right = (pool[k] for k in rng.integers(len(pool), size=2))
        kind = rng.integers(6)
        pool.append(
            [left + right, left - right, left * right, sigmoid(left), tanh(left), U @ left][kind]
        )
    expr = pool[-1]
    values = {k: rng.uniform(-1, 1, 3) for k in "abh"} | {"U": rng.uniform(-1, 1, (3, 3))}

    def value(e):
        return np.broadcast_to(np.asarray(evaluate(e, values), float), (3,))

    np.testing.assert_allclose(value(expr), value(normal(expr)), rtol=1e-9, atol=1e-9)


SLIPS = """
U * h
h * U
h @ U
U + h
h + U
h - U
U - 1
(1 - z) * U
U / h
U * V
U / 0
U @ "h"
U @ np.ones(2)
np.ones(2) * U
sigmoid(U)
equal(U, h)
equal(h, (h,))
h / h
1 / h
(a + b) / (a + b)
(a * b) / b
tanh(a) / tanh(a)
(U @ h) / (U @ h)
(a + b) ** 2 / (a + b)
(-2)**a
a**b
sympy.sqrt(a + b)
"""


@pytest.mark.parametrize("slip", SLIPS.strip().splitlines())
def test_what_has_no_meaning_raises(slip):
    with pytest.raises(TypeError):
        eval(slip)


def test_messages_are_in_words():
    with pytest.raises(TypeError, match=r"U \* h: a matrix acts through @"):
        _ = U * h
    with pytest.raises(TypeError, match=r"h \* U: a matrix acts through @"):
        _ = h * U
    with pytest.raises(TypeError, match=r"\(a \+ b\)\*\*\(-1\): a vector cannot be divided by"):
        _ = h / (a + b)
    with pytest.raises(TypeError, match="h @ U: expected a matrix on the left"):
        _ = h @ U


def test_sympy_elsewhere_is_left_alone():
    """The guard against division sees vectors only."""
    p, q = sympy.symbols("p q")
    assert (p + q) / (p + q) == 1
    assert 1 / sympy.sin(p) * sympy.sin(p) == 1


@cells
@pytest.mark.parametrize("H", [1, 2, 3])
def test_what_a_symbolic_run_means(cell, H):
    """Its components are those of the same cell run on arrays of SymPy symbols."""
    D = 2
    _, new = explicit(cell, D, H)
    shapes = dict(program(cell).parameters)
    for ours, theirs in zip(parts(run(cell)), parts(new), strict=True):
        array = components(ours, D, H, shapes)
        assert array.shape == theirs.shape == (H,)
        assert all(left == right for left, right in zip(array, theirs, strict=True))


@cells
def test_a_symbolic_run_on_numbers(cell):
    rng = np.random.default_rng(0)
    p, xs, state = drawn(cell, rng, 1, 3, 4)
    given = [part[0] for part in parts(xs)] + list(parts(state))
    traced = trace(cell)
    names = [wire.name for wire in (*traced.inputs, *traced.states)]
    values = dict(zip(names, given, strict=True)) | p._asdict()
    for ours, theirs in zip(parts(run(cell)), parts(cell(*given, p)), strict=True):
        np.testing.assert_allclose(evaluate(ours, values), theirs, rtol=0, atol=1e-14)


def test_a_component_has_a_sum_for_every_matrix():
    j, k = sympy.symbols("j k", integer=True)
    Uj, rk, hk = (sympy.IndexedBase(s) for s in "Urh")
    expected = sympy.Sum(Uj[j, k] * rk[k] * hk[k], (k, 0, sympy.Symbol("H") - 1))
    assert component(U @ (r * h)) == expected
    assert "Sum" in str(component(U @ (V @ h)).args[0])  # a sum in the sum, over another index
    assert component(matrix("W") @ x, 0).limits[0][2] == sympy.Symbol("D") - 1
    at = component(U @ (r * h) - r * (U @ h)).subs("H", 2).doit().subs(j, 1)
    array = components(U @ (r * h) - r * (U @ h), 1, 2)
    assert sympy.expand(at - array[1]) == 0


def test_shapes_of_what_is_written_by_hand():
    assert size(matrix("W") @ x + h) == "H"
    assert size(sympy.Integer(2)) == ""
    assert size(matrix("W").T @ h) == "D"
    for wrong in (matrix("W") @ h, U @ x, x + h, x * h, U @ (matrix("W").T @ h)):
        with pytest.raises(TypeError, match=r"shape|differ"):
            components(wrong, 2, 3)
    assert size(matrix("A") @ x, {"A": ("H", "D"), "x": ("D",)}) == "H"


def test_components_of_a_transpose():
    u = [[sympy.IndexedBase("U")[j, k] for k in range(2)] for j in range(2)]
    a0, a1 = (sympy.IndexedBase("a")[k] for k in range(2))
    assert list(components(U.T @ a, 1, 2)) == [
        u[0][0] * a0 + u[1][0] * a1,
        u[0][1] * a0 + u[1][1] * a1,
    ]


def test_parameters_are_traced_first():
    p = parameters(gru_reset_after)
    assert p._fields == tuple(trace(gru_reset_after).parameters)
    assert equal(p.Un @ h + p.bUn, matrix("Un") @ h + vector("bUn"))

    def slipped(x, h, p):
        return tanh(p.W @ x + p.U * h)

    def mixed(x, h, p):
        return tanh(p.W @ x + p.U @ h) * x

    for wrong in (slipped, mixed):
        for ask in (parameters, run, program, jacobian, latex):
            with pytest.raises(TypeError, match=f"cell {wrong.__name__}"):
                ask(wrong)


def sabotaged(x, h, p):
    """The GRU with z and r swapped where they are used."""
    z = sigmoid(p.Wz @ x + p.Uz @ h + p.bz)
    r = sigmoid(p.Wr @ x + p.Ur @ h + p.br)
    n = tanh(p.Wn @ x + p.Un @ (z * h) + p.bn)
    return (1 - r) * h + r * n


def shortened(x, h, p):
    """The GRU without what it keeps."""
    z = sigmoid(p.Wz @ x + p.Uz @ h + p.bz)
    r = sigmoid(p.Wr @ x + p.Ur @ h + p.br)
    n = tanh(p.Wn @ x + p.Un @ (r * h) + p.bn)
    return h + z * n


def rewritten(x, h, p):
    """The GRU, said otherwise."""
    keep = sigmoid(-(p.Uz @ h) - p.Wz @ x - p.bz)
    r = sigmoid(p.Ur @ h + p.br + p.Wr @ x)
    return keep * h + (1 - keep) * tanh(p.Un @ (h * r) + p.bn + p.Wn @ x)


def test_saboteurs_are_not_proved():
    assert equal(run(gru), run(rewritten))
    for saboteur in (sabotaged, shortened, gru_reset_after):
        assert not equal(run(gru), run(saboteur))
        assert components(run(gru) - run(saboteur), 1, 1)[0] != 0


def test_sigma_prints_and_differentiates():
    s = sympy.Symbol("s")
    assert sympy.latex(sigma(s) ** 2) == r"\sigma^{2}{\left(s \right)}"
    assert softplus(s).diff(s) == sigma(s)


def test_operators_on_numbers():
    rng = np.random.default_rng(0)
    values = {"U": rng.standard_normal((3, 3)), "V": rng.standard_normal((3, 3))}
    values["a"] = rng.standard_normal(3)
    u, v, d = values["U"], values["V"], np.diag(values["a"])
    root = sympy.sqrt(2)
    for operator, expected in [
        (U @ U @ V.T, u @ u @ v.T),
        (root * U - diag(a) @ V / 3, 2**0.5 * u - d @ v / 3),
        ((U @ diag(a * a)).T @ V, d @ d @ u.T @ v),
        (diag(1 - a) + U, np.eye(3) - d + u),
        (U + diag(a - a + 2), u + 2 * np.eye(3)),
    ]:
        np.testing.assert_allclose(evaluate(operator, values), expected, atol=1e-14)
        np.testing.assert_allclose(evaluate(operator @ a, values), expected @ values["a"])
    with pytest.raises(ValueError, match="a multiple of the identity"):
        evaluate(diag(a - a + 2), values)
    with pytest.raises(KeyError, match="W"):
        evaluate(matrix("W") @ a, values)
    np.testing.assert_allclose(evaluate(U @ (a - a + 1), values), u.sum(1))
