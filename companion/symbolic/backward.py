"""The backward step of a cell, derived: the transposed chain rule, in the cell's own names.

If dh′ is the gradient of a loss with respect to the new state, then Jᵀ dh′ is the one with respect
to whatever J = ∂h′/∂(…) is taken by. Line by line from the last to the first this is
backpropagation; nothing here knows a cell. What comes out is code of about a dozen lines that can
be read (``print``) and run on NumPy arrays of any kind of number.

Names: dv is the gradient with respect to v, da_z the one with respect to the argument of
z = σ(a_z), dW the one with respect to a matrix: outer(u, v) = u vᵀ for the term W v. A new state is
h_new in code. A product with a matrix that is needed twice gets a name: Un_da_n = Un.T @ da_n.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import sympy
from sympy.printing.str import StrPrinter

from companion.parameters import parameter_set
from companion.symbolic.evaluate import Values, compiled, named
from companion.symbolic.jacobian import derivative, peeled
from companion.symbolic.operators import Operator, Transpose
from companion.symbolic.program import Line, Program, program
from companion.symbolic.ring import Expr, MatVec, VectorSymbol, vector
from companion.trace import Cell


class Outer(sympy.Expr):  # type: ignore[misc]
    """The matrix u vᵀ; for a batch, whose members are columns, the sum over them."""

    is_commutative = False

    def _sympystr(self, printer: Any) -> str:
        return f"outer({', '.join(map(printer._print, self.args))})"


@dataclass(frozen=True)
class Backward:
    """One backward step: what :func:`backward` derived. Print it to read it, call it to run it.

    forward: the cell as lines, those added that the backward step needs; backward: its own lines.
    """

    forward: Program
    backward: tuple[Line, ...]

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names of the cell's arguments, without p."""
        return (*self.forward.inputs, *self.forward.states)

    def __str__(self) -> str:
        seeds = [f"d{name}'" for name in self.forward.states]
        together: dict[tuple[Any, ...], list[Line]] = {}
        lines = [f"{line.name} = {line.text}" for line in self._needed()]
        for line in self.backward:
            if line.name[1:] in self.forward.parameters:
                together.setdefault(_weighed(line), []).append(line)
            else:
                lines.append(f"{line.name} = {_code(line.expr)}")
        for group in together.values():  # dWz, dUz, dbz belong together: all are of da_z
            names = ", ".join(line.name for line in group)
            lines.append(f"{names} = {', '.join(_code(line.expr) for line in group)}")
        results = [f"d{name}" for name in (*self.arguments, *self.forward.parameters)]
        head = f"def {self.forward.name}_backward({', '.join((*self.arguments, 'p', *seeds))}):"
        code = "\n    ".join([head, *lines, f"return {', '.join(results)}"])
        parameter = rf"(?<![\w.])({'|'.join(self.forward.parameters)})(?![\w'])"
        return re.sub(r"(\w)'", r"\1_new", re.sub(parameter, r"p.\1", code))

    def _needed(self) -> list[Line]:
        """The forward lines without those, such as the new h, that nothing below uses."""
        needed: list[Line] = []
        wanted = {s.name for line in self.backward for s in line.expr.atoms(VectorSymbol)}
        for line in reversed(self.forward.lines):
            if line.name in wanted:
                needed.insert(0, line)
                wanted |= {s.name for s in line.expr.atoms(VectorSymbol)}
        return needed

    def values(self, arguments: tuple[Any, ...], p: Any) -> Values:
        """The values of all names after the forward lines, which the backward lines need."""
        return named(self.forward, arguments, p)

    def gradients(self, values: Values, d_state: tuple[Any, ...]) -> Values:
        """The gradients by name, given the values of a step and the gradients dh′ (and dc′).

        For columns of a batch, that with respect to a parameter is summed over them. What the new
        state does not depend on has the gradient 0, a number.
        """
        known = dict(values)
        known |= {
            f"d{name}'": value for name, value in zip(self.forward.states, d_state, strict=True)
        }
        for line in self.backward:
            known[line.name] = _value(line, known, line.name[1:] in self.forward.parameters)
        return {name: known[f"d{name}"] for name in (*self.arguments, *self.forward.parameters)}

    def __call__(self, *arguments: Any) -> tuple[Any, ...]:
        """Run the printed function: (inputs…, states…, p, d_new…) → gradients, p's as a set."""
        count = len(self.arguments)
        given, p, seeds = arguments[:count], arguments[count], arguments[count + 1 :]
        values = self.values(given, p)
        found = self.gradients(values, seeds)
        found = {k: v if np.ndim(v) else 0 * values[k] for k, v in found.items()}
        made = parameter_set(self.forward.name, tuple(self.forward.parameters))
        return (
            *(found[name] for name in self.arguments),
            made(*(found[name] for name in self.forward.parameters)),
        )


