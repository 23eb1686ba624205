"""What a statement claims, and what it is run on: symbols, random numbers, intervals.

A statement asks for its vectors and matrices by name, and whether an assumption holds. The same
text then is an identity of vectors of unspecified size, a measurement, or a counterexample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import sympy

from companion.parameters import parameter_set
from companion.symbolic import diag, matrix, vector
from companion.trace import Cell, trace


@dataclass(frozen=True)
class Claim:
    """left = right; or left ≤ right, if parts is given.

    parts: for an inequality, products that sum to right − left, each factor of which is not
    negative: that makes it an identity, which can be proved. because: what is not negative besides
    σ, 1 − σ, 1 ± tanh and squares, by assumption. latex: how it is printed, if not by both sides.
    """

    label: str
    left: Any
    right: Any
    parts: Sequence[Sequence[Any]] | None = None
    because: Sequence[Any] = ()
    latex: str = ""


class Given:
    """What a statement is run on: vectors and matrices by name, and which assumptions hold."""

    symbolic = False
    one: Any

    def __init__(self, *dropped: str) -> None:
        self.dropped = dropped

    def holds(self, assumption: str) -> bool:
        """Whether an assumption is kept."""
        return assumption not in self.dropped

    def vector(self, name: str) -> Any:
        """A vector: x… is (D,), every other (H,)."""
        raise NotImplementedError

    def matrix(self, name: str) -> Any:
        """A matrix: W… is (H, D), every other (H, H)."""
        raise NotImplementedError

    def diag(self, v: Any) -> Any:
        """The matrix with v on its diagonal."""
        raise NotImplementedError

    def parameters(self, cell: Cell) -> Any:
        """A cell's parameters, by their own names: two cells that share names share weights."""
        names = tuple(trace(cell).parameters)
        made = (self.matrix(n) if n[0].isupper() else self.vector(n) for n in names)
        return parameter_set(trace(cell).name, names)(*made)


class Symbols(Given):
    """Vectors and matrices of unspecified size."""

    symbolic = True
    one = sympy.S.One

    def vector(self, name: str) -> Any:
        return vector(name)

    def matrix(self, name: str) -> Any:
        return matrix(name)

    def diag(self, v: Any) -> Any:
        return diag(v)


class Arrays(Given):
    """NumPy arrays: random float64 ones, or intervals around integers."""

    def __init__(
        self,
        *dropped: str,
        rng: np.random.Generator | None = None,
        integers: Mapping[str, Any] | None = None,
        sizes: tuple[int, int] = (3, 4),
    ) -> None:
        super().__init__(*dropped)
        self.rng, self.integers, self.sizes = rng, dict(integers or {}), sizes
        self.made: dict[str, Any] = {}
        self.one = self._number(np.ones(sizes[1]))

    def vector(self, name: str) -> Any:
        return self._array(name, (self.sizes[0] if name.startswith("x") else self.sizes[1],))

    def matrix(self, name: str) -> Any:
        columns = self.sizes[0] if name.startswith("W") else self.sizes[1]
        return self._array(name, (self.sizes[1], columns))

    def diag(self, v: Any) -> Any:
        return np.diag(v)

    def _array(self, name: str, shape: tuple[int, ...]) -> Any:
        if name not in self.made:
            if self.rng is not None:
                self.made[name] = self.rng.uniform(-1, 1, shape)
            else:  # what a counterexample does not name is 0
                whole = np.broadcast_to(np.asarray(self.integers.get(name, 0)), shape)
                self.made[name] = self._number(whole)
        return self.made[name]

    def _number(self, values: Any) -> Any:
        if self.rng is not None:
            return np.asarray(values, float)
        return np.vectorize(lambda k: mpmath.iv.mpf(int(k)), otypes=[object])(values)
