"""What must not be proved: each test is a hole that there was, or could be."""

import contextlib
from dataclasses import replace
from functools import partial

import mpmath
import numpy as np
import pytest
import sympy

from companion import relu, sigma, sigmoid, softplus, tanh
from companion.symbolic import (
    Block,
    diag,
    equal,
    evaluate,
    jacobian,
    matrix,
    named,
    normal,
    parameters,
    program,
    vector,
)
from companion.theorems.given import Claim
from companion.theorems.theorem import Counterexample, Theorem
from companion.theorems.time import EXPLODES

U, V = matrix("U"), matrix("V")
a, b, h, n = map(vector, "abhn")
half, third = sympy.Rational(1, 2), sympy.Rational(1, 3)
k = sympy.Symbol("k")


def proved(factor):
    """Whether 0 ≤ factor is proved, with itself as the certificate."""
    claim = Claim("", 0, factor, [[factor]])
    return bool(Theorem("", "", {}, lambda _: [claim], {}).prove())


@pytest.mark.parametrize(
    ("factor", "is_so"),
    [
        (sigmoid(a), True),
        (1 - sigmoid(a), True),
        (1 + sigmoid(a), False),  # true, but not known
        (sigmoid(a) - 1, False),
        (tanh(a), False),
        (1 + tanh(a), True),
        (1 - tanh(a), True),
        (tanh(a) - 1, False),
        (softplus(a), True),
        (1 - softplus(a), False),
        (relu(a), False),  # true, but not known
        (-relu(a), False),
        (relu(a) - a, False),  # true, but not known
        (1 - relu(a), False),
        (relu(a).diff(a) - 1, False),
        (sympy.exp(a), True),
        (1 - sympy.exp(a), False),
        (sigmoid(a) - sigmoid(b), False),
        (a, False),
        (a**3, False),
        (a**2, True),
    ],
)
def test_only_known_ranges_are_used(factor, is_so):
    assert proved(factor) == is_so


@pytest.mark.parametrize("f", [sympy.sin(a), sympy.Abs(a), sympy.Max(a, b), sympy.log(a)])
def test_the_range_of_another_function_is_not_known(f):
    for factor in (f, 1 - f, 1 + f):
        with contextlib.suppress(TypeError):  # or it is refused
            assert not proved(factor)


OUTSIDE = """
equal(sympy.Max(h, n) / sympy.Max(h, n), 1)
equal(sympy.Sum(h, (k, 0, 3)) / sympy.Sum(h, (k, 0, 3)), 1)
(h**3) ** third
relu(h) / relu(h)
relu(h).diff(h) / relu(h).diff(h)
equal(relu(sympy.Max(h, n)), 0)
relu(U)
sympy.Abs(h) / sympy.Abs(h)
(h * n) ** half
sympy.tanh(sympy.asinh(h))
h**k
U.expr * sympy.Pow(h, -1, evaluate=False)
equal(sympy.Max(h, n), sympy.Max(n, h))
equal(sympy.Sum(h, (k, 0, 3)), 4 * h)
equal(sympy.Abs(h), h)
equal(sympy.Abs(h) ** 3, h**3)
equal(sympy.sqrt(h**2), h)
equal(sympy.log(h * n), sympy.log(h) + sympy.log(n))
equal(sympy.sin(h), sympy.sin(h))
equal(sympy.Symbol("h"), sympy.Symbol("h"))
equal(U @ sympy.Max(h, n), U @ sympy.Max(h, n))
equal(sigmoid(sympy.Max(h, n)), 0)
equal(sympy.I * h, h)
equal(sympy.oo * h, h)
equal(sympy.nan, sympy.nan)
equal(U.expr, U.expr)
equal(sympy.Eq(h, n), h)
equal(np.ones((2, 2)), U)
normal(sympy.Max(h, n))
normal(k)
"""


@pytest.mark.parametrize("outside", OUTSIDE.strip().splitlines())
def test_what_is_not_in_the_ring_is_refused(outside):
    with pytest.raises(TypeError):
        eval(outside)


def test_what_is_in_the_ring_is_not():
    assert equal(sympy.exp(h + n), sympy.exp(h) * sympy.exp(n))
    assert equal(sympy.Pow(2, h) * sympy.Pow(2, -h), 1)
    assert equal(softplus(U @ h) * 2, softplus(U @ h) + softplus(U @ (h + 0)))
    assert not equal(softplus(h) - softplus(-h), h)  # true, but not known
    assert equal(sympy.sqrt(2) ** 2 * h, 2 * h)


