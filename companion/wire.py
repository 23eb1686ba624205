"""A number that only remembers where it comes from: what a cell is traced with.

A wire knows the operation that made it, the wires that went into that, and its size as a letter.
Adding an input to a state, ``U * h``, ``h @ U``, a division: all are refused here, in words of the
cell, so a cell that traces has the right shapes for all sizes at once.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, NoReturn

from companion import ops

Shape = tuple[str, ...]  # of the letters "D", the input size, and "H", the hidden size


class Size:
    """A number of components, unknown until it meets one that is known."""

    def __init__(self, letter: str | None = None) -> None:
        self._letter = letter
        self._same: Size | None = None

    def found(self) -> Size:
        return self._same.found() if self._same else self

    @property
    def letter(self) -> str | None:
        return self.found()._letter

    def equals(self, other: Size) -> bool:
        """Make the two sizes one; False when they are known to differ."""
        a, b = self.found(), other.found()
        if a._letter and b._letter:
            return a._letter == b._letter
        if a is not b:
            a, b = (b, a) if a._letter else (a, b)
            a._same = b
        return True


@dataclass(eq=False)
class Wire:
    """One value in the run of a cell: an operation and the wires that go into it.

    kind: input, state, parameter, number, or the operation that made it: matvec, add, sub, mul,
    neg, sigmoid, tanh, softplus, relu. name: the local name that the cell gives it, "" if none.
    order: its place among all wires, in the order in which the cell made them.
    """

    kind: str
    arguments: tuple[Wire, ...] = ()
    name: str = ""
    value: float | None = None
    sizes: tuple[Size, ...] = field(default=(), repr=False)
    order: int = field(default_factory=itertools.count().__next__, repr=False)

    # NumPy must not take a wire for a scalar and loop over it.
    __array_ufunc__ = None

    @property
    def shape(self) -> Shape:
        """Its shape in letters: () for a number, (H,) for a vector, (H, D) for a matrix."""
        return tuple(size.letter or "?" for size in self.sizes)

    def __str__(self) -> str:
        return text_of(self)

    def _vector(self, role: str) -> Size:
        if len(self.sizes) != 1:
            refuse(f"{self} is a matrix; {role} needs a vector (a matrix acts through @)")
        return self.sizes[0]

    def _componentwise(self, kind: str, other: Any, swapped: bool = False) -> Wire:
        other = _wire(other, kind)
        a, b = (other, self) if swapped else (self, other)
        size: tuple[Size, ...] = ()
        for wire in (a, b):
            if wire.kind == "number":
                continue
            new = wire._vector(f"'{_SIGNS[kind].strip()}'")
            if size and not size[0].equals(new):
                refuse(
                    f"{a} {_SIGNS[kind].strip()} {b}: shapes {show(a.shape)} and {show(b.shape)}"
                    " differ; expected two vectors of one size"
                )
            size = (new,)
        return Wire(kind, (a, b), sizes=size)

    def _function(self, kind: str) -> Wire:
        return Wire(kind, (self,), sizes=(self._vector(kind),))

    def __add__(self, other: Any) -> Wire:
        return self._componentwise("add", other)

    def __radd__(self, other: Any) -> Wire:
        return self._componentwise("add", other, swapped=True)

    def __sub__(self, other: Any) -> Wire:
        return self._componentwise("sub", other)

    def __rsub__(self, other: Any) -> Wire:
        return self._componentwise("sub", other, swapped=True)

    def __mul__(self, other: Any) -> Wire:
        return self._componentwise("mul", other)

    def __rmul__(self, other: Any) -> Wire:
        return self._componentwise("mul", other, swapped=True)

    def __neg__(self) -> Wire:
        return self._function("neg")

    def __matmul__(self, other: Any) -> Wire:
        if not isinstance(other, Wire) or other.kind == "number":
            refuse(f"{self} @ {other}: expected a vector on the right")
        if len(self.sizes) != 2:
            refuse(f"{self} @ {other}: {self} is a vector; expected a matrix on the left of '@'")
        columns = other._vector("the right of '@'")
        if not self.sizes[1].equals(columns):
            refuse(
                f"{self} @ {other}: {self} has shape {show(self.shape)} "
                f"and {other} has shape {show(other.shape)}"
            )
        return Wire("matvec", (self, other), sizes=(self.sizes[0],))

    def __getattr__(self, name: str) -> NoReturn:
        # Dunder look-ups (by copy, by NumPy) must fail the ordinary way.
        if name.startswith("__"):
            raise AttributeError(name)
        refuse(f"{self} has no .{name}: {ALLOWED}")

    def _unknown(self, *_: Any) -> NoReturn:
        refuse(f"an operation on {self} that is not known: {ALLOWED}")

    def __truediv__(self, other: Any) -> NoReturn:
        refuse(f"{self} / {other}: {ALLOWED}")

    __rtruediv__ = __pow__ = __rpow__ = __getitem__ = __bool__ = _unknown
    __rmatmul__ = __abs__ = __lt__ = __le__ = __gt__ = __ge__ = __iter__ = _unknown


_FUNCTIONS = ("sigmoid", "tanh", "softplus", "relu")
ALLOWED = f"a cell may use +, -, *, @ and the functions of companion.ops ({', '.join(_FUNCTIONS)})"
_SIGNS = {"add": " + ", "sub": " - ", "mul": " * ", "matvec": " @ "}
_STRENGTH = {"add": 1, "sub": 1, "mul": 2, "matvec": 2, "neg": 3}

ops.sigmoid.register(Wire, lambda a: a._function("sigmoid"))
ops.tanh.register(Wire, lambda a: a._function("tanh"))
ops.softplus.register(Wire, lambda a: a._function("softplus"))
ops.relu.register(Wire, lambda a: a._function("relu"))


def _wire(value: Any, kind: str) -> Wire:
    if isinstance(value, Wire):
        return value
    if isinstance(value, int | float):
        return Wire("number", value=value, sizes=())
    refuse(f"'{_SIGNS[kind].strip()}' with a {type(value).__name__}; {ALLOWED}")


def refuse(message: str) -> NoReturn:
    """Raise the error of a cell that is not well formed."""
    raise TypeError(message)


def show(shape: Shape) -> str:
    """The shape as Python writes it, in letters: (H,) or (H, D)."""
    return f"({shape[0]},)" if len(shape) == 1 else f"({', '.join(shape)})"


def text_of(wire: Wire, whole: bool = False, strength: int = 0) -> str:
    """The wire as Python; with whole, its own formula even if it has a name."""
    if wire.kind == "number":
        return f"{wire.value:g}"
    if not wire.arguments or (wire.name and not whole):
        return wire.name
    if wire.kind in _FUNCTIONS:
        return f"{wire.kind}({text_of(wire.arguments[0])})"
    own = _STRENGTH[wire.kind]
    if wire.kind == "neg":
        text = "-" + text_of(wire.arguments[0], strength=own)
    else:
        left, right = wire.arguments
        # a + b reads the same however it is bracketed; a - (b + c) and A @ (r * h) do not.
        text = (
            text_of(left, strength=own)
            + _SIGNS[wire.kind]
            + text_of(right, strength=own if wire.kind in ("add",) else own + 1)
        )
    return f"({text})" if own < strength else text
