"""Matrices of unspecified size, and what is made of them: sums, products, transposes, diag(v).

What takes a vector to a vector linearly is a noncommutative SymPy expression: an atom for each
matrix, ``Diag(v)`` for v⊙, a number for that multiple of the identity. Around it stands the class
:class:`Operator`, so that ``@`` applies it and everything a matrix cannot do raises.

This is not an algebra system: two operators are compared by what they do to a vector that can be
any (:func:`companion.symbolic.equal`), so no normal form is needed here.
"""

from __future__ import annotations

from numbers import Number
from typing import Any, NoReturn

import sympy
from sympy.printing.precedence import PRECEDENCE

from companion.symbolic.ring import Expr, MatVec


class Diag(sympy.Expr):  # type: ignore[misc]
    """diag(v), the matrix with v on its diagonal: diag(v) u = v⊙u."""

    is_commutative = False

    def __new__(cls, v: Expr) -> Expr:
        v = sympy.sympify(v)
        return v if v.is_number else super().__new__(cls, v)


class Transpose(sympy.Expr):  # type: ignore[misc]
    """The transpose of one matrix; that of an expression is made of these by `Operator.T`."""

    is_commutative = False
    precedence = PRECEDENCE["Atom"]

    def _sympystr(self, printer: Any) -> str:
        return f"{printer._print(self.args[0])}.T"


class Operator:
    """A linear map between vectors of unspecified size, such as a matrix.

    ``A @ v`` applies it, ``A @ B`` is the product, ``A.T`` the transpose; sums and multiples by
    numbers are again operators. Everything else raises TypeError: ``A * v`` above all, which NumPy
    would compute happily.

    >>> from companion.symbolic import vector
    >>> U, h = matrix("U"), vector("h")
    >>> U @ h, (-U) @ h, (U @ U.T) @ h
    (U @ h, -U @ h, U @ (U.T @ h))
    >>> U * h
    Traceback (most recent call last):
    ...
    TypeError: U * h: a matrix acts through @; * is the componentwise product of two vectors
    """

    __array_ufunc__ = None  # NumPy must not loop over it
    __slots__ = ("expr",)

    def __init__(self, expr: Expr) -> None:
        self.expr = sympy.sympify(expr)

    def __matmul__(self, other: Any) -> Any:
        if isinstance(other, Operator):
            return Operator(compose(self.expr, other.expr))
        if isinstance(other, sympy.Expr | Number):
            return apply(self.expr, sympy.sympify(other))
        raise TypeError(f"{self} @ {other}: expected a vector or a matrix on the right")

    def __rmatmul__(self, other: Any) -> NoReturn:
        raise TypeError(f"{other} @ {self}: expected a matrix on the left of '@'")

    def __add__(self, other: Any) -> Operator:
        return Operator(self.expr + self._other(other, "+"))

    def __sub__(self, other: Any) -> Operator:
        return Operator(self.expr - self._other(other, "-"))

    def __neg__(self) -> Operator:
        return Operator(-self.expr)

    def __mul__(self, number: Any) -> Operator:
        if not _is_number(number):
            raise TypeError(
                f"{self} * {number}: a matrix acts through @; "
                "* is the componentwise product of two vectors"
            )
        return Operator(sympy.sympify(number) * self.expr)

    def __rmul__(self, number: Any) -> Operator:
        if not _is_number(number):
            raise TypeError(
                f"{number} * {self}: a matrix acts through @; "
                "* is the componentwise product of two vectors"
            )
        return self.__mul__(number)

    def __radd__(self, other: Any) -> NoReturn:
        self._other(other, "+")
        raise AssertionError("an operator on the left adds itself")

    def __rsub__(self, other: Any) -> NoReturn:
        self._other(other, "-")
        raise AssertionError("an operator on the left subtracts itself")

    def __truediv__(self, number: Any) -> Operator:
        if not _is_number(number) or number == 0:
            raise TypeError(f"{self} / {number}: a matrix is divided by numbers other than 0 only")
        return Operator(self.expr / sympy.sympify(number))

    def _other(self, other: Any, sign: str) -> Expr:
        if not isinstance(other, Operator):
            raise TypeError(f"'{sign}' of the matrix {self} and {other}: expected two matrices")
        return other.expr

    @property
    def T(self) -> Operator:  # noqa: N802  # as it is written
        """The transpose: (A B)ᵀ = Bᵀ Aᵀ, and diag(v)ᵀ = diag(v)."""
        return Operator(_transpose(self.expr))

    def __repr__(self) -> str:
        return str(self.expr)

    def _repr_latex_(self) -> str:
        from companion.symbolic.latex import latex  # it stands above this module

        return rf"$\displaystyle {latex(self)}$"


