"""What a theorem is here: a statement that can be proved, measured and refuted, all from one text.

A statement is one function that lists *claims*, equalities or inequalities between the results of
cells. Run on vectors of unspecified size it is proved, for all sizes and all values; run on random
arrays it is measured; run on integer weights in interval arithmetic, with one assumption replaced
by what happens without it, it is refuted. So what is proved is what is refuted.

This is not a proof assistant: the induction over time, and the words around the claims, are the
reader's to check. What is checked by machine is each claim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import mpmath
import numpy as np
import sympy

from companion.parameters import parameter_set
from companion.symbolic import diag, equal, latex, matrix, normal, program, vector
from companion.symbolic.evaluate import compiled
from companion.trace import Cell, trace

Expr = Any


@dataclass(frozen=True)
class Claim:
    """left = right; or left ≤ right, if parts is given.

    parts: for an inequality, products that sum to right − left, each factor of which is not
    negative: that makes it an identity, which can be proved. because: what is not negative besides
    σ, 1 − σ, 1 ± tanh and squares, by assumption.
    """

    label: str
    left: Any
    right: Any
    parts: Sequence[Sequence[Any]] | None = None
    because: Sequence[Any] = ()


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
        """The matrix diag(v)."""
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


@dataclass(frozen=True)
class Proof:
    """What became of a statement; true if it is proved, for all sizes and all values.

    status: "proved", "measured" (it holds on numbers, to within the residual) or "open" (a claim
    was not proved, which does not refute it). residual: 0; the largest deviation measured; or what
    is left of the first claim that is open. claims: their labels. latex: the claims as printed.
    """

    status: str
    residual: Any
    claims: tuple[str, ...]
    latex: str

    def __bool__(self) -> bool:
        return self.status == "proved"


@dataclass(frozen=True)
class Counterexample:
    """Integer weights for which a claim fails once an assumption is dropped.

    residual: an interval that holds the exact left − right of the claim; the counterexample is
    true if 0 is not in it, for an inequality if it is above 0.
    """

    assumption: str
    claim: str
    values: Mapping[str, Any]
    residual: Any
    inequality: bool = False

    def __bool__(self) -> bool:
        return bool(self.residual.a > 0 or (not self.inequality and self.residual.b < 0))

    def __str__(self) -> str:
        weights = ", ".join(f"{name} = {value}" for name, value in self.values.items())
        low, high = (mpmath.nstr(mpmath.mpf(end), 6) for end in (self.residual.a, self.residual.b))
        return f"without {self.assumption}: {self.claim} is off by [{low}, {high}] for {weights}"


Statement = Callable[..., list[Claim]]


@dataclass(frozen=True)
class Theorem:
    """A statement with its assumptions, and what is needed to prove, measure and refute it.

    name; statement: in words; assumptions: what is assumed, by a short name. claims: the function
    that lists them, given a :class:`Given`, and cells by keyword. examples: for each assumption the
    integers for which the statement fails without it, and the sizes (D, H) where they are not 1.
    rewrite: an identity of numbers that the proof needs besides those of the ring, such as
    tanh a = 2σ(2a) − 1, itself proved by `lemma`. kind: "identity"; "intervals", of numbers, proved
    by enclosing them; or "numbers", measured only. by_hand: what the reader has to check.
    """

    name: str
    statement: str
    assumptions: Mapping[str, str]
    claims: Statement
    examples: Mapping[str, Mapping[str, Any]]
    sizes: tuple[int, int] = (1, 1)
    rewrite: Callable[[Expr], Expr] | None = None
    lemma: Callable[[], bool] | None = None
    kind: str = "identity"
    by_hand: str = ""

    def prove(self, **cells: Cell) -> Proof:
        """Prove it, or say that it is open. cells: others in the place of the statement's own."""
        if self.kind == "numbers":
            return Proof("measured", self.check(), self._labels(), "")
        if self.kind == "intervals":
            return self._enclosed()
        claims = self.claims(Symbols(), **cells)
        lines = " \\\\\n".join(_printed(claim) for claim in claims)
        text = f"\\begin{{aligned}}\n{lines}\n\\end{{aligned}}"
        labels = tuple(claim.label for claim in claims)
        if self.lemma is not None and not self.lemma():
            return Proof("open", "the lemma", labels, text)
        for claim in claims:
            left = self._residual(claim)
            if left != 0:
                return Proof("open", left, labels, text)
        return Proof("proved", sympy.S.Zero, labels, text)

    def check(self, seed: int = 0, **cells: Cell) -> float:
        """The largest deviation of any claim, on random float64 arrays."""
        claims = self.claims(Arrays(rng=np.random.default_rng(seed)), **cells)
        return max(_deviation(claim) for claim in claims)

    def refute(self, assumption: str) -> Counterexample:
        """The counterexample that there is once the assumption is dropped.

        Raises KeyError for a name that is not an assumption.
        """
        if assumption not in self.assumptions:
            known = ", ".join(self.assumptions)
            raise KeyError(f"{assumption!r} is not assumed by {self.name!r}; expected {known}")
        values = self.examples[assumption]
        found = self.on_integers(values, assumption)
        return max(found, key=lambda example: bool(example))

    def on_integers(self, values: Mapping[str, Any], *dropped: str) -> list[Counterexample]:
        """Every claim on integers in interval arithmetic, with or without the assumptions."""
        claims = self.claims(Arrays(*dropped, integers=values, sizes=self.sizes))
        found = []
        for claim in claims:
            residual = np.ravel(np.asarray(claim.left - claim.right, dtype=object))
            clear = max(residual, key=lambda r: max(r.a, r.a if claim.parts else -r.b))
            shown = (", ".join(dropped), claim.label, dict(values), clear)
            found.append(Counterexample(*shown, claim.parts is not None))
        return found

    def _labels(self) -> tuple[str, ...]:
        claims = self.claims(Arrays(rng=np.random.default_rng(0)))
        return tuple(claim.label for claim in claims)

    def _enclosed(self) -> Proof:
        claims = self.claims(Arrays(integers={}, sizes=self.sizes))
        labels = tuple(claim.label for claim in claims)
        for claim in claims:
            if not bool((claim.right - claim.left).a > 0):
                return Proof("open", claim.right - claim.left, labels, "")
        return Proof("proved", sympy.S.Zero, labels, "")

    def _residual(self, claim: Claim) -> Any:
        rewrite = self.rewrite or (lambda expr: expr)
        if hasattr(claim.left, "__matmul__"):
            return 0 if equal(claim.left, claim.right) else claim.left - claim.right
        difference = sympy.sympify(claim.right) - sympy.sympify(claim.left)
        if claim.parts is not None:
            for factor in (factor for part in claim.parts for factor in part):
                if not _is_not_negative(factor, claim.because):
                    return factor
            difference -= sum(sympy.Mul(*part) for part in claim.parts)
        return normal(rewrite(difference))


