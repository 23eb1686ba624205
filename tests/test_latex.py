"""The LaTeX of a cell is its textbook form, and says what the cell does."""

import re

import numpy as np
import pytest
from cells_under_test import CELLS, drawn, name, parts

from companion import gru, lstm, relu, relu_rnn, rnn, sigmoid, softplus, tanh, trace
from companion.symbolic import (
    diag,
    jacobian,
    latex,
    matrix,
    vector,
)

cells = pytest.mark.parametrize("cell", CELLS, ids=name)
U, V = matrix("U"), matrix("V")
a, b, h, x, z, n, r = map(vector, ("a", "b", "h", "x", "z", "n", "r"))


LATEX = {
    rnn: r"h_{t} &= \tanh(W x_{t} + U h_{t-1} + b)",
    relu_rnn: r"h_{t} &= \operatorname{relu}(W x_{t} + U h_{t-1} + b)",
    gru: r"""
z_{t} &= \sigma(W_{z} x_{t} + U_{z} h_{t-1} + b_{z}) \\
r_{t} &= \sigma(W_{r} x_{t} + U_{r} h_{t-1} + b_{r}) \\
n_{t} &= \tanh\bigl(W_{n} x_{t} + U_{n} (r_{t} \odot h_{t-1}) + b_{n}\bigr) \\
h_{t} &= (1 - z_{t}) \odot h_{t-1} + z_{t} \odot n_{t}
""",
}


@pytest.mark.parametrize("cell", LATEX, ids=name)
def test_latex_is_the_textbooks(cell):
    light = re.sub(r"\\mathbf\{(\w)\}", r"\1", latex(cell))  # every letter is bold; leave that out
    expected = LATEX[cell].strip().splitlines()
    assert light.splitlines() == [r"\begin{aligned}", *expected, r"\end{aligned}"]


def test_latex_of_the_lstm():
    lines = latex(lstm).splitlines()
    assert lines[-3].startswith(r"\mathbf{c}_{t} &= \mathbf{f}_{t} \odot \mathbf{c}_{t-1} +")
    assert lines[-2] == r"\mathbf{h}_{t} &= \mathbf{o}_{t} \odot \tanh(\mathbf{c}_{t})"
    linear = latex(CELLS[-1]).splitlines()[-2]
    assert linear == r"\mathbf{h}_{t} &= \mathbf{o}_{t} \odot \mathbf{c}_{t}"


def bracketed(x, h, p):
    """Brackets that count: a − (b − c), −(a + b), a sum under ⊙ and under @."""
    z = sigmoid(p.W @ x - (p.b - (h - p.a)))
    n = -(p.U @ (h - (z - p.b)) + z) * (h + z)
    return n - (h - z - n)


@pytest.mark.parametrize("cell", [*CELLS, bracketed], ids=name)
def test_latex_says_what_the_cell_does(cell):
    """The printed equations, read back as Python, are the cell: the letters are not decoration."""
    text = latex(cell)
    assert text.count("{") == text.count("}")
    assert text.count("(") == text.count(")")
    traced, rng = trace(cell), np.random.default_rng(0)
    p, xs, state = drawn(cell, rng, 1, 4, 4)
    given = [part[0] for part in parts(xs)] + list(parts(state))
    known = {"sigma": sigmoid, "tanh": tanh, "softplus": softplus, "relu": relu}
    for wire, value in zip((*traced.inputs, *traced.states), given, strict=True):
        known[wire.name + ("_old" if wire in traced.states else "_t")] = value
    known |= {f"p_{field}": value for field, value in p._asdict().items()}
    for line in text.splitlines()[1:-1]:
        line = line.removesuffix(r" \\").replace(r"\bigl", "").replace(r"\bigr", "")
        line = line.replace(r"\mathbf{x}^{\circ}_{t}", "xo_t")
        line = re.sub(r"\\mathbf\{(\w)\}\^\{\\mathrm\{(\w+)\}\}", r"\\mathbf{\1\2}", line)
        line = re.sub(r"\\mathbf\{(\w+)\}_\{t-1\}", r"\1_old", line)
        line = re.sub(r"\\mathbf\{(\w+)\}_\{t\}", r"\1_t", line)
        line = re.sub(r"\\mathbf\{(\w)\}_\{(\w)_\{(\w)\}\}", r"p_\1\2\3", line)
        line = re.sub(r"\\mathbf\{(\w)\}_\{(\w)\}", r"p_\1\2", line)
        line = re.sub(r"\\mathbf\{(\w)\}", r"p_\1", line)
        line = re.sub(r"(p_[WUV]\w*) ", r"\1 @ ", line)
        line = re.sub(r"\\operatorname\{(\w+)\}", r"\1", line).replace(r"\odot", "*")
        left, right = line.replace("\\", "").split(" &= ")
        known[left] = eval(right, {}, known)
    for wire, value in zip(traced.states, parts(cell(*given, p)), strict=True):
        np.testing.assert_allclose(known[f"{wire.name}_t"], value, rtol=0, atol=1e-14)


def test_latex_of_what_is_derived():
    assert latex(h + z * (n - h)) == (r"\mathbf{h} + \mathbf{z} \odot (\mathbf{n} - \mathbf{h})")
    assert latex(-2 * (U @ (r * h)) + h**2 / 2 - 1) == (
        r"\frac{1}{2} \mathbf{h}^{2} - 2 \mathbf{U} (\mathbf{h} \odot \mathbf{r}) - 1"
    )
    assert latex(U.T @ diag(z)) == r"\mathbf{U}^{\top} \operatorname{diag}(\mathbf{z})"
    assert latex(sigmoid(vector("bz"))) == r"\sigma(\mathbf{b}_{z})"
    assert latex(jacobian(lstm)).startswith(r"\begin{pmatrix}")
    assert jacobian(rnn)._repr_latex_().startswith(r"$\displaystyle \operatorname{diag}")


def test_what_is_no_equation_is_refused():
    def looped(x, h, p):
        for _ in range(2):
            h = tanh(p.W @ x + p.U @ h)
        return h

    with pytest.raises(TypeError, match=r"cell looped: .*is not an equation"):
        latex(looped)
