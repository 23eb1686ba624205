"""What a step or a scan is given, checked against the cell's trace: nothing broadcasts silently.

The equation cannot check anything (it must stay an equation), and NumPy would help too readily: a
(D,) vector with (H, 1) biases gives (H, H), and a batch with B = H is taken for something else
without a word. So every array is compared with the shape that the trace says.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from companion.trace import Cell, Trace, trace


@dataclass(frozen=True)
class Checked:
    """What was given, taken apart: the inputs, the parts of the state, the batch size if any."""

    xs: tuple[Any, ...]
    state: tuple[Any, ...]
    names: tuple[str, ...]
    batch_size: int | None


def check(cell: Cell, argument: str, xs: Any, state: Any, p: Any, *, time: bool) -> Checked:
    """The inputs and states as tuples, or an error that names what is wrong.

    argument: the name of the inputs in messages, x or xs. time: whether they have a time axis.

    >>> from companion import init, rnn
    >>> p = init(rnn, 3, 4, np.random.default_rng(0))
    >>> check(rnn, "x", np.zeros(2), np.zeros(4), p, time=False)
    Traceback (most recent call last):
    ...
    ValueError: x has shape (2,); expected (3,) = (D,) or (B, 3) = (B, D)
    """
    traced = trace(cell)
    values = _parameters(traced, p)
    inputs = _parts(argument, xs, [wire.name for wire in traced.inputs], traced.name)
    states = _parts("state", state, [wire.name for wire in traced.states], traced.name)
    arrays = inputs | states | values
    for name, array in arrays.items():
        _is_array(name, array, time and name in inputs)
    _one_kind(arrays)
    sizes = _sizes(traced, values)
    batch_size = _input_shapes(inputs, sizes.get("D"), time)
    for name, array in states.items():
        expected = (sizes["H"],) if batch_size is None else (batch_size, sizes["H"])
        letters = "(H,)" if batch_size is None else "(B, H)"
        if tuple(array.shape) != expected:
            raise ValueError(
                f"{name} has shape {tuple(array.shape)}; expected {expected} = {letters}"
                f", since {next(iter(inputs))} has shape {tuple(next(iter(inputs.values())).shape)}"
            )
    return Checked(
        tuple(inputs.values()), tuple(states.values()), tuple(traced.parameters), batch_size
    )


def _parameters(traced: Trace, p: Any) -> dict[str, Any]:
    missing = [name for name in traced.parameters if not hasattr(p, name)]
    if missing:
        raise ValueError(
            f"p, a {type(p).__name__}, has no {', '.join(missing)}; {traced.name} needs "
            f"{', '.join(traced.parameters)} as attributes (companion.init makes them)"
        )
    return {f"p.{name}": getattr(p, name) for name in traced.parameters}


def _parts(argument: str, given: Any, names: list[str], cell: str) -> dict[str, Any]:
    """Inputs or states by the name that a message should use."""
    if len(names) == 1:
        if isinstance(given, tuple):
            raise ValueError(
                f"{argument} is a tuple of {len(given)}; expected one array for {cell}"
            )
        return {argument: given}
    if not isinstance(given, tuple) or len(given) != len(names):
        what = f"a tuple of {len(given)}" if isinstance(given, tuple) else f"a {_kind(given)}"
        raise ValueError(
            f"{argument} is {what}; expected a tuple of {len(names)} arrays "
            f"({', '.join(names)}) for {cell}"
        )
    return {
        f"{argument}[{k}] ({name})": part
        for k, (name, part) in enumerate(zip(names, given, strict=True))
    }


def _is_array(name: str, array: Any, series: bool) -> None:
    if not (hasattr(array, "shape") and hasattr(array, "dtype")):
        if series and isinstance(array, list | tuple):
            lengths = {np.shape(item) for item in array} if array else set()
            if len(lengths) > 1:
                raise ValueError(f"{name} is ragged: {_ragged(lengths)}")
        raise TypeError(f"{name} is a {_kind(array)}; expected an array")
    if array.dtype == object and any(np.ndim(item) for item in array.flat):
        raise ValueError(f"{name} is ragged: {_ragged({np.shape(item) for item in array.flat})}")
    kind = getattr(array.dtype, "kind", None)  # torch's dtypes have another way to say it
    if not (kind in ("f", "O") if kind else array.dtype.is_floating_point):
        raise TypeError(
            f"{name} has dtype {array.dtype}; expected real floating-point numbers, such as float64"
        )


def _ragged(shapes: set[tuple[int, ...]]) -> str:
    return (
        f"it holds items of shapes {', '.join(map(str, sorted(shapes)))}; expected one array "
        "(T, D) or (T, B, D); run sequences of different lengths one by one"
    )


def _kind(value: Any) -> str:
    return type(value).__name__


def _one_kind(arrays: dict[str, Any]) -> None:
    """All of one library and one precision: a mixed sum would be cast without a word."""
    first, *others = arrays.items()
    for name, array in others:
        if _library(array) != _library(first[1]) or array.dtype != first[1].dtype:
            raise TypeError(
                f"{name} is {_library(array)} {array.dtype} and {first[0]} is "
                f"{_library(first[1])} {first[1].dtype}; expected one library and one precision"
            )


def _library(array: Any) -> str:
    if isinstance(array, np.ndarray):
        return "numpy"
    name = type(array).__module__.partition(".")[0]
    return "jax" if name == "jaxlib" else name  # an array is of the one, a tracer of the other


def _sizes(traced: Trace, values: dict[str, Any]) -> dict[str, int]:
    """D and H as most of the parameters have them; the ones that disagree are at fault."""
    votes: dict[str, Counter[int]] = {"D": Counter(), "H": Counter()}
    letters = {f"p.{name}": wire.shape for name, wire in traced.parameters.items()}
    for name, array in values.items():
        if len(array.shape) == len(letters[name]):
            for letter, size in zip(letters[name], array.shape, strict=True):
                votes[letter][int(size)] += 1
    sizes = {letter: seen.most_common(1)[0][0] for letter, seen in votes.items() if seen}
    for name, array in values.items():
        expected = tuple(sizes.get(letter, 0) for letter in letters[name])
        if tuple(array.shape) != expected or 0 in expected:
            wanted = f"({', '.join(letters[name])}{',' if len(expected) == 1 else ''})"
            raise ValueError(
                f"{name} has shape {tuple(array.shape)}; expected {expected} = {wanted}, "
                "as the other parameters have it"
            )
    return sizes


def _input_shapes(inputs: dict[str, Any], input_size: int | None, time: bool) -> int | None:
    """The batch size, None without a batch, if the inputs have the shapes that they should.

    input_size: None for a cell that does not look at its input, which may have any size.
    """
    plain, t = 1 + time, "T, " if time else ""
    expected = (
        f"({t}{input_size}{'' if time else ','}) = ({t}D{'' if time else ','}) "
        f"or ({t}B, {input_size}) = ({t}B, D)"
    )
    first = next(iter(inputs.values()))
    if input_size is None and first.shape:
        input_size = int(first.shape[-1])
    for name, array in inputs.items():
        shape = tuple(array.shape)
        if len(shape) not in (plain, plain + 1) or shape[-1] != input_size:
            raise ValueError(f"{name} has shape {shape}; expected {expected}")
        if 0 in shape:
            raise ValueError(
                f"{name} has shape {shape}: it is empty; expected at least one "
                f"{'step' if shape[0] == 0 and time else 'sequence'}"
            )
        if shape != tuple(first.shape):
            raise ValueError(
                f"{name} has shape {shape}; expected {tuple(first.shape)} as the first input has"
            )
    return int(first.shape[-2]) if len(first.shape) == plain + 1 else None