def _is_not_negative(factor: Any, because: Sequence[Any]) -> bool:
    """Whether a factor is in the range of what the theorems know: nothing is guessed."""
    factor = sympy.sympify(factor)
    if factor.is_number:
        return bool(factor >= 0)
    if factor.is_Pow and factor.args[1].is_even:
        return True
    if any(equal(factor, known) for known in because):
        return True
    return any(
        equal(factor, known)
        for f in factor.atoms(sympy.Function)
        for known in ((1 + f, 1 - f) if isinstance(f, sympy.tanh) else (f, 1 - f))
    )


def _deviation(claim: Claim) -> float:
    difference = np.asarray(claim.left, float) - np.asarray(claim.right, float)
    return float(difference.max() if claim.parts is not None else np.abs(difference).max())


def _printed(claim: Claim) -> str:
    sign = r"\le" if claim.parts is not None else "="
    sides = [latex(s if hasattr(s, "__matmul__") else sympy.sympify(s)) for s in
             (claim.left, claim.right)]  # fmt: skip
    return f"{sides[0]} &{sign} {sides[1]}"


def line(cell: Cell, name: str, **values: Any) -> Any:
    """One line of a cell, such as its c' = f⊙c + i⊙g, on values given by name.

    A primed name is the new state's. Raises KeyError for a name that the cell does not have.

    >>> from companion import lstm
    >>> line(lstm, "c'", f=0.5, c=4.0, i=1.0, g=0.25)
    2.25
    """
    expressions = {line.name: line.expr for line in program(cell).lines}
    return compiled(expressions[name])(values)


def largest(values: Any) -> Any:
    """The maximum, of numbers or of intervals.

    >>> largest([1.0, 3.0])
    3.0
    """
    values = list(values)
    if isinstance(values[0], mpmath.iv.mpf):
        return mpmath.iv.mpf([max(v.a for v in values), max(v.b for v in values)])
    return max(values)


def set_of(**values: Any) -> SimpleNamespace:
    """Parameters made of others, p.W of any of them.

    >>> set_of(W=1).W
    1
    """
    return SimpleNamespace(**values)


def gate(p: Any, letter: str, x: Any, h: Any) -> Any:
    """The argument of a gate, W x + U h + b with the gate's letter.

    >>> from companion import gru
    >>> from companion.symbolic import parameters
    >>> gate(parameters(gru), "z", vector("x"), vector("h"))
    bz + Uz @ h + Wz @ x
    """
    W, U, b = (getattr(p, kind + letter) for kind in "WUb")
    return W @ x + U @ h + b
