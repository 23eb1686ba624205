"""What one run of a cell does: its names, parameters, operations, wires and shapes.

The cell is run once on *wires* (:mod:`companion.wire`). Everything that wants to know something
about a cell asks here: `init` for the shapes of its parameters, `count`
for how many they are, `scan` for what to check, the drawings for what to draw. The run type-checks
the cell for all sizes at once: D and H stay letters.

This is not a compiler: a cell may only add, subtract, multiply, apply ``@`` and the functions of
:mod:`companion.ops`. Anything else is an error that says so.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from types import CodeType, FrameType
from typing import Any

from companion.wire import ALLOWED, Size, Wire, refuse, show, text_of

Cell = Callable[..., Any]
_GLUE = "\N{NO-BREAK SPACE}"  # textwrap breaks only at plain spaces


class _Parameters:
    """Stands for p: the first look at a name makes the parameter.

    A capital letter is a matrix, a small one a vector: that is the book's convention, and it is
    what lets ``U * h``, a slip that NumPy computes happily, be refused.
    """

    def __init__(self) -> None:
        self.found: dict[str, Wire] = {}

    def __getattr__(self, name: str) -> Wire:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self.found:
            sizes = (Size(), Size()) if name[0].isupper() else (Size(),)
            self.found[name] = Wire("parameter", name=name, sizes=sizes)
        return self.found[name]


@dataclass(frozen=True)
class Signature:
    """The roles of a cell's arguments."""

    inputs: tuple[str, ...]
    states: tuple[str, ...]
    parameters: str


@dataclass(frozen=True, eq=False)
class Trace:
    """One run of a cell.

    name: the cell's. inputs, states: its wires of that kind, in the order of its arguments.
    parameters: the wires of its parameters by name, in the order of first use.
    outputs: the new states. locals: the wires that have a name inside the cell; a state's letter
    given anew is primed, c'.
    """

    name: str
    inputs: tuple[Wire, ...]
    states: tuple[Wire, ...]
    parameters: dict[str, Wire]
    outputs: tuple[Wire, ...]
    locals: dict[str, Wire]

    def __iter__(self) -> Iterator[Wire]:
        """Every wire that the outputs depend on, in the order in which the cell made them."""
        seen: dict[int, Wire] = {}
        waiting = list(self.outputs)
        while waiting:
            wire = waiting.pop()
            if wire.order not in seen:
                seen[wire.order] = wire
                waiting.extend(wire.arguments)
        return iter([seen[order] for order in sorted(seen)])

    def __str__(self) -> str:
        shapes = [
            f"{name} {show(wire.shape)}".replace(" ", _GLUE)
            for name, wire in [(w.name, w) for w in (*self.inputs, *self.states)]
            + list(self.parameters.items())
        ]
        heading = f"{self.name}: " + ", ".join(shapes)
        lines = textwrap.wrap(heading, 76, subsequent_indent="    ", break_on_hyphens=False)
        lines = [line.replace(_GLUE, " ") for line in lines]
        for wire in self:
            if wire.arguments and wire.name:
                lines.append(f"  {wire.name} = {text_of(wire, whole=True)}")
        for state, wire in zip(self.states, self.outputs, strict=True):
            if wire.name != f"{state.name}'":
                lines.append(f"  {state.name}' = {wire}")
        return "\n".join(lines)


