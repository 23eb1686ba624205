"""What a cell costs, counted from its trace: operations, numbers kept for learning, widths.

As :func:`companion.count` counts parameters, these count the rest, for one step of one sequence,
as polynomials in D and H. A count is a property of the equation. How long a program takes is not:
that depends on the program and on the machine, and is measured.
"""

from __future__ import annotations

from typing import NamedTuple

import sympy

from companion.symbolic.backward import Outer, backward
from companion.symbolic.operators import Transpose
from companion.symbolic.ring import MatVec, VectorSymbol
from companion.trace import Cell, trace
from companion.wire import Shape, Wire

_PLAIN = ("add", "sub", "mul", "neg")


class Operations(NamedTuple):
    """The operations of one step of one sequence, by kind.

    multiply_adds: of the products with a matrix; each is two floating-point operations.
    componentwise: additions, subtractions, negations and products of vectors' components.
    nonlinear: values of σ, tanh and the like; each costs as much as several of the others, how
    many depends on the machine.
    """

    multiply_adds: sympy.Expr
    componentwise: sympy.Expr
    nonlinear: sympy.Expr


def operations(cell: Cell) -> Operations:
    """What a cell computes in one step, counted as it is written.

    A matrix (H, D) times a vector is H·D multiply-adds, as everybody counts it. Constants are
    numbers like others: 1 − z is H subtractions. Raises what :func:`companion.trace` raises.

    >>> from companion import gru, lstm
    >>> operations(lstm)
    Operations(multiply_adds=4*H*(D + H), componentwise=12*H, nonlinear=5*H)
    >>> operations(gru)
    Operations(multiply_adds=3*H*(D + H), componentwise=11*H, nonlinear=3*H)
    """
    products, plain, nonlinear = sympy.S.Zero, sympy.S.Zero, sympy.S.Zero
    for wire in trace(cell):
        if wire.kind == "matvec":
            products += _size(wire.arguments[0].shape)
        elif wire.kind in _PLAIN:
            plain += _size(wire.shape)
        elif wire.arguments:
            nonlinear += _size(wire.shape)
    return Operations(sympy.factor(products), plain, nonlinear)


def backward_multiply_adds(cell: Cell, *, d_inputs: bool = True) -> sympy.Expr:
    """The multiply-adds of the derived step back, :func:`companion.symbolic.backward`.

    d_inputs: whether the gradients of the inputs are wanted, as they are by a layer below.

    >>> from companion import gru
    >>> backward_multiply_adds(gru)
    6*H*(D + H)
    >>> backward_multiply_adds(gru, d_inputs=False)
    3*H*(D + 2*H)
    """
    step, shapes = backward(cell), {n: w.shape for n, w in trace(cell).parameters.items()}
    unwanted = set() if d_inputs else {f"d{name}" for name in step.forward.inputs}
    total = sympy.S.Zero
    for line in step.backward:
        if line.name in unwanted:
            continue
        for node in sympy.preorder_traversal(line.expr):
            if isinstance(node, MatVec):
                matrix = node.args[0]
                matrix = matrix.args[0] if isinstance(matrix, Transpose) else matrix
                total += _size(shapes[matrix.name])
            elif isinstance(node, Outer):
                total += _size(shapes[line.name[1:]])
    return sympy.factor(total)


def kept(cell: Cell) -> sympy.Expr:
    """How many numbers of a step the derived backward step reads, so that a program must keep them.

    A state counts once: the new one of a step is the old one of the next. The parameters are not
    counted, there is one set for all steps. What can be had again from these by componentwise
    operations, tanh(c′) or r⊙h, is not kept.

    >>> from companion import gru, lstm, rnn
    >>> print(kept(rnn), kept(gru), kept(lstm), sep=", ")
    D + H, D + 4*H, D + 6*H
    """
    step = backward(cell)
    lines = step.forward
    shapes: dict[str, Shape] = dict.fromkeys(lines.inputs, ("D",))
    shapes |= {name: wire.shape for name, wire in trace(cell).locals.items()}
    once = dict(zip(lines.outputs, lines.states, strict=True))
    forward = {*lines.inputs, *lines.states, *(line.name for line in lines.lines)}
    read = {s.name for line in step.backward for s in line.expr.atoms(VectorSymbol)}
    names = {once.get(name, name) for name in read & forward}
    return sympy.Add(*(_size(shapes.get(name, ("H",))) for name in names))


def taped(cell: Cell) -> sympy.Expr:
    """How many numbers of a step a tape keeps that knows single operations only, as autograd does.

    The product u⊙v keeps u and v, W v keeps v, σ and tanh keep their value, softplus its argument;
    a sum keeps nothing. Each wire counts once, a state once as for :func:`kept`.

    >>> from companion import gru, lstm, rnn
    >>> print(taped(rnn), taped(gru), taped(lstm), sep=", ")
    D + H, D + 6*H, D + 7*H
    """
    traced = trace(cell)
    once = {w.order: s for s, w in zip(traced.states, traced.outputs, strict=True)}
    found: dict[int, Wire] = {}
    for wire in traced:
        for keep in _on_tape(wire):
            if keep.kind not in ("number", "parameter"):
                keep = once.get(keep.order, keep)
                found[keep.order] = keep
    return sympy.Add(*(_size(wire.shape) for wire in found.values()))


def _on_tape(wire: Wire) -> tuple[Wire, ...]:
    if wire.kind == "mul":
        is_scaled = any(argument.kind == "number" for argument in wire.arguments)
        return () if is_scaled else wire.arguments
    if wire.kind == "matvec":
        return wire.arguments[1:]
    if wire.kind == "softplus":
        return wire.arguments
    return (wire,) if wire.kind in ("sigmoid", "tanh", "relu") else ()


def width(parameters: sympy.Expr, input_size: int, budget: int) -> int:
    """The hidden size for which a count of parameters comes nearest to a budget.

    parameters: a polynomial in D and H that grows with H, such as count(cell), or that plus a
    read-out's. Of two equally near sizes the smaller one. Raises ValueError that names the
    argument, if it is not such a polynomial or if even one unit costs more than twice the budget.

    >>> from companion import count, gru, lstm
    >>> width(count(gru), 64, count(lstm).subs({"D": 64, "H": 128}))
    152
    """
    D, H = sympy.symbols("D H")
    cost = sympy.Poly(sympy.sympify(parameters).subs(D, input_size), H)
    if cost.degree() < 1 or not all(a.is_number and a >= 0 for a in cost.all_coeffs()):
        raise ValueError(f"parameters is {parameters}; expected a polynomial that grows with H")
    if cost(1) > 2 * budget:
        raise ValueError(f"budget is {budget}; expected at least half of {cost(1)}, one unit's")
    high = 1
    while cost(high) < budget:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if cost(middle) >= budget else (middle, high)
    return low if low and budget - cost(low) <= cost(high) - budget else high


def _size(shape: Shape) -> sympy.Expr:
    return sympy.Mul(*map(sympy.Symbol, shape))