def test_any_vector_is_any_vector():
    """The vector that two matrices are compared on is not one that the user has."""
    for dots in ("•", "••", "•••"):
        point = vector(dots)
        assert not equal(diag(U @ point), diag(point) @ U)
        assert equal(diag(point) @ U, diag(point) @ U)
    one, two = vector("•"), vector("••")
    assert not equal(diag(U @ two) @ diag(one), diag(two) @ U @ diag(one))


@pytest.mark.parametrize(
    "rounded",
    [(h + 1) + 1e-20, 0.1 * h, h + 1 / 3, 1e20 * h, h + 2.0**-11, sigmoid(0.3 * h), U @ (h / 3.0),
     sympy.Pow(2.5, 0.1 * h)],
)  # fmt: skip
def test_decimals_that_may_have_been_rounded_are_refused(rounded):
    for sides in ((rounded, h + 1), (h + 1, rounded), (rounded, rounded)):
        with pytest.raises(TypeError, match=r"write a whole number or a sympy\.Rational"):
            equal(*sides)
    with pytest.raises(TypeError, match="may have been rounded"):
        normal(rounded)


def test_small_binary_fractions_are_exact():
    assert equal(0.5 * h, h / 2)
    assert not equal(0.5 * h, h * (half + sympy.Rational(1, 10**20)))
    assert equal(0.5 * h + n, 2**-10 * h * 512 + n)


def test_a_power_of_a_number_is_differentiated():
    for base in (2, 3 * half, sympy.pi):
        assert equal(jacobian(base**h, h), diag(sympy.log(base) * base**h))
    assert equal(jacobian(sympy.exp(U @ h), h), diag(sympy.exp(U @ h)) @ U)
    assert equal(jacobian(2 ** (U @ h) * h, h), diag(2 ** (U @ h))
                 + diag(h * 2 ** (U @ h) * sympy.log(2)) @ U)  # fmt: skip
    assert equal(jacobian(h**3, h), diag(3 * h**2))
    moved = [2 ** (3 + step) for step in (-1e-6, 1e-6)]
    slope = jacobian(2**h, h).expr.args[0].subs(h, 3)
    assert float(slope) == pytest.approx((moved[1] - moved[0]) / 2e-6)


@pytest.mark.parametrize(
    "f", [sympy.Max(h, n), sympy.Abs(h), sympy.sign(h), sympy.atan2(h, n), sympy.besselj(h, n)]
)
def test_what_is_not_smooth_or_has_two_arguments_is_not_differentiated(f):
    with pytest.raises(TypeError, match="its derivative is not known"):
        jacobian(f, h)


def interval(*values):
    made = np.empty(len(values), dtype=object)
    made[:] = [mpmath.iv.mpf(value) for value in values]
    return made


def test_fractions_are_exact_on_intervals():
    wide = interval(1, 7)
    for expr, exact in [
        (h / 3, [third, 7 * third]),
        (h + third, [4 * third, 22 * third]),
        (third * h - half * h * h / 7, [third - half / 7, 7 * third - 7 * half]),
        (U @ (h / 3), [third + 14 * third, 7 * third]),
    ]:
        units = np.array([[1, 2], [0, 1]])
        found = evaluate(expr, {"h": wide, "U": units})
        for part, true in zip(found, exact, strict=True):
            assert isinstance(part, mpmath.iv.mpf)
            low, high = (sympy.Rational(*mpmath.libmp.to_rational(end._mpi_[0]))
                         for end in (part.a, part.b))  # fmt: skip
            assert low <= true <= high
            assert high - low < 1e-13
            if part.delta != 0:
                assert low < true < high
    operators = evaluate(U / 3 + diag(h - h + third), {"h": wide, "U": np.diag(wide)})
    with mpmath.workdps(50):
        assert operators[0, 0].a <= 2 * mpmath.mpf(1) / 3 <= operators[0, 0].b
    assert evaluate(0.5 * h, {"h": wide})[0].delta == 0


@pytest.mark.parametrize("number", [sympy.sqrt(2), sympy.pi, sympy.log(2), sigma(1)])
def test_irrational_numbers_have_no_value_on_intervals(number):
    for expr in (number * h, h + number, sigmoid(h * number)):
        with pytest.raises(TypeError, match="irrational"):
            evaluate(expr, {"h": interval(1)})
        assert np.isfinite(evaluate(expr, {"h": np.ones(2)})).all()


