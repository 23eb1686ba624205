"""Three witnesses for every gradient: derived, by torch's autograd, by differences in 50 digits."""

import mpmath
import numpy as np
import pytest
import sympy
import torch
from cells_under_test import CELLS, drawn, name, one, parts

from companion import gru, init, relu, relu_rnn, scan, sigmoid, softplus, tanh, trace
from companion.symbolic import (
    backward,
    bptt,
    components,
    equal,
    evaluate,
    jacobian,
    matrix,
    named,
    program,
    run,
    vector,
)

cells = pytest.mark.parametrize("cell", CELLS, ids=name)


def seeds(cell, rng, xs, state):
    outputs = rng.standard_normal((*parts(xs)[0].shape[:-1], parts(state)[0].shape[-1]))
    return outputs, one(tuple(rng.standard_normal(part.shape) for part in parts(state)))


def flat(gradients):
    return [*gradients.p, *parts(gradients.xs), *parts(gradients.state)]


def by_autograd(cell, xs, state, p, d_outputs, d_state):
    def leaf(value):
        return torch.tensor(value, requires_grad=True)

    weights = type(p)(*map(leaf, p))
    series, first = tuple(map(leaf, parts(xs))), tuple(map(leaf, parts(state)))
    outputs, last = scan(cell, one(series), one(first), weights)
    loss = (outputs * torch.tensor(d_outputs)).sum()
    for part, seed in zip(parts(last), parts(d_state), strict=True):
        loss = loss + (part * torch.tensor(seed)).sum()
    loss.backward()
    leaves = (*weights, *series, *first)
    return [np.zeros(v.shape) if v.grad is None else v.grad.numpy() for v in leaves]


