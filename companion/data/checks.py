"""What the tasks are given, checked: whole numbers, lists of them, and a seeded generator."""

from __future__ import annotations

from collections.abc import Iterable
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray


def whole(name: str, value: Any, least: int) -> int:
    """The value as an int, or an error if it is none or too small.

    >>> whole("batch_size", 0, 1)
    Traceback (most recent call last):
    ...
    ValueError: batch_size is 0; expected a whole number, at least 1
    """
    expected = f"expected a whole number, at least {least}"
    given: Any = None if isinstance(value, bool | np.bool_) else value
    try:
        number = index(given)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; {expected}") from None
    if number < least:
        raise ValueError(f"{name} is {number}; {expected}")
    return number


def wholes(name: str, values: Iterable[Any], least: int) -> NDArray[np.int64]:
    """The values as an array (N,), or an error if there is none or one of them is not right.

    >>> wholes("ns", range(1, 4), 1)
    array([1, 2, 3])
    """
    single = isinstance(values, str) or not isinstance(values, Iterable)
    if single or getattr(values, "ndim", 1) == 0:  # an array of no dimension has __iter__ too
        raise TypeError(
            f"{name} is {values!r}; expected several whole numbers, such as range(1, 100)"
        )
    numbers = [whole(f"{name}[{k}]", value, least) for k, value in enumerate(values)]
    if not numbers:
        raise ValueError(f"{name} is empty; expected at least one whole number")
    return np.array(numbers, dtype=np.int64)


def generator(rng: Any) -> np.random.Generator:
    """The generator itself; anything else would leave the draw to chance, or to a global state.

    >>> generator(0)
    Traceback (most recent call last):
    ...
    TypeError: rng is 0; expected a numpy.random.Generator, such as numpy.random.default_rng(0)
    """
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"rng is {rng!r}; expected a numpy.random.Generator, such as "
            "numpy.random.default_rng(0)"
        )
    return rng
