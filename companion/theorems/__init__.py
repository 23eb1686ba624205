"""The theorems of the book: each proved, measured, and refuted without each of its assumptions.

>>> from companion.theorems import THEOREMS
>>> main = THEOREMS[0]
>>> print(main.prove().status, "under", ", ".join(main.assumptions))
proved under A1, A2, A3, A4, A5, A6
>>> print(main.refute("A2").claim)
h_1 = r_2⊙hG_1
"""

from companion.theorems.floats import FLOATS
from companion.theorems.gates import (
    CONSTANT,
    COUPLED,
    EULER,
    LIMIT,
    MGU,
    MIN_GRU,
    SECOND_BIAS,
    SIGN,
    SMALL,
)
from companion.theorems.given import Arrays, Claim, Given, Symbols
from companion.theorems.main import DELAYED, LADDER, MAIN
from companion.theorems.reset import FIXED, RESET, STABILITY
from companion.theorems.size import BOUND, CONTRACTION, CONVEX, COUNT
from companion.theorems.symmetry import LOGISTIC, ORDER, SIGNS
from companion.theorems.theorem import Counterexample, Proof, Theorem
from companion.theorems.time import CHAIN, DIAGONAL, EXPLODES, HOLD, SCAN, SMOOTHING

THEOREMS: tuple[Theorem, ...] = (
    MAIN,
    DELAYED,
    FIXED,
    STABILITY,
    LADDER,
    SIGN,
    COUPLED,
    MGU,
    EULER,
    RESET,
    CONSTANT,
    LIMIT,
    SMALL,
    LOGISTIC,
    SMOOTHING,
    BOUND,
    CONTRACTION,
    CHAIN,
    EXPLODES,
    SECOND_BIAS,
    SIGNS,
    ORDER,
    MIN_GRU,
    DIAGONAL,
    CONVEX,
    SCAN,
    HOLD,
    COUNT,
    FLOATS,
)

__all__ = [
    "BOUND",
    "CHAIN",
    "CONSTANT",
    "CONTRACTION",
    "CONVEX",
    "COUNT",
    "COUPLED",
    "DELAYED",
    "DIAGONAL",
    "EULER",
    "EXPLODES",
    "FIXED",
    "FLOATS",
    "HOLD",
    "LADDER",
    "LIMIT",
    "LOGISTIC",
    "MAIN",
    "MGU",
    "MIN_GRU",
    "ORDER",
    "RESET",
    "SCAN",
    "SECOND_BIAS",
    "SIGN",
    "SIGNS",
    "SMALL",
    "SMOOTHING",
    "STABILITY",
    "THEOREMS",
    "Arrays",
    "Claim",
    "Counterexample",
    "Given",
    "Proof",
    "Symbols",
    "Theorem",
]