@cells
@pytest.mark.parametrize("batch_size", [None, 3, 4])
def test_bptt_is_autograd(cell, batch_size):
    """T = 13; batch 4 = H, where a slip of rows and columns raises nothing."""
    rng = np.random.default_rng(0)
    p, xs, state = drawn(cell, rng, 13, 3, 4, batch_size)
    given = (cell, xs, state, p, *seeds(cell, rng, xs, state))
    for ours, theirs in zip(flat(bptt(*given)), by_autograd(*given), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def arguments_of_relu(cell, xs, state, p):
    """All that relu is given in a run: at 0 it has a kink, and differences would straddle it."""
    lines, now, found = program(cell), parts(state), [np.array([np.inf])]
    for t in range(12):
        values = named(lines, (*(s[t] for s in parts(xs)), *now), p)
        for line in lines.lines:
            found += [evaluate(f.args[0], values) for f in line.expr.atoms(type(relu(vector("a"))))]
        now = tuple(values[name] for name in lines.outputs)
    return np.concatenate(found)


@cells
def test_bptt_is_the_slope_in_fifty_digits(cell):
    """Central differences of the same cell on mpmath numbers, T = 12: all parameters and inputs."""
    rng = np.random.default_rng(1)
    p, xs, state = drawn(cell, rng, 12, 1, 2)
    d_outputs, d_state = seeds(cell, rng, xs, state)
    assert abs(arguments_of_relu(cell, xs, state, p)).min() > 1e-3  # the differences take 1e-16
    exact = np.vectorize(mpmath.mpf, otypes=[object])

    def loss(values):
        count, inputs = len(p), len(parts(xs))
        weights = type(p)(*values[:count])
        now = tuple(values[count + inputs :])
        total = 0
        for t in range(12):
            new = cell(*(s[t] for s in values[count : count + inputs]), *now, weights)
            now = parts(new)
            total += (now[0] * exact(d_outputs[t])).sum()
        return total + sum((a * exact(b)).sum() for a, b in zip(now, parts(d_state), strict=True))

    with mpmath.workdps(50):
        values = [exact(value) for value in (*p, *parts(xs), *parts(state))]
        step = mpmath.mpf(10) ** -16
        slopes = []
        for value in values:
            slope = np.empty(value.shape, dtype=object)
            for place in np.ndindex(*value.shape):
                ends = []
                for side in (1, -1):
                    was = value[place]
                    value[place] = was + side * step
                    ends.append(loss(values))
                    value[place] = was
                slope[place] = (ends[0] - ends[1]) / (2 * step)
            slopes.append(slope)
        mp = type(p)(*values[: len(p)])
        series = one(tuple(values[len(p) : len(p) + len(parts(xs))]))
        first = one(tuple(values[len(p) + len(parts(xs)) :]))
        seeded = exact(d_outputs), one(tuple(map(exact, parts(d_state))))
        derived = flat(bptt(cell, series, first, mp, *seeded))
        # The differences stop at step² = 1e-32: so do ours, run in the same 50 digits.
        error = max(abs(a - b).max() for a, b in zip(derived, slopes, strict=True))
        assert error < mpmath.mpf(10) ** -28
    ours = flat(bptt(cell, xs, state, p, d_outputs, d_state))
    for a, b in zip(ours, slopes, strict=True):
        np.testing.assert_allclose(a, b.astype(float), rtol=1e-13, atol=1e-15)


@cells
def test_printed_code_is_what_runs(cell):
    """`print(backward(cell))` is Python: executed as printed, it gives the same numbers."""
    rng = np.random.default_rng(2)
    p, xs, state = drawn(cell, rng, 1, 3, 4)
    given = [part[0] for part in parts(xs)] + list(parts(state))
    d_new = [rng.standard_normal(4) for _ in parts(state)]
    derived = backward(cell)
    names = {"sigmoid": sigmoid, "tanh": tanh, "softplus": softplus, "relu": relu}
    names["outer"] = np.outer
    exec(str(derived), names)
    theirs = names[f"{derived.forward.name}_backward"](*given, p, *d_new)
    ours = derived(*given, p, *d_new)
    ours = [*ours[:-1], *ours[-1]]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_relu_has_the_slope_zero_at_zero():
    """Where relu has no derivative, ours is the one that torch takes; beside it, the true one."""
    p = init(relu_rnn, 1, 2, np.random.default_rng(0), b="zeros")
    state, d_state = np.zeros(2), np.ones(2)
    for x in (0.0, 1e-3, -1e-3):
        given = (relu_rnn, np.full((1, 1), x), state, p, np.zeros((1, 2)), d_state)
        ours = flat(bptt(*given))
        for a, b in zip(ours, by_autograd(*given), strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(ours[2], p.W[:, 0] * x > 0)  # that of b


def test_the_slope_of_relu_in_code_and_in_symbols():
    assert "    da = dh_new*(h_new > 0)" in str(backward(relu_rnn)).splitlines()
    assert str(jacobian(relu_rnn)) == "Diag(step(h'))*U"
    step = jacobian(relu(vector("h")), vector("h")).expr.args[0]
    for jump in (step, vector("h") + step * vector("b")):
        with pytest.raises(TypeError, match=r"step\(h\) is a step; its derivative is not known"):
            jacobian(jump, vector("h"))
    rng = np.random.default_rng(7)
    p, xs, state = drawn(relu_rnn, rng, 12, 3, 4)
    inside = arguments_of_relu(relu_rnn, xs, state, p)[1:]
    assert min((inside > 0).sum(), (inside < 0).sum()) > 10  # the tests above see both sides


def test_the_backward_step_is_short():
    """About a dozen lines for the GRU, under the cell's own names."""
    code = str(backward(gru)).splitlines()
    assert len(code) <= 14
    assert "    da_z = dh_new*z*(1 - z)*(-h + n)" in code
    assert "    dWz, dUz, dbz = outer(da_z, x), outer(da_z, h), da_z" in code


@cells
def test_a_gradient_that_is_cut_differs(cell):
    """The negative control: without the state's share, the gradient of the weights is another."""
    rng = np.random.default_rng(3)
    p, xs, state = drawn(cell, rng, 12, 2, 3)
    d_outputs, d_state = seeds(cell, rng, xs, state)
    whole = bptt(cell, xs, state, p, d_outputs, d_state)
    cut = [
        flat(
            bptt(cell, one(tuple(s[t : t + 1] for s in parts(xs))), state, p, d_outputs[t : t + 1])
        )
        for t in range(12)
    ]
    assert not np.allclose(whole.p[0], sum(g[0] for g in cut), atol=1e-3)


def test_the_program_is_the_cell():
    """The lines, put into each other, are the run of the cell itself on vectors."""
    for cell in CELLS:
        lines, known = program(cell), {}
        for line in lines.lines:
            known[vector(line.name)] = line.expr.xreplace(known)
        assert equal(one(tuple(known[vector(n)] for n in lines.outputs)), run(cell)), name(cell)


def swapped(x, h, p):
    """The GRU with z and r in each other's place."""
    r = sigmoid(p.Wz @ x + p.Uz @ h + p.bz)
    z = sigmoid(p.Wr @ x + p.Ur @ h + p.br)
    n = tanh(p.Wn @ x + p.Un @ (r * h) + p.bn)
    return (1 - z) * h + z * n


def dropped(x, h, p):
    """The GRU without the reset's bias, though it reads it."""
    z = sigmoid(p.Wz @ x + p.Uz @ h + p.bz)
    r = sigmoid(p.Wr @ x + p.Ur @ h + 0 * p.br)
    n = tanh(p.Wn @ x + p.Un @ (r * h) + p.bn)
    return (1 - z) * h + z * n


def starred(x, h, p):
    """`*` for `@`: with H = D NumPy computes it."""
    return tanh(p.W * x + p.U @ h + p.b)


@pytest.mark.parametrize("saboteur", [swapped, dropped])
def test_saboteurs_gradients_are_not_the_grus(saboteur):
    rng = np.random.default_rng(5)
    p, xs, state = drawn(gru, rng, 12, 3, 4)
    given = (xs, state, p, *seeds(gru, rng, xs, state))
    theirs = by_autograd(gru, *given)
    ours = bptt(saboteur, xs, state, init(saboteur, 3, 4, rng)._replace(**p._asdict()), *given[3:])
    names = list(trace(saboteur).parameters)
    same = [
        np.allclose(getattr(ours.p, n), g, atol=1e-6)
        for n, g in zip(p._fields, theirs, strict=False)
    ]
    assert set(names) == set(p._fields)
    assert not all(same)
    assert not equal(run(saboteur), run(gru))
    assert not equal(jacobian(saboteur), jacobian(gru)) or saboteur is dropped


def test_a_star_for_an_at_is_refused():
    for derive in (backward, jacobian, run, program):
        with pytest.raises(TypeError, match=r"cell starred: W is a matrix; '\*' needs a vector"):
            derive(starred)


def test_bad_arguments_are_named():
    p, xs, state = drawn(gru, np.random.default_rng(0), 3, 2, 4)
    with pytest.raises(ValueError, match=r"d_outputs has shape \(2, 4\); expected \(3, 4\)"):
        bptt(gru, xs, state, p, np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"d_state has shape \(3,\); expected \(4,\)"):
        bptt(gru, xs, state, p, d_state=np.ones(3))
    with pytest.raises(ValueError, match=r"xs has shape \(3, 3\); expected \(T, 2\)"):
        bptt(gru, np.ones((3, 3)), state, p)
    with pytest.raises(ValueError, match="v is 'q'; expected one of x, h, bz, br, bn of gru"):
        jacobian(gru, "q")
    with pytest.raises(TypeError, match="expected a vector's symbol"):
        jacobian(vector("h") ** 2, vector("h") ** 2)

    def cell(x, h, p):
        dh = p.U @ h
        return tanh(p.W @ x + dh)

    with pytest.raises(ValueError, match="the names dh are those of gradients"):
        backward(cell)


def test_components_of_the_jacobian_by_hand():
    """The vector form agrees with the sum over an index: d tanh(U h)_j / d h_k = (1 − y²) U_jk."""
    U, h = matrix("U"), vector("h")
    v = vector("v")
    ours = components(jacobian(tanh(U @ h), h) @ v, 1, 2)
    array = components(tanh(U @ h), 1, 2)
    hs = [sympy.IndexedBase("h")[k] for k in range(2)]
    vs = [sympy.IndexedBase("v")[k] for k in range(2)]
    for row, entry in zip(array, ours, strict=True):
        assert sympy.expand(entry - sum(row.diff(a) * b for a, b in zip(hs, vs, strict=True))) == 0


def handed_on(x, h, s, p):
    """A new state that is an old one, a local b beside p.b, and a bias that is not used."""
    b = p.U @ h + p.b
    c = b * s + tanh(p.W @ x + p.V @ s)
    _ = p.bq + h
    return c * b, h


def twice(x, h, s, p):
    """One value for both states, and one product with a matrix in two places."""
    m = tanh(p.W @ x + p.U @ h) * (p.U @ h) + p.U @ (p.U @ s)
    return m, m


@pytest.mark.parametrize("cell", [handed_on, twice], ids=name)
@pytest.mark.parametrize("batch_size", [None, 3])
def test_odd_cells(cell, batch_size):
    rng = np.random.default_rng(6)
    p, xs, state = drawn(cell, rng, 12, 2, 3, batch_size)
    given = (cell, xs, state, p, *seeds(cell, rng, xs, state))
    for ours, theirs in zip(flat(bptt(*given)), by_autograd(*given), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
