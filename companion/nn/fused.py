"""A faster engine for layers: a pass over the sequence as one operation, with a derived gradient.

autograd records every addition of every step and goes back through the record. For layers as small
as the book's that costs more than the arithmetic. Here the backward step is the one that
:func:`companion.symbolic.backward` derives from the cell, so nothing need be recorded but values.
Three kinds of work move out of the loop or together, found in the cell's expressions: what needs
no state (W x + b) is computed for all steps at once; so are the gradients with respect to weights;
and products with one vector (U_z h, U_r h) are one product. Inside, a batch is rows.

    layer.loop = fused

What comes out is the plain loop's but for rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import sympy
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from companion.nn.loop import States, loop
from companion.symbolic.backward import Backward, Outer, backward
from companion.symbolic.evaluate import Values, compiled
from companion.symbolic.operators import Transpose
from companion.symbolic.ring import Expr, MatVec, VectorSymbol, vector
from companion.trace import Cell


class _Rows:
    """A matrix (E, H, D) for vectors that are rows (E, B, D)."""

    def __init__(self, W: Tensor) -> None:
        self.W = W

    @property
    def T(self) -> _Rows:  # noqa: N802 - as arrays call it
        return _Rows(self.W.mT)

    def __matmul__(self, v: Tensor) -> Tensor:
        return torch.bmm(v, self.W.mT)

    def sum(self, _: int) -> Tensor:  # W 1, as a row
        return self.W.sum(-1).unsqueeze(1)


class _Sum(NamedTuple):
    """Products that are one: of several matrices with one vector, or the sum Σ Aᵀ v."""

    names: tuple[str, ...]  # of the products, or of the sum
    matrices: tuple[str, ...]
    vectors: tuple[str, ...]


class _Plan:
    """What is computed where, for one cell."""

    def __init__(self, derived: Backward) -> None:
        lines = derived.forward
        self.inputs, self.states, self.outputs = lines.inputs, lines.states, lines.outputs
        self.parameters = tuple(lines.parameters)
        self.ahead: dict[str, Expr] = {}  # for all steps at once, before the loop
        products: dict[Expr, Expr] = {}
        step = [(line.name, self._hoisted(line.expr)) for line in lines.lines]
        for _, expr in step:
            for node in sorted(expr.atoms(MatVec), key=str):
                matrix, v = node.args
                if v.is_Symbol and v.name in self.states:
                    products[node] = vector(f"{matrix.name}@{v.name}")
        self.step = [(name, compiled(expr.xreplace(products))) for name, expr in step]
        self.together = [
            _Sum(tuple(str(products[n]) for n in of), tuple(n.args[0].name for n in of), (state,))
            for state in self.states
            if (of := [n for n in products if n.args[1].name == state])
        ]
        after = {f"d{name}" for name in (*self.inputs, *self.parameters)}
        self.back: list[tuple[str, Callable[[Values], Any]]] = []
        self.sums: dict[str, _Sum] = {}  # by the line before which it is computed
        for line in derived.backward:
            if line.name not in after:
                self.back.append((line.name, compiled(self._summed(line.name, line.expr))))
        self.after = {line.name: line.expr for line in derived.backward if line.name in after}

    def _hoisted(self, expr: Expr) -> Expr:
        """The expression with a name for each part of it that needs no state."""
        if self._free(expr):
            name = f"ahead {len(self.ahead)}"
            self.ahead[name] = expr
            return vector(name)
        if expr.is_Symbol or not expr.args:
            return expr
        if isinstance(expr, MatVec):
            return MatVec(expr.args[0], self._hoisted(expr.args[1]))
        if expr.is_Add:
            free = [part for part in expr.args if self._free(part) or self._constant(part)]
            if any(map(self._free, free)):
                rest = [self._hoisted(part) for part in expr.args if part not in free]
                return expr.func(self._hoisted(expr.func(*free)), *rest)
        return expr.func(*map(self._hoisted, expr.args))

    def _free(self, expr: Expr) -> bool:
        names = {symbol.name for symbol in expr.atoms(VectorSymbol)}
        return bool(names & set(self.inputs)) and names <= {*self.inputs, *self.parameters}

    def _constant(self, expr: Expr) -> bool:
        return {symbol.name for symbol in expr.atoms(VectorSymbol)} <= set(self.parameters)

    def _summed(self, name: str, expr: Expr) -> Expr:
        """The expression with a name for the sum of its terms Aᵀ v, where there are several."""
        terms = [
            term
            for term in (expr.args if expr.is_Add else ())
            if isinstance(term, MatVec)
            and isinstance(term.args[0], Transpose)
            and term.args[1].is_Symbol
        ]
        if len(terms) < 2:
            return expr
        self.sums[name] = _Sum(
            (f"{name} sum",),
            tuple(term.args[0].args[0].name for term in terms),
            tuple(term.args[1].name for term in terms),
        )
        return expr - expr.func(*terms) + vector(f"{name} sum")

    def run(
        self, xs: tuple[Tensor, ...], state: States, p: Values, order: Iterable[int], keep: bool
    ) -> tuple[list[Tensor], States, list[Values]]:
        """Outputs by step, the last state, and, to go back with, the values of each step."""
        length, batch = xs[0].shape[1:3]
        flat = {k: x.flatten(1, 2) for k, x in zip(self.inputs, xs, strict=True)}
        ahead = {
            name: compiled(expr)({**p, **flat}).unflatten(1, (length, batch)).unbind(1)
            for name, expr in self.ahead.items()
        }
        stacked = [torch.cat([p[m].W for m in s.matrices], 1).mT for s in self.together]
        constant = dict(p)
        outputs: list[Any] = [None] * length
        kept: list[Any] = [None] * length
        for t in order:
            values = dict(constant)
            values.update(zip(self.states, state, strict=True))
            for name, series in ahead.items():
                values[name] = series[t]
            for s, W in zip(self.together, stacked, strict=True):
                product = torch.bmm(values[s.vectors[0]], W)
                values.update(zip(s.names, product.chunk(len(s.names), -1), strict=True))
            for name, value in self.step:
                values[name] = value(values)
            state = tuple(values[name] for name in self.outputs)
            outputs[t] = state[0]
            if keep:
                kept[t] = values
        return outputs, state, kept

    def go_back(
        self, kept: list[Values], p: Values, order: Iterable[int], d_outputs: Tensor, d_last: States
    ) -> States:
        """The gradient with respect to the first state; that of each line stays in kept."""
        stacked = {
            name: torch.cat([p[m].W for m in s.matrices], 1) for name, s in self.sums.items()
        }
        arriving, d_state = d_outputs.unbind(0), d_last
        for t in order:
            values = kept[t]
            values[f"d{self.states[0]}'"] = d_state[0] + arriving[t]
            for name, d in zip(self.states[1:], d_state[1:], strict=True):
                values[f"d{name}'"] = d
            for name, value in self.back:
                if name in self.sums:
                    s = self.sums[name]
                    together = torch.cat([values[v] for v in s.vectors], -1)
                    values[s.names[0]] = torch.bmm(together, stacked[name])
                values[name] = value(values)
            d_state = tuple(_like(values[f"d{name}"], d_last[0]) for name in self.states)
        return d_state

    def weigh(self, kept: list[Values], flat: Values, p: Values, names: Iterable[str]) -> Values:
        """The gradients of that name, of all steps at once."""
        rows = dict(flat)

        def stacked(expr: Expr) -> Any:
            for symbol in expr.atoms(VectorSymbol):
                if symbol.name not in rows and symbol.name not in p:
                    steps = torch.stack([values[symbol.name] for values in kept], 1)
                    rows[symbol.name] = steps.flatten(1, 2)
            return compiled(expr)({**p, **rows})

        found: Values = {}
        for name in names:
            total: Any = 0
            for term in sympy.Add.make_args(self.after[name]):
                times, rest = term.as_coeff_Mul()
                if isinstance(rest, Outer):
                    u, v = map(stacked, rest.args)
                    total = total + float(times) * torch.bmm(u.mT, v)
                elif name[1:] in self.parameters:
                    total = total + stacked(term).sum(1).unsqueeze(-1)
                else:
                    total = total + stacked(term)
            found[name] = total
        return found


def _like(value: Any, like: Tensor) -> Tensor:
    return value if isinstance(value, Tensor) else torch.full_like(like, float(value))


class _Fused(torch.autograd.Function):
    """Outputs (T, E, B, H) and the last state (E, B, H), from inputs (E, T, B, D) and the rest."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, reverse: bool, *given: Tensor) -> tuple[Tensor, ...]:
        xs, state, p = _parted(plan, given)
        length = xs[0].shape[1]
        keep = any(ctx.needs_input_grad)
        outputs, last, kept = plan.run(xs, state, p, _order(length, reverse), keep)
        ctx.plan, ctx.reverse, ctx.kept = plan, reverse, kept
        ctx.save_for_backward(*given)
        return torch.stack(outputs), *(part.clone() for part in last)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, *d_last: Tensor) -> tuple[Any, ...]:
        plan, kept = ctx.plan, ctx.kept
        xs, _, p = _parted(plan, ctx.saved_tensors)
        length, batch = xs[0].shape[1:3]
        order = _order(length, not ctx.reverse)
        d_state = plan.go_back(kept, p, order, d_outputs, d_last)
        flat = {name: x.flatten(1, 2) for name, x in zip(plan.inputs, xs, strict=True)}
        needed = ctx.needs_input_grad[2 : 2 + len(xs)]
        wanted = [f"d{name}" for name, wants in zip(plan.inputs, needed, strict=True) if wants]
        found = plan.weigh(kept, flat, p, [*wanted, *(f"d{name}" for name in plan.parameters)])
        d_xs = [found.get(f"d{name}") for name in plan.inputs]
        # An input that the cell does not read has the gradient 0, which torch calls None.
        d_xs = [d.unflatten(1, (length, batch)) if hasattr(d, "ndim") else None for d in d_xs]
        return None, None, *d_xs, *d_state, *(found[f"d{name}"] for name in plan.parameters)


