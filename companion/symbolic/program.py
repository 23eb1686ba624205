"""A cell on the ring: as one expression, and as the lines that it is written in.

The ring has no shapes, so each way in here traces the cell first: that checks its shapes for all
sizes and refuses what a cell may not do. Proofs run the cell itself, once, on vectors
(:func:`run`). Derivatives want to be printed with the cell's own names, z, r, n, and take its
lines from the trace (:func:`program`); a test asserts that both are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from companion.ops import relu, sigmoid, softplus, tanh
from companion.parameters import parameter_set
from companion.symbolic.operators import Operator, matrix
from companion.symbolic.ring import Expr, vector
from companion.trace import Cell, Trace, trace
from companion.wire import Wire, text_of


@dataclass(frozen=True)
class Line:
    """One line of a program, name = expr; text is the right-hand side as the cell has it."""

    name: str
    expr: Expr
    text: str = ""


@dataclass(frozen=True)
class Program:
    """A cell as lines: each names a vector made of those before it.

    name: the cell's. inputs, states: names of its arguments; parameters: those of p, with their
    shapes. outputs: the names that the new states have, among the lines.
    """

    name: str
    inputs: tuple[str, ...]
    states: tuple[str, ...]
    parameters: dict[str, tuple[str, ...]]
    lines: tuple[Line, ...]
    outputs: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(f"{line.name} = {line.text}" for line in self.lines)


def parameters(cell: Cell) -> Any:
    """The parameters of a cell as symbols: matrices where it has a capital letter, else vectors.

    Raises what :func:`companion.trace` raises, if the cell's shapes are wrong for any size, and
    ValueError for a parameter with the name of an argument, such as p.h: both would be one symbol.

    >>> from companion import rnn
    >>> parameters(rnn)
    rnn parameters: W W, U U, b b
    """
    traced = _traced(cell)
    names = traced.parameters
    values: Iterator[Any] = (matrix(name) if name[0].isupper() else vector(name) for name in names)
    return parameter_set(traced.name, tuple(names))(*values)


def run(cell: Cell) -> Any:
    """The new state of a cell as vectors of unspecified size: the cell itself, run on them.

    >>> from companion import rnn
    >>> run(rnn)
    tanh(b + U @ h + W @ x)
    """
    traced = trace(cell)
    arguments = (vector(wire.name) for wire in (*traced.inputs, *traced.states))
    return cell(*arguments, parameters(cell))


@lru_cache(maxsize=256)
def program(cell: Cell) -> Program:
    """The lines of a cell, under its own names; a new state without one is primed.

    >>> from companion import gru
    >>> print(program(gru))
    z = sigmoid(Wz @ x + Uz @ h + bz)
    r = sigmoid(Wr @ x + Ur @ h + br)
    n = tanh(Wn @ x + Un @ (r * h) + bn)
    h' = (1 - z) * h + z * n
    """
    traced = _traced(cell)
    known: dict[int, Any] = {w.order: vector(w.name) for w in (*traced.inputs, *traced.states)}
    for name, wire in traced.parameters.items():
        known[wire.order] = matrix(name) if len(wire.shape) == 2 else vector(name)
    ends = {w.order: f"{s.name}'" for s, w in zip(traced.states, traced.outputs, strict=True)}
    taken = {wire.name for wire in (*traced.inputs, *traced.states)} | set(traced.parameters)
    shown: dict[int, Wire] = {}  # the wires with the names that they have here, for the text
    lines = []
    for wire in traced:
        shown[wire.order] = replace(wire, arguments=tuple(shown[a.order] for a in wire.arguments))
        if wire.order in known:
            continue
        known[wire.order] = _value(wire, [known[a.order] for a in wire.arguments])
        name = wire.name or ends.get(wire.order, "")
        if name:
            while name in taken:  # a local b beside p.b
                name += "_"
            taken.add(name)
            lines.append(Line(name, known[wire.order], text_of(shown[wire.order], whole=True)))
            shown[wire.order].name = name if wire.name else ""
            known[wire.order] = vector(name)
    return Program(
        traced.name,
        tuple(wire.name for wire in traced.inputs),
        tuple(wire.name for wire in traced.states),
        {name: wire.shape for name, wire in traced.parameters.items()},
        tuple(lines),
        tuple(str(known[wire.order]) for wire in traced.outputs),
    )


def _traced(cell: Cell) -> Trace:
    """The trace of a cell whose arguments and parameters have names of their own."""
    traced = trace(cell)
    for wire in (*traced.inputs, *traced.states):
        if wire.name in traced.parameters:
            raise ValueError(
                f"cell {traced.name}: p.{wire.name} has the name of the argument {wire.name}; "
                "expected another, since in symbols both would be one"
            )
    return traced


def _value(wire: Wire, values: list[Any]) -> Any:
    if wire.kind == "number":
        value = float(wire.value or 0)
        return int(value) if value.is_integer() else value
    if wire.kind == "matvec":
        assert isinstance(values[0], Operator)
        return values[0] @ values[1]
    operations: dict[str, Any] = {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "neg": lambda a: -a,
        "sigmoid": sigmoid,
        "tanh": tanh,
        "softplus": softplus,
        "relu": relu,
    }
    return operations[wire.kind](*values)
