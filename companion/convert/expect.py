"""What a layout is given, checked: an error names the key, what it was and what was expected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import numpy as np

from companion.parameters import Array
from companion.trace import Cell, name_of, trace


def refuse_cell(library: str, cell: Cell, expected: Iterable[Cell], why: str = "") -> NoReturn:
    """Raise the error for a cell that a library's layout cannot express."""
    raise ValueError(
        f"cell is {name_of(cell) if callable(cell) else repr(cell)}; expected one that {library} "
        f"has: {', '.join(map(name_of, expected))}{why}"
    )


def expect_keys(
    weights: Any, required: tuple[str, ...], optional: tuple[str, ...] = (), why: str = ""
) -> None:
    """Raise unless weights is a dict with all the required keys, and no others but the optional.

    >>> expect_keys({"kernel": 0}, ("W", "R"), ("B",))
    Traceback (most recent call last):
    ...
    ValueError: weights has keys kernel; expected W, R, optionally B
    """
    expected = ", ".join(required) + (f", optionally {', '.join(optional)}" if optional else "")
    if not isinstance(weights, Mapping):
        raise TypeError(f"weights is a {type(weights).__name__}; expected a dict of {expected}")
    if not {*required} <= {*weights} <= {*required, *optional}:
        keys = ", ".join(map(str, weights)) or "none"
        raise ValueError(f"weights has keys {keys}; expected {expected}{why}")


def expect_shape(
    name: str, array: Array, shape: tuple[int, ...], letters: str, why: str = ""
) -> None:
    """Raise ValueError unless an array has the shape that its place in a layout asks for."""
    if tuple(array.shape) != shape:
        was = tuple(array.shape)
        raise ValueError(f"{name} has shape {was}; expected {shape} = {letters}{why}")


def own_arrays(weights: Mapping[str, Any]) -> dict[str, Array]:
    """Copies as NumPy arrays, if they are all of one real floating dtype and not single numbers."""
    arrays = {}
    for name, value in weights.items():
        try:
            arrays[name] = np.asarray(value).copy()
        except (TypeError, ValueError, RuntimeError) as error:
            # A torch tensor that requires its gradient, or of a dtype that NumPy has not.
            kind = type(value).__name__
            raise TypeError(
                f"{name} is a {kind} that NumPy cannot read ({error}); expected an array"
            ) from error
    first, *_ = arrays
    for name, array in arrays.items():
        if array.dtype.kind != "f" or array.dtype != arrays[first].dtype:
            raise TypeError(
                f"{name} has dtype {array.dtype} and {first} {arrays[first].dtype}; "
                "expected one real floating-point dtype"
            )
        if not array.shape:
            raise ValueError(f"{name} is a single number; expected an array")
    return arrays


def own_parameters(cell: Cell, argument: str, p: Any) -> dict[str, Array]:
    """Copies of a cell's parameters by name, if they are all there and fit together.

    argument: what messages call p, such as ps[1].
    """
    wires = trace(cell).parameters
    missing = [name for name in wires if not hasattr(p, name)]
    if missing:
        raise ValueError(
            f"{argument}, a {type(p).__name__}, has no {', '.join(missing)}; {name_of(cell)} needs "
            f"{', '.join(wires)} as attributes (companion.init makes them)"
        )
    values = own_arrays({f"{argument}.{name}": getattr(p, name) for name in wires})
    sizes = dict(zip("HD", next(iter(values.values())).shape, strict=False))  # a W comes first
    for (name, array), wire in zip(values.items(), wires.values(), strict=True):
        shape = tuple(sizes.get(letter, 0) for letter in wire.shape)
        comma = "," if len(shape) == 1 else ""
        expect_shape(name, array, shape, f"({', '.join(wire.shape)}{comma})")
    return dict(zip(wires, values.values(), strict=True))
