"""Jacobians in matrix form against SymPy, component by component, and over time."""

import numpy as np
import pytest
import sympy
from cells_under_test import CELLS, drawn, name, one, parts

from companion import gru, lstm, rnn
from companion.symbolic import (
    backward,
    bptt,
    diag,
    equal,
    evaluate,
    explicit,
    jacobian,
    matrix,
    program,
    vector,
)

cells = pytest.mark.parametrize("cell", CELLS, ids=name)


def value_of(found, known, rows, columns):
    """A Jacobian's value, also of a zero one, which as an expression has no size."""
    if hasattr(found, "rows"):
        return found.evaluate(known)
    return evaluate(found, known) if found.expr else np.zeros((rows, columns), dtype=int)


# Not watched by coverage, under which SymPy takes twice its time: the lines are run below as well.
@pytest.mark.no_cover
@pytest.mark.parametrize("H", [1, 2, 3])
@cells
def test_matrix_form_is_componentwise_sympy(cell, H):
    """∂(new state)/∂(states, inputs, biases): every entry against SymPy's own derivative, D = 2."""
    values, new = explicit(cell, 2, H)
    lines = program(cell)
    known = dict(values)
    for line in lines.lines:
        known[line.name] = evaluate(line.expr, known)
    rows = np.concatenate(parts(new))
    rng = np.random.default_rng(H)
    atoms = [s for value in values.values() for s in value.flat]
    point = {
        s: sympy.Float(v, 30) for s, v in zip(atoms, rng.uniform(-1, 1, len(atoms)), strict=True)
    }
    biases = [n for n, shape in lines.parameters.items() if shape == ("H",)]
    for column in (*lines.states, *lines.inputs, biases[0], biases[-1]):
        found = value_of(jacobian(cell, (column,)), known, len(rows), len(values[column]))
        theirs = np.array([[row.diff(s) for s in values[column]] for row in rows])
        assert found.shape == theirs.shape
        for ours, other in zip(found.flat, theirs.flat, strict=True):
            # Equal as expressions where SymPy can tell; at a random point, 30 digits, in any case.
            difference = (sympy.sympify(ours) - other).xreplace(point)
            assert abs(difference.evalf(30)) < 1e-25, (column, ours, other)


@pytest.mark.no_cover
@pytest.mark.parametrize("H", [1, 2])
def test_some_matrix_forms_are_equal_as_expressions(H):
    for cell in (rnn, gru, lstm):
        values, new = explicit(cell, 1, H)
        known = dict(values)
        for line in program(cell).lines:
            known[line.name] = evaluate(line.expr, known)
        found = value_of(jacobian(cell), known, H, H)
        columns = np.concatenate([values[s] for s in program(cell).states])
        for row, component in zip(found, np.concatenate(parts(new)), strict=True):
            for entry, symbol in zip(row, columns, strict=True):
                assert sympy.expand(entry - component.diff(symbol)) == 0


def test_the_textbooks_forms():
    U, Un, Uz, Ur = map(matrix, ("U", "Un", "Uz", "Ur"))
    h, z, r, n, new = map(vector, ("h", "z", "r", "n", "h'"))
    assert equal(jacobian(rnn), diag(1 - new**2) @ U)
    expected = (
        diag(1 - z)
        + diag(z * (1 - z) * (n - h)) @ Uz
        + diag(z * (1 - n**2)) @ Un @ (diag(r) + diag(h * r * (1 - r)) @ Ur)
    )
    assert equal(jacobian(gru), expected)
    assert not equal(jacobian(gru), expected + diag(z))
    # The direct part of ∂c'/∂c is diag(f); the total over a step of h is more than that.
    assert str(jacobian(lstm)["c'", "c"]) == "Diag(f)"


@cells
def test_jacobians_multiply_over_time(cell):
    """The product of the one-step blocks is the derivative of the last state by the first."""
    rng = np.random.default_rng(4)
    p, xs, state = drawn(cell, rng, 12, 2, 3)
    derived, now, product = backward(cell), parts(state), 1
    for t in range(12):
        values = derived.values((*(s[t] for s in parts(xs)), *now), p)
        step = value_of(jacobian(cell), values, 3, 3)
        product = step @ product if t else step
        now = tuple(values[n] for n in derived.forward.outputs)
    size = 3 * len(now)
    for row in range(size):
        seed = one(tuple(np.eye(size)[row].reshape(-1, 3)))
        back = bptt(cell, xs, state, p, d_state=seed)
        np.testing.assert_allclose(product[row], np.concatenate(parts(back.state)), atol=1e-12)
