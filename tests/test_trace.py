"""A cell's trace: names, shapes and operations for all sizes, and slips refused."""

import functools
import sys

import numpy as np
import pytest
import torch

from companion import gru, gru_reset_after, lstm, rnn, sigmoid, tanh, trace
from companion.trace import signature


def test_the_trace_is_the_equation():
    assert str(trace(gru)).splitlines()[-4:] == [
        "  z = sigmoid(Wz @ x + Uz @ h + bz)",
        "  r = sigmoid(Wr @ x + Ur @ h + br)",
        "  n = tanh(Wn @ x + Un @ (r * h) + bn)",
        "  h' = (1 - z) * h + z * n",
    ]
    assert "n = tanh(Wn @ x + r * (Un @ h + bUn) + bn)" in str(trace(gru_reset_after))
    assert str(trace(lstm)).splitlines()[-2:] == ["  c' = f * c + i * g", "  h' = o * tanh(c')"]


def test_names_come_from_the_cell():
    assert list(trace(lstm).locals) == ["i", "f", "g", "o", "c'"]
    assert list(trace(gru).parameters) == "Wz Uz bz Wr Ur br Wn Un bn".split()
    assert trace(gru).parameters["Wz"].shape == ("H", "D")
    assert trace(gru).parameters["bn"].shape == ("H",)
    assert {wire.kind for wire in trace(rnn)} == {
        "input", "state", "parameter", "matvec", "add", "tanh",
    }  # fmt: skip


def test_the_trace_leaves_no_profiler_behind():
    trace.cache_clear()
    before = sys.getprofile()
    trace(gru)
    assert sys.getprofile() is before


def test_a_partial_is_traced_under_its_own_name():
    linear = functools.partial(lstm, phi=lambda a: a)
    assert str(trace(linear)).splitlines()[-1] == "  h' = o * c'"
    assert trace(linear).name == "lstm"


def test_roles_of_arguments():
    def host(x, xo, h, c, p, phi=tanh):
        raise AssertionError("only its signature is read")

    roles = signature(host)
    assert (roles.inputs, roles.states, roles.parameters) == (("x", "xo"), ("h", "c"), "p")
    for wrong in (lambda h, x, p: h, lambda x, p: x, lambda h, p: h, lambda: 0):
        with pytest.raises(TypeError, match="expected inputs"):
            signature(wrong)


SLIPS = {
    "U is a matrix": lambda x, h, p: p.U * h,
    "h is a vector; expected a matrix": lambda x, h, p: h @ p.U,
    "b is a vector; expected a matrix": lambda x, h, p: p.b @ h,
    r"x \+ h: shapes \(D,\) and \(H,\) differ": lambda x, h, p: x + h,
    r"W @ h: W has shape \(\?, D\)": lambda x, h, p: p.W @ x + p.W @ h,
    "U @ h / h: a cell may use": lambda x, h, p: p.U @ h / h,
    "not Wire: a cell may use .* companion.ops": lambda x, h, p: torch.tanh(p.U @ h),
    "support ufuncs .*: a cell may use .* companion.ops": lambda x, h, p: np.tanh(p.U @ h),
    "operation on U @ h . h that is not known": lambda x, h, p: (p.U @ h + h) ** 2,
    "operation on 0 . h": lambda x, h, p: p.b + max(h, 0 * h),
    "size of A cannot be told": lambda x, h, p: p.U @ h + p.W @ x + p.A @ (p.V @ x),
    "returns a tuple of 2; expected one array": lambda x, h, p: (p.U @ h, h),
    "new h is 0.5; expected a vector": lambda x, h, p: 0.5,
    r"new h has shape \(D,\)": lambda x, h, p: x,
    "no parameters": lambda x, h, p: h,
    "h has no .sum": lambda x, h, p: p.b * h.sum(),
    "needs a vector": lambda x, h, p: sigmoid(p.U) @ h,
    r"'\*' with a list": lambda x, h, p: p.b * h * [1.0],
    "expected a vector on the right": lambda x, h, p: p.U @ 2.0,
    "new h is the same at every step": lambda x, h, p: tanh(p.b),
}


@pytest.mark.parametrize("message", SLIPS)
def test_slips_are_refused_in_words_of_the_cell(message):
    with pytest.raises(TypeError, match=f"cell <lambda>: .*{message}"):
        trace(SLIPS[message])


def test_a_saboteurs_gru_does_not_trace():
    """`*` for `@`, the slip that NumPy broadcasts into an answer when D or B is right."""

    def slipped(x, h, p):
        z = sigmoid(p.Wz @ x + p.Uz * h + p.bz)
        return (1 - z) * h + z * tanh(p.Wn @ x)

    with pytest.raises(TypeError, match=r"cell slipped: Uz is a matrix; '\*' needs a vector"):
        trace(slipped)
