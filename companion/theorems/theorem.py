"""What a theorem is here: a statement that can be proved, measured and refuted, all from one text.

A statement is one function that lists *claims*, equalities or inequalities between the results of
cells. Run on vectors of unspecified size it is proved, for all sizes and all values; run on random
arrays it is measured; run on integer weights in interval arithmetic, with one assumption replaced
by what happens without it, it is refuted. So what is proved is what is refuted.

This is not a proof assistant: the induction over time, and the words around the claims, are the
reader's to check (`Theorem.by_hand`). What is checked by machine is each claim.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import sympy

from companion.ops import sigma, softplus
from companion.symbolic import equal, latex, normal
from companion.theorems.given import Arrays, Claim, Symbols
from companion.trace import Cell

Expr = Any


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

    def _repr_latex_(self) -> str:
        return f"$${self.latex}$$"


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
        glue = "\N{NO-BREAK SPACE}"  # no line ends within a weight
        pairs = (f"{name} = {value}" for name, value in self.values.items())
        weights = ", ".join(pair.replace(" ", glue) for pair in pairs)
        low, high = (mpmath.nstr(mpmath.mpf(end), 6) for end in (self.residual.a, self.residual.b))
        text = f"without {self.assumption}: {self.claim} is off by [{low}, {high}] for {weights}"
        lines = textwrap.TextWrapper(
            76, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
        return lines.fill(text).replace(glue, " ")


Statement = Callable[..., list[Claim]]


@dataclass(frozen=True)
class Theorem:
    """A statement with its assumptions, and what is needed to prove, measure and refute it.

    name; statement: in words; assumptions: what is assumed, by a short name. claims: the function
    that lists them, given a ``Given``, and cells by keyword. examples: for each assumption the
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

    def prove(self, *without: str, **cells: Cell) -> Proof:
        """Prove it, or say that it is open.

        without: assumptions to leave out, with which it should not succeed. cells: others in the
        place of those that the statement is about, by their names.
        """
        if self.kind == "numbers":
            off = self.check()
            return Proof("measured" if np.isfinite(off) else "open", off, *self._words())
        if self.kind == "intervals":
            return self._enclosed()
        claims = self.claims(Symbols(*without), **cells)
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
        """The largest deviation of any claim, on random float64 arrays; below 0, there is room.

        If any is NaN it is NaN, which is below no bound.
        """
        if self.kind == "intervals":
            enclosed = self.claims(Arrays())
            ends = [float(mpmath.mpf((claim.left - claim.right).b)) for claim in enclosed]
            return float(np.max(ends))
        claims = self.claims(Arrays(rng=np.random.default_rng(seed)), **cells)
        return float(np.max([_deviation(claim) for claim in claims]))

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

    def _words(self) -> tuple[tuple[str, ...], str]:
        """The labels of claims about numbers, and how they are printed."""
        labels = tuple(claim.label for claim in self.claims(Arrays()))
        lines = " \\\\\n".join(f"& \\text{{{label}}}" for label in labels)
        return labels, f"\\begin{{aligned}}\n{lines}\n\\end{{aligned}}"

    def _enclosed(self) -> Proof:
        for claim in self.claims(Arrays()):
            room = claim.right - claim.left
            if not bool(room.a > 0):
                return Proof("open", room, *self._words())
        return Proof("proved", sympy.S.Zero, *self._words())

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
    if factor.is_Pow and factor.args[1].is_Integer and factor.args[1].is_even:
        return True
    if any(equal(factor, known) for known in because):
        return True
    return any(equal(factor, k) for f in factor.atoms(sympy.Function) for k in _not_negative(f))


def _not_negative(f: Any) -> tuple[Any, ...]:
    """What is not negative because of the range of the function of which f is a value."""
    if isinstance(f, sigma):
        return f, 1 - f
    if isinstance(f, sympy.tanh):
        return 1 + f, 1 - f
    positive: tuple[Any, ...] = (softplus.dispatch(sympy.Expr), sympy.exp)
    return (f,) if isinstance(f, positive) else ()


def _deviation(claim: Claim) -> float:
    difference = np.asarray(claim.left, float) - np.asarray(claim.right, float)
    return float(difference.max() if claim.parts is not None else np.abs(difference).max())


def _printed(claim: Claim) -> str:
    if claim.latex:
        return claim.latex
    sign = r"\le" if claim.parts is not None else "="
    sides = [latex(s if hasattr(s, "__matmul__") else sympy.sympify(s)) for s in
             (claim.left, claim.right)]  # fmt: skip
    return f"{sides[0]} &{sign} {sides[1]}"