@lru_cache(maxsize=256)
def backward(cell: Cell) -> Backward:
    """The backward step of a cell: from dh′ (and dc′, …) to the gradients of all it was given.

    Raises what :func:`companion.trace` raises, and ValueError if the cell itself has a name that a
    gradient needs, such as dh.

    >>> from companion import gru
    >>> print(backward(gru))
    def gru_backward(x, h, p, dh_new):
        z = sigmoid(p.Wz @ x + p.Uz @ h + p.bz)
        r = sigmoid(p.Wr @ x + p.Ur @ h + p.br)
        n = tanh(p.Wn @ x + p.Un @ (r * h) + p.bn)
        da_n = dh_new*z*(1 - n**2)
        Un_da_n = p.Un.T @ da_n
        da_r = Un_da_n*h*r*(1 - r)
        da_z = dh_new*z*(1 - z)*(-h + n)
        dx = p.Wn.T @ da_n + p.Wr.T @ da_r + p.Wz.T @ da_z
        dh = Un_da_n*r + dh_new*(1 - z) + p.Ur.T @ da_r + p.Uz.T @ da_z
        dWz, dUz, dbz = outer(da_z, x), outer(da_z, h), da_z
        dWr, dUr, dbr = outer(da_r, x), outer(da_r, h), da_r
        dWn, dUn, dbn = outer(da_n, x), outer(da_n, h*r), da_n
        return dx, dh, dWz, dUz, dbz, dWr, dUr, dbr, dWn, dUn, dbn
    """
    lines = program(cell)
    arguments = (*lines.inputs, *lines.states)
    gathered: dict[str, list[Expr]] = {}
    for state, output in zip(lines.states, lines.outputs, strict=True):
        gathered.setdefault(output, []).append(vector(f"d{state}'"))
    made: list[Line] = []
    for line in reversed(lines.lines):
        if line.name not in gathered:
            continue
        slope, inside = peeled(line)
        gradient = sympy.Add(*gathered.pop(line.name)) * slope
        if not gradient.is_Symbol:
            name = _name_of_gradient(line.name, slope, alone=len(lines.lines) == 1)
            made.append(Line(name, gradient))
            gradient = vector(name)
        for name, share in _shares(inside, gradient):
            gathered.setdefault(name, []).append(share)
    for name in (*arguments, *lines.parameters):
        made.append(Line(f"d{name}", sympy.Add(*gathered.get(name, []))))
    names = [line.name for line in (*lines.lines, *made)]
    taken = [name for name, times in Counter(names).items() if times > 1]
    if taken:
        raise ValueError(f"cell {lines.name}: the names {', '.join(taken)} are those of gradients")
    forward, back = _shared((*lines.lines, *made), len(lines.lines))
    return Backward(replace(lines, lines=forward), back)


def _shares(expr: Expr, gradient: Expr) -> Iterator[tuple[str, Expr]]:
    """The gradient of what an expression is made of, given its own: Jᵀ gradient, name by name."""
    for symbol in sorted(expr.atoms(VectorSymbol), key=lambda s: str(s.name)):
        jacobian = Operator(derivative(expr, {symbol: sympy.S.One}))
        yield symbol.name, jacobian.T @ gradient
    for product in sorted(expr.atoms(MatVec), key=str):
        matrix, v = product.args
        stand_in = vector("•")
        jacobian = Operator(derivative(expr.xreplace({product: stand_in}), {stand_in: sympy.S.One}))
        yield matrix.name, Outer((jacobian.T @ gradient).xreplace({stand_in: product}), v)


def _name_of_gradient(name: str, slope: Expr, alone: bool) -> str:
    plain = name.rstrip("'")
    if slope != 1:
        return "da" if alone else f"da_{plain}"
    # All that arrives at a value: for the LSTM's c′, from the next step and through h′.
    return f"d{plain}" if plain == name else f"d{plain}_sum"


def _shared(lines: tuple[Line, ...], split: int) -> tuple[tuple[Line, ...], tuple[Line, ...]]:
    """The lines with a name for every product with a matrix that occurs in more than one place."""
    seen: Counter[Expr] = Counter()
    for line in lines:
        for node in sympy.preorder_traversal(line.expr):
            if isinstance(node, MatVec):
                seen[node] += 1
    taken = {line.name for line in lines}
    names: dict[Expr, Expr] = {}
    done: list[list[Line]] = [[], []]
    for number, line in enumerate(lines):
        for node in sympy.postorder_traversal(line.expr):
            if seen[node] > 1 and node not in names:
                name = _name_of_product(node, taken)
                made = node.func(node.args[0], node.args[1].xreplace(names))
                done[number >= split].append(Line(name, made, _code(made)))
                names[node] = vector(name)
        new = line.expr.xreplace(names)
        done[number >= split].append(
            Line(line.name, new, line.text if new == line.expr and line.text else _code(new))
        )
    return tuple(done[0]), tuple(done[1])


def _name_of_product(product: Expr, taken: set[str]) -> str:
    matrix, v = product.args
    name = matrix.args[0].name if isinstance(matrix, Transpose) else matrix.name
    made = f"{name}_{v.name}" if v.is_Symbol else f"{name}_{len(taken)}"
    while made in taken:  # a local U_h beside U @ h
        made += "_"
    taken.add(made)
    return str(made)


class _Code(StrPrinter):  # type: ignore[misc]
    """SymPy's printer, with what the functions are called on arrays."""

    def _print_sigma(self, expr: Expr) -> str:
        return f"sigmoid({self._print(expr.args[0])})"

    def _print_step(self, expr: Expr) -> str:
        return f"({self._print(expr.args[0])} > 0)"


def _code(expr: Expr) -> str:
    return str(_Code().doprint(expr))


def _weighed(line: Line) -> tuple[Any, ...]:
    """What the parameters' gradients are grouped by: the vector that they are all made from."""
    first = line.expr.args[0] if isinstance(line.expr, Outer) else line.expr
    return (first if first.is_Symbol or not line.expr.is_Add else line.name,)


def _value(line: Line, values: Values, parameter: bool) -> Any:
    total = None
    for term in sympy.Add.make_args(line.expr):
        times, rest = term.as_coeff_Mul()
        if isinstance(rest, Outer):
            u, v = (compiled(part)(values) for part in rest.args)
            value = compiled(times)(values) * (u[:, None] * v if u.ndim == 1 else u @ v.T)
        else:
            value = compiled(term)(values)
            value = value.sum(1) if parameter and np.ndim(value) == 2 else value
        total = value if total is None else total + value
    return total
