"""Small things that many statements need."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import mpmath

from companion.symbolic import program
from companion.symbolic.evaluate import compiled, named
from companion.trace import Cell


def line(cell: Cell, name: str, **values: Any) -> Any:
    """One line of a cell, such as its c' = f⊙c + i⊙g, on values given by name.

    A primed name is the new state's. Raises KeyError for a name that the cell does not have.

    >>> from companion import lstm
    >>> line(lstm, "c'", f=0.5, c=4.0, i=1.0, g=0.25)
    2.25
    """
    expressions = {line.name: line.expr for line in program(cell).lines}
    return compiled(expressions[name])(values)


def largest(values: Any) -> Any:
    """The maximum, of numbers or of intervals.

    >>> largest([1.0, 3.0])
    3.0
    """
    values = list(values)
    if any(isinstance(value, mpmath.iv.mpf) for value in values):
        values = [mpmath.iv.mpf(value) for value in values]
        return mpmath.iv.mpf([max(v.a for v in values), max(v.b for v in values)])
    return max(values)


def argument(cell: Cell, name: str, arguments: Sequence[Any], p: Any) -> Any:
    """What the nonlinearity of one line of a cell is applied to.

    >>> from companion import gru
    >>> from companion.symbolic import parameters, vector
    >>> argument(gru, "z", [vector("x"), vector("h")], parameters(gru))
    bz + Uz @ h + Wz @ x
    """
    expressions = {line.name: line.expr for line in program(cell).lines}
    return compiled(expressions[name].args[0])(named(program(cell), arguments, p))


def set_of(**values: Any) -> SimpleNamespace:
    """Parameters made of others, p.W of any of them.

    >>> set_of(W=1).W
    1
    """
    return SimpleNamespace(**values)


def gate(p: Any, letter: str, x: Any, h: Any) -> Any:
    """The argument of a gate, W x + U h + b with the gate's letter.

    >>> from companion import gru
    >>> from companion.symbolic import parameters, vector
    >>> gate(parameters(gru), "z", vector("x"), vector("h"))
    bz + Uz @ h + Wz @ x
    """
    W, U, b = (getattr(p, kind + letter) for kind in "WUb")
    return W @ x + U @ h + b
