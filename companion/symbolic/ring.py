"""Vectors of unspecified size, and when two of them are equal.

(Rᴴ, +, ⊙) is a commutative ring with unit 1 = (1, …, 1), and a function R → R acts on it component
by component. So a commutative SymPy scalar already *is* a vector of unspecified size (read it: the
generic component), and SymPy's ``*`` already is ⊙. Only ``A @ v`` is not componentwise: it is one
opaque atom, linear in v.

This is not linear algebra: the ring has no shapes (:func:`companion.trace` checks those of a cell,
:func:`companion.symbolic.components` those of an expression), no inner product, no norm and no
division: a component may be zero, and SymPy would cancel v/v without a word. What is not in the
ring (Max, Sum, a logarithm, a symbol that is no vector) is refused, not compared.
"""

from __future__ import annotations

from typing import Any

import sympy
from sympy.core.basic import Basic
from sympy.printing.precedence import PRECEDENCE

from companion.ops import relu, sigma, softplus, step

Expr = Any  # a SymPy expression; SymPy ships no types


# The functions that act on vectors here: all are defined on every real number, and smooth but for
# relu, whose slope at 0 is taken to be 0, as torch has it, and that slope itself, the step.
FUNCTIONS: tuple[Any, ...] = (
    sigma, sympy.tanh, softplus.dispatch(sympy.Expr), sympy.exp, relu.dispatch(sympy.Expr), step
)  # fmt: skip


class VectorSymbol(sympy.Symbol):  # type: ignore[misc]
    """A vector of unspecified size, known by its name; see :func:`vector`."""

    __slots__ = ()

    def _sympystr(self, printer: Any) -> str:
        return str(self.name)


class MatVec(sympy.Expr):  # type: ignore[misc]
    """The vector A v: opaque but for being linear in v. It stays as written until `expand`.

    >>> from companion.symbolic import matrix
    >>> U, h, z = matrix("U"), vector("h"), vector("z")
    >>> U @ (2 * h - z * h)
    U @ (-h*z + 2*h)
    >>> sympy.expand(U @ (2 * h - z * h))
    2*(U @ h) - U @ (h*z)
    """

    is_commutative = True
    is_real = True  # else SymPy takes a tanh of it apart into real and imaginary quotients
    precedence = PRECEDENCE["Mul"]

    def __new__(cls, matrix: Expr, v: Expr) -> MatVec:
        made: MatVec = super().__new__(cls, matrix, sympy.sympify(v))
        return made

    def _eval_expand_mul(self, **_: Any) -> Expr:
        # Numbers go out, sums are split; a vector factor stays in: U(r⊙h) is not r⊙(U h).
        matrix, v = self.args
        terms = []
        for term in sympy.Add.make_args(sympy.expand_mul(v)):
            factors = sympy.Mul.make_args(term)
            number = sympy.Mul(*(f for f in factors if f.is_number))
            if number:
                rest = sympy.Mul(*(f for f in factors if not f.is_number))
                terms.append(number * MatVec(matrix, rest))
        return sympy.Add(*terms)

    def _sympystr(self, printer: Any) -> str:
        matrix, v = self.args
        return f"{printer._print(matrix)} @ {printer.parenthesize(v, PRECEDENCE['Mul'])}"


def vector(name: str) -> Expr:
    """A vector of unspecified size, for statements that hold for every size.

    ``+``, ``-``, ``*`` (which is ⊙), positive powers and the functions of ``companion.ops`` make
    new ones; numbers are constant vectors. Raises TypeError when one is divided by.

    >>> z, h, n = vector("z"), vector("h"), vector("n")
    >>> equal((1 - z) * h + z * n, h + z * (n - h))
    True
    >>> n / (h + z)
    Traceback (most recent call last):
    ...
    TypeError: (h + z)**(-1): a vector cannot be divided by, since a component may be zero
    """
    return VectorSymbol(name, real=True)