def test_numbers_have_all_digits():
    with mpmath.workdps(50):
        one = np.array([mpmath.mpf(1)], dtype=object)
        for number in (third, sympy.sqrt(2), sympy.pi / 7):
            true = mpmath.mpf(str(sympy.N(number, 60)))
            for expr in (number * h, h - 1 + number):
                assert abs(evaluate(expr, {"h": one})[0] - true) < mpmath.mpf(10) ** -48
    symbols = np.array([sympy.Symbol("s")], dtype=object)
    assert evaluate(h / 3, {"h": symbols})[0] == symbols[0] / 3


def test_a_power_without_a_value_says_so():
    with pytest.raises(TypeError, match="no value on arrays"):
        evaluate(2**h, {"h": np.ones(2)})


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("kind", ["identity", "numbers"])
def test_a_nan_fails(place, kind):
    """Python's max would lose it."""

    def claims(_):
        values = [0.5, 0.25, 0.125]
        values[place] = np.nan
        return [Claim("", np.array([value, 0.0]), np.zeros(2)) for value in values]

    theorem = Theorem("", "", {}, claims, {}, kind=kind)
    assert np.isnan(theorem.check())
    if kind == "numbers":
        assert theorem.prove().status == "open"


def test_a_column_of_zeros_has_the_height_of_the_state():
    def keeping(x, h, c, p):
        return c * 1, h + 0 * (p.W @ x)

    x, state, W = np.ones(3), np.ones(4), np.ones((4, 3))
    p = parameters(keeping)._replace(W=W)
    values = named(program(keeping), (x, state, state), p)
    assert jacobian(keeping, "x").evaluate(values).shape == (8, 3)
    assert not jacobian(keeping, "x").evaluate(values).any()
    whole = jacobian(keeping).evaluate(values)
    np.testing.assert_array_equal(whole, np.block([[0 * np.eye(4), np.eye(4)],
                                                   [np.eye(4), 0 * np.eye(4)]]))  # fmt: skip
    with pytest.raises(ValueError, match="the size of h' is not known"):
        jacobian(keeping, "x").evaluate({"x": x})


def wrapped(text):
    lines = text.splitlines()
    assert all(len(line) <= 76 for line in lines)
    return lines


def test_what_is_printed_fits():
    long = diag(a * b) @ U @ diag(1 - tanh(U @ h + V @ n + b) ** 2) @ V + diag(h - a * b * n)
    lines = wrapped(str(Block(("h'", "c'"), ("h",), ((long,), (U,)))))
    assert [line[:6] for line in lines if line[0] != " "] == ["dh'/dh", "dc'/dh"]
    assert [line.startswith("    ") for line in lines] == [False, *[True] * (len(lines) - 2), False]
    assert " ".join(line.strip() for line in lines[:-1]) == f"dh'/dh = {long}"
    weights = {f"U{letter}": -1 for letter in "abcdefghijklm"}
    lines = wrapped(str(Counterexample("A1", "h = c", weights, mpmath.iv.mpf([1, 2]))))
    assert lines[0].startswith("without A1: h = c is off by [1.0, 2.0] for Ua = -1, ")
    assert all(line.startswith("    ") for line in lines[1:])
    assert len(lines) > 1
    assert not any(line.lstrip()[0] in "=-" or line.endswith("=") for line in lines)


def test_a_false_claim_about_numbers_is_open():
    """Proving by enclosing: below holds, not below and touching do not."""
    one = mpmath.iv.mpf(1)
    for left, proved in ((0, True), (1, False), (2, False), (mpmath.iv.mpf([0, 2]), False)):
        claim = Claim("", left * one, one)
        theorem = Theorem("", "", {}, lambda _, c=claim: [c], {}, kind="intervals")
        assert bool(theorem.prove()) == proved
        assert theorem.prove().status == ("proved" if proved else "open")


def test_the_total_derivative_explodes_only_by_way_of_the_candidate():
    """The control of the theorem without an assumption: with U_g = 0 nothing grows."""
    assert EXPLODES.prove()
    tame = replace(EXPLODES, claims=partial(EXPLODES.claims, Ug=0))
    assert tame.prove().status == "open"
