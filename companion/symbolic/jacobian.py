"""Jacobians in matrix form, by the chain rule.

The rule of each operation is one line: a sum adds, a factor becomes a diagonal, a function f(a)
puts diag(f′(a)) in front, and A v puts A. What comes out is the textbook's formula. Its witness
is SymPy's own derivative of every component by every component, for H = 1, 2, 3, in the tests.

This is the derivative of one step. Over time the blocks multiply: ∂(h, c)ₜ/∂(h, c)ₜ₋₁, all of them.
Total derivatives of c alone do not chain, since c acts on itself through h too.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy

from companion.ops import relu, sigma, step
from companion.symbolic.evaluate import operator_value
from companion.symbolic.operators import Diag, Operator, add, compose
from companion.symbolic.program import Line, Program, program
from companion.symbolic.ring import FUNCTIONS, Expr, MatVec, vector


def jacobian(expr: Any, v: Any = None) -> Any:
    """The Jacobian ∂expr/∂v of a vector, as an operator; or that of a cell, in its own names.

    expr: a vector, and v one of its symbols. Or expr: a cell, and v the name of an input, a state
    or a bias, or a tuple of names; None stands for all its states, and gives the one-step Jacobian
    ∂(new state)/∂(state). More than one new state, or more than one name, gives a
    :class:`companion.symbolic.Block`. Raises ValueError for a name that the cell does not have.

    >>> from companion import gru, rnn, tanh
    >>> from companion.symbolic import matrix
    >>> U, h, b = matrix("U"), vector("h"), vector("b")
    >>> jacobian(tanh(U @ h + b), h)
    Diag(1 - tanh(b + U @ h)**2)*U
    >>> jacobian(rnn)
    Diag(1 - h'**2)*U
    >>> jacobian(gru, "bz")
    Diag(z*(1 - z)*(-h + n))
    """
    if isinstance(expr, sympy.Expr):
        if not getattr(v, "is_symbol", False):
            raise TypeError(f"v is {v!r}; expected a vector's symbol, such as vector('h')")
        return Operator(derivative(expr, {v: sympy.S.One}))
    lines = program(expr)
    columns = lines.states if v is None else (v,) if isinstance(v, str) else tuple(v)
    for name in columns:
        if name not in (*lines.inputs, *lines.states) and lines.parameters.get(name) != ("H",):
            raise ValueError(
                f"v is {name!r}; expected one of {', '.join(_names(lines))} of {lines.name}"
            )
    totals = [total(lines, name) for name in columns]
    rows = tuple(tuple(Operator(column[output]) for column in totals) for output in lines.outputs)
    if len(rows) == len(columns) == 1:
        return rows[0][0]
    return Block(tuple(f"{name}'" for name in lines.states), columns, rows)


@dataclass(frozen=True)
class Block:
    """A block matrix of operators: rows are new states, columns what is differentiated by.

    >>> from companion import lstm
    >>> J = jacobian(lstm)
    >>> J["c'", "c"]
    Diag(f)
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    blocks: tuple[tuple[Operator, ...], ...]

    def __getitem__(self, names: tuple[str, str]) -> Operator:
        row, column = names
        return self.blocks[self.rows.index(row)][self.columns.index(column)]

    def __str__(self) -> str:
        lines = textwrap.TextWrapper(
            76, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
        return "\n".join(
            lines.fill(f"d{row}/d{column} = {self[row, column]}")
            for row in self.rows
            for column in self.columns
        )

    def _repr_latex_(self) -> str:
        from companion.symbolic.latex import latex  # it stands above this module

        return rf"$\displaystyle {latex(self)}$"

    def evaluate(self, values: dict[str, Any]) -> Any:
        """The whole as one array, of the blocks' values: rows and columns side by side.

        values: by name, as :func:`companion.symbolic.named` gives them. Raises ValueError if they
        do not say how many rows a block that is 0 has.
        """
        found = [[operator_value(block.expr, values) for block in row] for row in self.blocks]
        for name, row in zip(self.rows, found, strict=True):
            heights = [len(part) for part in row if np.ndim(part) == 2]
            heights += [len(values[n]) for n in (name.rstrip("'"), name) if n in values]
            for place, column in enumerate(self.columns):
                if np.ndim(row[place]) != 2:  # a multiple of the identity, such as 0
                    if not heights:
                        raise ValueError(f"the size of {name} is not known: give its value")
                    row[place] = np.eye(heights[0], len(values[column]), dtype=int) * row[place]
        return np.block(found)


def derivative(expr: Expr, known: dict[Expr, Expr]) -> Expr:
    """The chain rule itself, on operator expressions: 1 is the identity, 0 the zero map.

    known: the derivatives of the symbols that depend on what is differentiated by. Raises
    TypeError for what is not in the ring, such as Max, and for the step, which has a jump.

    >>> from companion.symbolic import matrix
    >>> U, r, h = matrix("U"), vector("r"), vector("h")
    >>> derivative(U @ (r * h), {h: sympy.S.One})
    U*Diag(r)
    >>> derivative(2 ** h, {h: sympy.S.One})
    Diag(2**h*log(2))
    """
    if expr in known:
        return known[expr]
    if not expr.has(*known):
        return sympy.S.Zero
    if isinstance(expr, MatVec):
        matrix, inner = expr.args
        return compose(matrix, derivative(inner, known))
    if expr.is_Add:
        return add([derivative(term, known) for term in expr.args])
    if expr.is_Mul:
        parts = [
            compose(Diag(sympy.Mul(*expr.args[:k], *expr.args[k + 1 :])), derivative(factor, known))
            for k, factor in enumerate(expr.args)
        ]
        return add(parts)
    if expr.is_Pow and expr.args[1].is_Integer:
        inner, power = expr.args
        return compose(Diag(power * inner ** (power - 1)), derivative(inner, known))
    if expr.is_Pow and expr.args[0].is_number and expr.args[0].is_positive:
        base, power = expr.args
        return compose(Diag(sympy.log(base) * expr), derivative(power, known))
    if isinstance(expr, FUNCTIONS) and not isinstance(expr, step):
        return compose(Diag(expr.fdiff()), derivative(expr.args[0], known))
    raise TypeError(f"{expr} is a {type(expr).__name__}; its derivative is not known")


def total(lines: Program, name: str) -> dict[str, Expr]:
    """The derivative of every line by one name, through all the lines before it."""
    known: dict[Expr, Expr] = {vector(name): sympy.S.One}
    for line in lines.lines:
        outside, inside = peeled(line)
        known[vector(line.name)] = compose(Diag(outside), derivative(inside, known))
    return {output: known.get(vector(output), sympy.S.Zero) for output in lines.outputs}


def peeled(line: Line) -> tuple[Expr, Expr]:
    """A line y = f(a) as f′(a), written with y, and a; with another outside, as 1 and itself.

    >>> from companion import rnn
    >>> peeled(program(rnn).lines[0])
    (1 - h'**2, b + U @ h + W @ x)
    """
    slope = _SLOPES.get(type(line.expr))
    if slope is None:
        return sympy.S.One, line.expr
    return slope(vector(line.name)), line.expr.args[0]


_SLOPES: dict[Any, Callable[[Expr], Expr]] = {
    sigma: lambda y: y * (1 - y),
    sympy.tanh: lambda y: 1 - y**2,
    relu.dispatch(sympy.Expr): step,  # y > 0 where a > 0
}


def _names(lines: Program) -> list[str]:
    biases = [name for name, shape in lines.parameters.items() if shape == ("H",)]
    return [*lines.inputs, *lines.states, *biases]