def signature(cell: Cell) -> Signature:
    """Which of a cell's arguments are inputs, states and parameters.

    Those that start with x are inputs, the last one without a default is p, the rest are states.

    >>> from companion import lstm
    >>> signature(lstm)
    Signature(inputs=('x',), states=('h', 'c'), parameters='p')
    """
    if not callable(cell):
        raise TypeError(f"cell is a {type(cell).__name__}; expected a function such as gru")
    given = [
        name
        for name, parameter in inspect.signature(cell).parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    inputs = tuple(name for name in given[:-1] if name.startswith("x"))
    states = tuple(name for name in given[:-1] if not name.startswith("x"))
    if not inputs or not states or tuple(given[:-1]) != inputs + states:
        raise TypeError(
            f"cell {name_of(cell)}({', '.join(given)}): expected inputs (names that start with x), "
            "then states, then the parameters, as in gru(x, h, p)"
        )
    return Signature(inputs, states, given[-1])


def name_of(cell: Cell) -> str:
    """A cell's name for messages, also of a `functools.partial`."""
    return str(getattr(_function(cell), "__name__", type(cell).__name__))


@lru_cache(maxsize=256)
def trace(cell: Cell) -> Trace:
    """Run a cell once on wires and return what it did.

    Raises TypeError or ValueError, in words of the cell, when it is not well formed for all sizes
    D and H: ``U * h``, ``h @ U``, the sum of an input and a state, a division, a state of another
    size.

    >>> from companion import rnn
    >>> print(trace(rnn))
    rnn: x (D,), h (H,), W (H, D), U (H, H), b (H,)
      h' = tanh(W @ x + U @ h + b)
    """
    names = signature(cell)
    d, h = Size("D"), Size("H")
    inputs = tuple(Wire("input", name=name, sizes=(d,)) for name in names.inputs)
    states = tuple(Wire("state", name=name, sizes=(h,)) for name in names.states)
    p = _Parameters()
    try:
        result, found = _run(cell, (*inputs, *states, p))
        outputs = _outputs(result, states, h)
        if not p.found:
            refuse("it has no parameters")
        for name, wire in p.found.items():
            if "?" in wire.shape:
                refuse(f"the size of {name} cannot be told from how it is used")
    except (TypeError, ValueError) as error:
        # Another library was given a wire: torch.tanh for tanh, for instance.
        hint = f": {ALLOWED}" if Wire.__name__ in str(error) else ""
        raise type(error)(f"cell {name_of(cell)}: {error}{hint}") from error
    named: dict[str, Wire] = {}
    made = ((name, wire) for name, wire in found.items() if isinstance(wire, Wire))
    for name, wire in sorted(made, key=lambda item: item[1].order):
        if wire.arguments and not wire.name:
            wire.name = f"{name}'" if name in names.states else name
            named[wire.name] = wire
    return Trace(name_of(cell), inputs, states, p.found, outputs, named)


def _outputs(result: Any, states: tuple[Wire, ...], h: Size) -> tuple[Wire, ...]:
    outputs = result if isinstance(result, tuple) else (result,)
    if len(outputs) != len(states) or isinstance(result, tuple) != (len(states) > 1):
        one = "one array" if len(states) == 1 else f"a tuple of {len(states)} arrays"
        shown = f"a tuple of {len(result)}" if isinstance(result, tuple) else "one value"
        refuse(f"it returns {shown}; expected {one}, its new state")
    for state, output in zip(states, outputs, strict=True):
        if not isinstance(output, Wire):
            refuse(f"the new {state.name} is {output!r}; expected a vector")
        if not output._vector("a state").equals(h):
            refuse(f"the new {state.name} has shape {show(output.shape)}; expected (H,)")
        if not _depends(output):
            refuse(
                f"the new {state.name} is the same at every step; expected an input or state in it"
            )
    return outputs


def _depends(wire: Wire) -> bool:
    """Whether an input or a state is in it: else it would have no batch."""
    return wire.kind in ("input", "state") or any(map(_depends, wire.arguments))


def _function(cell: Cell) -> Cell:
    while isinstance(cell, partial):
        cell = cell.func
    return cell


def _run(cell: Cell, arguments: tuple[Any, ...]) -> tuple[Any, dict[str, Any]]:
    """The result of the cell and its local names at the moment it returns.

    The only frame introspection of the package: Python has no other way to see that the
    equation calls a value z.
    """
    code: CodeType | None = getattr(_function(cell), "__code__", None)
    found: dict[str, Any] = {}

    def watch(frame: FrameType, event: str, _: Any) -> None:
        if event == "return" and frame.f_code is code:
            found.update(frame.f_locals)

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        result = cell(*arguments)
    finally:
        sys.setprofile(before)
    return result, found
