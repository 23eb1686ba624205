"""A cell's parameters: their names and shapes from the trace, their first values, their number.

Nothing is listed twice: what a cell reads from p, and how, is what it has.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import sympy

from companion.trace import Cell, name_of, trace

Array = Any  # a NumPy array, or a torch or JAX one once the parameters were mapped


def count(cell: Cell) -> sympy.Expr:
    """The number of a cell's parameters, as a polynomial in D and H.

    >>> from companion import gru, gru_reset_after, lstm, rnn
    >>> for cell in (rnn, gru, lstm, gru_reset_after):
    ...     print(count(cell))
    H*(D + H + 1)
    3*H*(D + H + 1)
    4*H*(D + H + 1)
    H*(3*D + 3*H + 4)
    >>> count(gru).subs({"D": 3, "H": 4})
    96
    """
    shapes = (wire.shape for wire in trace(cell).parameters.values())
    return sympy.factor(sum(sympy.Mul(*map(sympy.Symbol, shape)) for shape in shapes))


def init(
    cell: Cell,
    input_size: int,
    hidden_size: int,
    rng: np.random.Generator,
    *,
    W: str = "uniform",
    U: str = "uniform",
    b: str = "uniform",
    forget_bias: float | None = None,
    dtype: Any = np.float64,
) -> Any:
    """First values for a cell's parameters, drawn from rng in the order of their first use.

    W, U, b name the initialiser of the matrices that act on the input size, such as (H, D), of
    those that act on the hidden size, such as (H, H), and of the vectors: "uniform" (within ±1/√H,
    as in PyTorch), "glorot" (within ±√(6/(rows + columns))), "orthogonal" (square: QᵀQ = 1),
    "zeros".
    forget_bias, if given, is the value of every component of b_f.
    Returns a named tuple of arrays, a tree for torch and for JAX.
    Raises TypeError and ValueError that name the argument.
    Sources: Glorot & Bengio 2010, PMLR 9:249; Saxe et al. 2014, arXiv:1312.6120.

    >>> from companion import gru
    >>> init(gru, 3, 4, np.random.default_rng(0), U="orthogonal")
    gru parameters: Wz (4, 3), Uz (4, 4), bz (4,), Wr (4, 3), Ur (4, 4), br (4,), \
Wn (4, 3), Un (4, 4), bn (4,)
    """
    sizes = {"D": _size("input_size", input_size), "H": _size("hidden_size", hidden_size)}
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"rng is a {type(rng).__name__}; "
            "expected a numpy.random.Generator, such as numpy.random.default_rng(0)"
        )
    if np.dtype(dtype).kind != "f":
        raise TypeError(f"dtype is {np.dtype(dtype)}; expected a real floating type")
    named = {"W": W, "U": U, "b": b}
    for argument, name in named.items():
        if name not in _INITIALISERS:
            raise ValueError(f"{argument} is {name!r}; expected one of {', '.join(_INITIALISERS)}")
    parameters = trace(cell).parameters
    if forget_bias is not None and not isinstance(forget_bias, int | float | np.number):
        raise TypeError(f"forget_bias is {forget_bias!r}; expected a number")
    if forget_bias is not None and "bf" not in parameters:
        raise ValueError(f"forget_bias is {forget_bias}, but {name_of(cell)} has no parameter bf")
    values = {}
    for name, wire in parameters.items():
        shape = tuple(sizes[letter] for letter in wire.shape)
        argument = "b" if len(shape) == 1 else "W" if wire.shape[1] == "D" else "U"
        initialiser = named[argument]
        if initialiser in ("glorot", "orthogonal") and len(shape) == 1:
            raise ValueError(f"{argument} is {initialiser!r}; a vector takes uniform or zeros")
        if initialiser == "orthogonal" and shape[0] != shape[1]:
            raise ValueError(
                f"{argument} is 'orthogonal', but {name} has shape {shape}, not square"
            )
        values[name] = _INITIALISERS[initialiser](shape, hidden_size, rng).astype(dtype)
    if forget_bias is not None:
        values["bf"] = np.full(hidden_size, forget_bias, dtype)
    return parameter_set(name_of(cell), tuple(values))(*values.values())


def _size(argument: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{argument} is {value!r}; expected a positive integer")
    return int(value)


Shape = tuple[int, ...]


def _uniform(shape: Shape, hidden_size: int, rng: np.random.Generator) -> Array:
    return rng.uniform(-(hidden_size**-0.5), hidden_size**-0.5, shape)


def _glorot(shape: Shape, hidden_size: int, rng: np.random.Generator) -> Array:
    bound = (6 / sum(shape)) ** 0.5
    return rng.uniform(-bound, bound, shape)


def _orthogonal(shape: Shape, hidden_size: int, rng: np.random.Generator) -> Array:
    q, r = np.linalg.qr(rng.standard_normal(shape))
    return q * np.sign(
        np.diag(r)
    )  # without the signs, q is not uniform over the orthogonal matrices


def _zeros(shape: Shape, hidden_size: int, rng: np.random.Generator) -> Array:
    return np.zeros(shape)


_INITIALISERS: dict[str, Callable[[Shape, int, np.random.Generator], Array]] = {
    "uniform": _uniform,
    "glorot": _glorot,
    "orthogonal": _orthogonal,
    "zeros": _zeros,
}


_namedtuple: Any = namedtuple  # its checked form knows only names written in the source


@cache
def parameter_set(cell_name: str, names: tuple[str, ...]) -> type[tuple[Array, ...]]:
    """The named tuple type of a cell's parameters; the same names give the same type.

    A type made at run time cannot be found again by pickle under its name, so its instances say
    themselves how they are made anew.

    >>> parameter_set("rnn", ("W", "U", "b"))(np.ones((1, 2)), np.ones((1, 1)), np.ones(1))
    rnn parameters: W (1, 2), U (1, 1), b (1,)
    """
    known = cell_name if cell_name.isidentifier() else "cell"  # a lambda has no name
    made: Any = _namedtuple(f"{known}_parameters", names)

    def shapes(self: Any) -> str:
        parts = (
            f"{name} {tuple(value.shape) if hasattr(value, 'shape') else value!r}"
            for name, value in zip(names, self, strict=True)
        )
        return f"{cell_name} parameters: " + ", ".join(parts)

    made.__repr__ = shapes
    made.__reduce__ = lambda self: (_again, (cell_name, names, tuple(self)))
    kind: type[tuple[Array, ...]] = made
    return kind


def _again(cell_name: str, names: tuple[str, ...], values: tuple[Array, ...]) -> Any:
    return parameter_set(cell_name, names)(*values)
