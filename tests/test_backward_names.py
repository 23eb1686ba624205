"""The printed backward step where letters meet: a local and a parameter, a local and a product."""

import numpy as np
import pytest
import torch
from cells_under_test import drawn, name, one, parts

from companion import scan, sigmoid, tanh
from companion.symbolic import backward, bptt, equal, jacobian, parameters, program, run, vector


def ingate(x, h, p):
    """A local a beside the bias p.a, inside a product with a matrix and outside."""
    a = sigmoid(p.A @ x + p.B @ h + p.a)
    return tanh(p.W @ (a * x) + p.U @ h + p.b)


def chained(x, h, p):
    """Two locals that share letters with biases, the second made of the first."""
    b = tanh(p.W @ x + p.U @ h + p.b)
    s = sigmoid(p.Ws @ x + p.Us @ (b * h) + p.s)
    return s * b + (1 - s) * h


def produced(x, h, p):
    """A local U_h beside U @ h, which is needed twice and so gets a name."""
    U_h = tanh(p.W @ x)
    a = sigmoid(p.U @ h)
    return tanh(p.U @ h + U_h) * a


cells = pytest.mark.parametrize("cell", [ingate, chained, produced], ids=name)


def given(cell):
    """D = H, so that a wrong name gives a wrong number and not an error of shapes."""
    rng = np.random.default_rng(0)
    p, xs, state = drawn(cell, rng, 1, 4, 4)
    return [*(part[0] for part in parts(xs)), *parts(state)], p, rng.standard_normal(4)


def printed(cell, code):
    names = {"sigmoid": sigmoid, "tanh": tanh, "outer": np.outer}
    exec(code, names)
    return names[f"{cell.__name__}_backward"]


def autograd(cell, arguments, p, d_new):
    leaves = [torch.tensor(v, requires_grad=True) for v in (*arguments, *p)]
    new = cell(*leaves[: len(arguments)], type(p)(*leaves[len(arguments) :]))
    new.backward(torch.tensor(d_new))
    return [leaf.grad.numpy() for leaf in leaves]


@cells
def test_the_printed_step_runs_and_is_right(cell):
    arguments, p, d_new = given(cell)
    ours = printed(cell, str(backward(cell)))(*arguments, p, d_new)
    for a, b in zip(ours, autograd(cell, arguments, p, d_new), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("cell", "right", "wrong"),
    [
        (ingate, "p.W @ (a_ * x)", "p.W @ (p.a * x)"),
        (chained, "p.Us @ (b_ * h)", "p.Us @ (p.b * h)"),
        (produced, "U_h_ = p.U @ h", "U_h_ = U_h"),
    ],
    ids=lambda value: name(value) if callable(value) else None,
)
def test_the_other_name_would_be_seen(cell, right, wrong):
    """The negative control: with the letter's other meaning the same code gives other numbers."""
    arguments, p, d_new = given(cell)
    code = str(backward(cell))
    assert right in code and wrong not in code
    ours = printed(cell, code.replace(right, wrong))(*arguments, p, d_new)
    theirs = autograd(cell, arguments, p, d_new)
    assert any(abs(a - b).max() > 1e-4 for a, b in zip(ours, theirs, strict=True))


@cells
def test_the_derived_step_is_autograd_too(cell):
    """Run, not printed: through three steps of time."""
    rng = np.random.default_rng(1)
    p, xs, state = drawn(cell, rng, 3, 2, 2)
    seed = rng.standard_normal(2)
    ours = bptt(cell, xs, state, p, d_state=seed)
    leaves = [torch.tensor(v, requires_grad=True) for v in p]
    _, last = scan(cell, torch.tensor(xs), torch.tensor(state), type(p)(*leaves))
    one(parts(last)).backward(torch.tensor(seed))
    for a, leaf in zip(ours.p, leaves, strict=True):
        np.testing.assert_allclose(a, leaf.grad.numpy(), rtol=1e-11, atol=1e-13)


def test_the_lines_say_which_is_meant():
    assert str(program(ingate)).splitlines() == [
        "a_ = sigmoid(A @ x + B @ h + a)",
        "h' = tanh(W @ (a_ * x) + U @ h + b)",
    ]
    lines, known = program(chained), {}
    for line in lines.lines:
        known[vector(line.name)] = line.expr.xreplace(known)
    assert equal(known[vector("h'")], run(chained))


def test_a_parameter_named_as_an_argument_is_refused():
    """p.h beside h: as one symbol, proofs and derivatives would be of another cell."""

    def clash(x, h, p):
        return tanh(p.W @ x + p.U @ h + p.h)

    for derive in (parameters, run, program, jacobian, backward):
        with pytest.raises(
            ValueError, match=r"cell clash: p\.h has the name of the argument h; ex"
        ):
            derive(clash)