def matrix(name: str) -> Operator:
    """A matrix of unspecified size.

    >>> from companion.symbolic import equal, vector
    >>> U, r, h = matrix("U"), vector("r"), vector("h")
    >>> equal(U @ (h - r * h), U @ h - U @ (r * h))
    True
    """
    return Operator(sympy.Symbol(name, commutative=False))


def diag(v: Expr) -> Operator:
    """The operator v⊙.

    >>> from companion.symbolic import vector
    >>> diag(vector("z")) @ vector("h")
    h*z
    """
    return Operator(Diag(v))


def apply(operator: Expr, v: Expr) -> Expr:
    """What an operator expression does to the vector v."""
    if operator.is_commutative:
        return operator * v
    if operator.is_Pow:  # SymPy writes U U as U²
        for _ in range(operator.args[1]):
            v = apply(operator.args[0], v)
        return v
    if operator.is_Add:
        return sympy.Add(*(apply(term, v) for term in operator.args))
    if operator.is_Mul:
        for factor in reversed(operator.args):
            v = apply(factor, v)
        return v
    if isinstance(operator, Diag):
        return operator.args[0] * v
    return MatVec(operator, v) if v else sympy.S.Zero


def compose(a: Expr, b: Expr) -> Expr:
    """The product of two operator expressions, diagonals that meet made one.

    >>> from companion.symbolic import vector
    >>> U = matrix("U").expr
    >>> compose(Diag(vector("z")), Diag(vector("n")) * U)
    Diag(n*z)*U
    """
    left, right = sympy.Mul.make_args(a), sympy.Mul.make_args(b)
    if isinstance(left[-1], Diag) and isinstance(right[0], Diag):
        met = Diag(left[-1].args[0] * right[0].args[0])
        return sympy.Mul(*left[:-1], met, *right[1:])
    return a * b


def add(terms: list[Expr]) -> Expr:
    """The sum of operator expressions; diag(u) A + diag(v) A made diag(u + v) A.

    >>> from companion.symbolic import vector
    >>> U, h, n = matrix("U").expr, vector("h"), vector("n")
    >>> add([Diag(n) * U, Diag(-h) * U, U * Diag(n)])
    U*Diag(n) + Diag(-h + n)*U
    """
    heads: dict[Expr, list[Expr]] = {}
    for term in (part for sum_ in terms for part in sympy.Add.make_args(sum_)):
        numbers, factors = term.args_cnc()
        head = sympy.Mul(*numbers)
        if factors and isinstance(factors[0], Diag):
            head, factors = head * factors[0].args[0], factors[1:]
        heads.setdefault(sympy.Mul(*factors), []).append(head)
    return sympy.Add(*(compose(Diag(_gathered(head)), tail) for tail, head in heads.items()))


def _gathered(terms: list[Expr]) -> Expr:
    """Their sum, what all share in front: z(1−z)n − z(1−z)h as z(1−z)(n − h)."""
    factors = [sympy.Mul.make_args(term) for term in terms]
    shared = [f for f in factors[0] if all(f in others for others in factors[1:])]
    rests = (sympy.Mul(*(f for f in own if f not in shared)) for own in factors)
    return sympy.Mul(*shared, sympy.Add(*rests))


def _transpose(expr: Expr) -> Expr:
    if expr.is_Add:
        return sympy.Add(*map(_transpose, expr.args))
    if expr.is_Mul:
        return sympy.Mul(*map(_transpose, reversed(expr.args)))
    if expr.is_Pow:
        return _transpose(expr.args[0]) ** expr.args[1]
    if expr.is_commutative or isinstance(expr, Diag):
        return expr
    return expr.args[0] if isinstance(expr, Transpose) else Transpose(expr)


def _is_number(value: Any) -> bool:
    # A vector without a name of its own, such as the 1 of 1 − z, is a number too: both make sense.
    return isinstance(value, Number) or bool(getattr(value, "is_number", False))
