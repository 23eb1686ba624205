"""From symbols back to numbers: the value of a vector or an operator on arrays.

Each expression is turned once into nested Python functions of a dictionary of arrays, and these
run on any array that the cells run on: float64, mpmath numbers, SymPy symbols. No code is written
out and executed, and every product is the one that the expression shows. Fractions are exact where
the arrays are: on intervals what comes out encloses the true value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, reduce
from operator import add, matmul, mul
from typing import Any

import mpmath
import numpy as np
import sympy

from companion import ops
from companion.symbolic.operators import Diag, Operator, Transpose
from companion.symbolic.program import Program
from companion.symbolic.ring import Expr, MatVec

Values = dict[str, Any]


def evaluate(what: Any, values: Values) -> Any:
    """The value of a vector or an operator, given that of each name in it.

    what: a vector, which gives (H,), or an operator, which gives (H, H) or (H, D). values: arrays
    by name. Raises KeyError for a name without a value, ValueError for an operator that is a
    multiple of the identity only (its size is not known), and TypeError for what has no value on
    arrays, such as an irrational number on intervals.

    >>> from companion.symbolic import diag, matrix, vector
    >>> U, z = matrix("U"), vector("z")
    >>> given = {"U": np.array([[1.0, 2.0], [3.0, 4.0]]), "z": np.array([1.0, 10.0])}
    >>> evaluate(U @ (1 - z), given)
    array([-18., -36.])
    >>> evaluate(diag(z) @ U.T, given)
    array([[ 1.,  3.],
           [20., 40.]])
    """
    if not isinstance(what, Operator):
        return compiled(what)(values)
    found = operator_value(what.expr, values)
    if np.ndim(found) != 2:
        raise ValueError(f"{what} is a multiple of the identity: the expression has no size")
    return found


def named(lines: Program, arguments: Sequence[Any], p: Any) -> Values:
    """The values of all names in one run of a cell: its arguments, parameters and lines.

    Works on whatever the cell itself runs on, vectors of unspecified size among it.

    >>> from companion import rnn
    >>> from companion.symbolic import parameters, program, vector
    >>> named(program(rnn), [vector("x"), vector("h")], parameters(rnn))["h'"]
    tanh(b + U @ h + W @ x)
    """
    values = dict(zip((*lines.inputs, *lines.states), arguments, strict=True))
    values |= {name: getattr(p, name) for name in lines.parameters}
    for line in lines.lines:
        values[line.name] = compiled(line.expr)(values)
    return values


@lru_cache(maxsize=4096)
def compiled(expr: Expr) -> Callable[[Values], Any]:
    """A function from values by name to the value of a vector expression.

    >>> from companion.symbolic import vector
    >>> float(compiled(2 * vector("h") ** 2)({"h": 3.0}))
    18.0
    """
    if expr.is_Symbol:
        name = expr.name
        return lambda values: values[name]
    if expr.is_number:
        if expr.is_Integer:
            whole = int(expr)
            return lambda values: whole
        return lambda values: _number(expr, values)
    if isinstance(expr, MatVec):
        matrix, inner = expr.args[0], compiled(expr.args[1])
        if expr.args[1].is_number:  # the constant vector: A 1 is the sums of the rows
            return lambda values: operator_value(matrix, values).sum(1) * inner(values)
        if isinstance(matrix, Transpose):
            name = matrix.args[0].name
            return lambda values: values[name].T @ inner(values)
        name = matrix.name
        return lambda values: values[name] @ inner(values)
    if expr.is_Pow and expr.args[1].is_Integer:
        base, exponent = compiled(expr.args[0]), int(expr.args[1])
        return lambda values: base(values) ** exponent
    if expr.is_Add or expr.is_Mul:
        fold: Callable[[Any, Any], Any] = add if expr.is_Add else mul
        parts = tuple(compiled(part) for part in expr.args)
        return lambda values: reduce(fold, [part(values) for part in parts])
    for known, function in _FUNCTIONS.items():
        if isinstance(expr, known):
            argument = compiled(expr.args[0])
            return lambda values: function(argument(values))
    raise TypeError(f"{expr} is a {type(expr).__name__}; it has no value on arrays")


def _step(a: Any) -> Any:
    """1 where a > 0, else 0: on an interval that holds both, the interval from 0 to 1."""
    if isinstance(a, np.ndarray) and a.dtype == object:
        return np.frompyfunc(_step, 1, 1)(a)
    if isinstance(a, sympy.Expr):
        return ops.step(a)
    if isinstance(a, _INTERVAL):
        return a.ctx.mpf([int(bool(a.a > 0)), int(bool(a.b > 0))])
    if isinstance(a, float | np.generic | np.ndarray):
        return np.heaviside(a, 0)
    return (a > 0) * 1 if getattr(a, "ndim", 0) else int(a > 0)  # a tensor has its own


_FUNCTIONS: dict[Any, Callable[[Any], Any]] = {
    ops.sigma: ops.sigmoid,
    sympy.tanh: ops.tanh,
    ops.softplus.dispatch(sympy.Expr): ops.softplus,
    ops.relu.dispatch(sympy.Expr): ops.relu,
    ops.step: _step,
}


def operator_value(expr: Expr, values: Values) -> Any:
    """A matrix, or a number that stands for that multiple of the identity."""
    if isinstance(expr, Diag):
        return np.diag(compiled(expr.args[0])(values))
    if isinstance(expr, Transpose):
        return values[expr.args[0].name].T
    if expr.is_Symbol and not expr.is_commutative:
        return values[expr.name]
    if expr.is_commutative:
        return _number(expr, values)
    if expr.is_Pow:  # SymPy writes U U as U²
        return reduce(matmul, [operator_value(expr.args[0], values)] * int(expr.args[1]))
    parts = [operator_value(part, values) for part in expr.args]
    matrices = [part for part in parts if np.ndim(part) == 2]
    numbers = [part for part in parts if np.ndim(part) != 2]
    if expr.is_Add:
        identity = [np.eye(len(matrices[0]), dtype=int) * sum(numbers)] if numbers else []
        return reduce(add, matrices + identity)
    product = reduce(matmul, matrices)
    return reduce(mul, numbers) * product if numbers else product


_INTERVAL: Any = mpmath.iv.mpf.__mro__[1]  # the common base of mpmath's contexts
_DIGITS: Any = mpmath.mpf.__mro__[1]


def _number(expr: Expr, values: Values) -> Any:
    """A number of the kind that the arrays are of: a fraction is p / q in their arithmetic.

    On intervals an irrational number raises TypeError: a rounded one would prove nothing.
    """
    if expr.is_Integer:
        return int(expr)
    if expr.is_Float:
        return float(expr)  # the binary fraction that it is
    objects = _objects(values)
    for one in (one for one in objects if isinstance(one, _INTERVAL)):
        if not expr.is_Rational:
            raise TypeError(f"{expr} is irrational; on intervals it has no exact value")
        return np.asarray(one.ctx.mpf(expr.p) / expr.q, dtype=object)
    for one in (one for one in objects if isinstance(one, _DIGITS)):
        if expr.is_Rational:
            return one.context.mpf(expr.p) / expr.q
        return one.context.mpf(str(sympy.N(expr, one.context.dps + 5)))
    return expr if any(isinstance(one, sympy.Expr | Operator) for one in objects) else float(expr)


def _objects(values: Values) -> list[Any]:
    """One element of each value that is not of a machine's numbers."""
    other = (v for v in values.values() if str(getattr(v, "dtype", "object")) == "object")
    return [element for v in other for element in np.asarray(v, dtype=object).flat[:1]]