def equal(a: Any, b: Any) -> bool:
    """Whether a = b was proved, for all sizes and all values; False means *not proved*.

    a, b: vectors, matrices (equal if they take every vector to the same one), or tuples of such.
    Both sides are brought to a normal form: products and ``@`` distributed over sums, numbers in
    front, σ(−a) = 1 − σ(a). That is sound but not complete: tanh a = 2σ(2a) − 1 comes back False,
    so a False refutes nothing.

    Raises TypeError for what is not in the ring, and for decimals other than such as 0.5 or 2.25
    (whole multiples of 1/1024 that are no whole numbers): write a sympy.Rational. What was rounded
    or simplified before it got here cannot be seen: Python makes 0.5 + 1e-20 into 0.5, and SymPy
    exp(log(h)) into h.

    >>> from companion import sigmoid
    >>> from companion.symbolic import matrix
    >>> U, h, r = matrix("U"), vector("h"), vector("r")
    >>> equal(sigmoid(-(U @ h)) * h, h - sigmoid(U @ h) * h)
    True
    >>> equal(U @ (r * h), r * (U @ h))
    False
    """
    if isinstance(a, tuple) or isinstance(b, tuple):
        if not (isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b)):
            raise TypeError(f"{a} and {b}: expected two tuples of one length")
        return all(equal(left, right) for left, right in zip(a, b, strict=True))
    acts = [hasattr(side, "__matmul__") for side in (a, b)]
    if any(acts):
        if not all(acts) or not all(hasattr(side, "expr") for side in (a, b)):
            raise TypeError(f"{a} and {b}: expected two vectors or two matrices")
        anything = _fresh(a.expr, b.expr)
        a, b = a @ anything, b @ anything
    return bool(sympy.expand(_exact(a) - _exact(b)) == 0)


def normal(expr: Expr) -> Expr:
    """The normal form in which :func:`equal` compares.

    >>> h = vector("h")
    >>> normal(h * (1 - h) + h**2)
    h
    """
    return sympy.expand(_exact(expr))


def _fresh(*sides: Expr) -> Expr:
    """A vector that occurs in none of the expressions, whatever names they use."""
    taken = {symbol.name for side in sides for symbol in side.free_symbols}
    name = "•"
    while name in taken:
        name += "•"
    return vector(name)


def _exact(expr: Any) -> Expr:
    """The expression with fractions for its decimals; TypeError if it is not in the ring."""
    expr = sympy.sympify(expr)
    _check(expr, expr)
    numbers = expr.atoms(sympy.Float)
    for number in numbers:
        value = sympy.Rational(number) if number.is_finite else sympy.S.Zero
        if value.is_Integer or 1024 % value.q:
            # 1 + 1e-20 has become 1.0 by now: a whole decimal is as suspect as 0.1.
            raise TypeError(
                f"{expr}: the decimal {number} may have been rounded; "
                "write a whole number or a sympy.Rational"
            )
    return expr.xreplace({number: sympy.Rational(number) for number in numbers})


def _check(expr: Any, whole: Expr) -> None:
    """Raise TypeError unless all of an expression is of the ring."""
    if not isinstance(expr, sympy.Expr):
        raise TypeError(f"{whole}: {expr} is a {type(expr).__name__}; expected a vector")
    if isinstance(expr, VectorSymbol) or (expr.is_number and expr.is_real):
        return
    parts = expr.args
    if isinstance(expr, MatVec):
        known, parts = parts[0].is_commutative is False, parts[1:]
    elif expr.is_Pow:
        known = _is_whole(parts[1]) or bool(parts[0].is_number and parts[0].is_positive)
    else:
        known = expr.is_Add or expr.is_Mul or isinstance(expr, FUNCTIONS)
    if not known:
        what = f"{expr} is a {type(expr).__name__}" if expr is not whole else type(expr).__name__
        raise TypeError(
            f"{whole}: {what}; expected vectors, numbers, +, *, whole powers, @, "
            "σ, tanh, softplus, relu and exp"
        )
    for part in parts:
        _check(part, whole)


def _is_whole(exponent: Expr) -> bool:
    return bool(exponent.is_Integer and exponent.is_positive)


def _refuse_division(power: Expr) -> Expr:
    base, exponent = power.args
    if _is_whole(exponent) or (base.is_number and base.is_positive):
        return power  # such as e^a, which is never 0
    if power.has(VectorSymbol, MatVec):
        why = (
            "a vector cannot be divided by, since a component may be zero"
            if exponent.is_negative
            else "a power of vectors needs a positive whole exponent"
        )
        raise TypeError(f"({base})**({exponent}): {why}")
    return power


# SymPy calls this when it makes a power of anything; by then nothing has been cancelled. The
# quotient of two sums reaches us in no other way. Expressions without vectors pass unchanged.
Basic._constructor_postprocessor_mapping.setdefault(sympy.Expr, {}).setdefault("Pow", []).append(
    _refuse_division
)