def _parted(plan: _Plan, given: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], States, Values]:
    inputs, states = len(plan.inputs), len(plan.states)
    p: Values = {}
    for name, value in zip(plan.parameters, given[inputs + states :], strict=True):
        p[name] = _Rows(value) if name[0].isupper() else value.mT
    return given[:inputs], given[inputs : inputs + states], p


def _order(length: int, reverse: bool) -> Iterable[int]:
    return reversed(range(length)) if reverse else range(length)


@lru_cache(maxsize=64)
def _plan(cell: Cell) -> _Plan:
    return _Plan(backward(cell))


def fused(
    step: Cell,
    xs: tuple[Tensor, ...],
    state: States,
    p: Any,
    reverse: bool = False,
    mask: Tensor | None = None,
) -> tuple[Tensor, States]:
    """What :func:`companion.nn.loop` computes, faster: outputs (T, …, H, B), last state.

    The arguments are the same, but step must be the cell itself, not a compiled one, with p's
    matrices in capital letters. With a mask, the plain loop runs. A second derivative is refused.
    Raises what :func:`companion.symbolic.backward` raises.

    >>> from companion import gru
    >>> from companion.nn import Recurrent
    >>> layer = Recurrent(gru, 3, 4, dtype=torch.float64)
    >>> xs = torch.ones(7, 5, 3, dtype=torch.float64)
    >>> before, _ = layer(xs)
    >>> layer.loop = fused
    >>> bool((layer(xs)[0] - before).abs().max() < 1e-14)
    True
    """
    if mask is not None:
        return loop(step, xs, state, p, reverse, mask)
    plan = _plan(step)
    models = len(state[0]) if (stacked := state[0].ndim == 3) else 1

    def rows(x: Tensor) -> Tensor:  # (T, …, D, B) to (E, T, B, D)
        return x.mT.movedim(0, -3).expand(models, -1, -1, -1)

    given = [
        *map(rows, xs),
        *(part.mT.expand(models, -1, -1) for part in state),
        *(getattr(p, name).expand(models, -1, -1) for name in plan.parameters),
    ]
    outputs, *last = _Fused.apply(plan, reverse, *given)  # type: ignore[no-untyped-call]
    columns = [part.mT if stacked else part.mT.squeeze(-3) for part in (outputs, *last)]
    return columns[0], tuple(columns[1:])
