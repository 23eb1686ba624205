"""What is measured: counting in floating point, where saturated gates are exact."""

from __future__ import annotations

from typing import Any

import numpy as np

from companion.cells import gru, lstm
from companion.ops import sigmoid
from companion.symbolic import program
from companion.theorems.given import Claim, Given
from companion.theorems.pieces import set_of
from companion.theorems.theorem import Theorem
from companion.trace import Cell


def _run(cell: Cell, weights: dict[str, Any], x: Any, *state: Any) -> Any:
    """One step with one unit, all weights 0 but those named, in the precision of the state."""
    kind = state[0].dtype
    values = {}
    for name in program(cell).parameters:
        shape = (1, len(x)) if name[0] == "W" else (1, 1) if name[0] == "U" else (1,)
        values[name] = np.full(shape, weights.get(name, 0), kind)
    return cell(np.asarray(x, kind), *state, set_of(**values))


def _in_the_exponent(n: int, m: int, kind: Any) -> bool:
    """Whether the one-unit GRU is back where it started after a…a (n) b…b (m)."""
    weights = {"Wz": [0, 40], "Wr": [-800, 40], "Un": 2}
    start = np.array([2.0**-28 if kind is np.float64 else 2.0**-13], kind)
    h = start
    for k in range(n + m):
        h = _run(gru, weights, [1, 0] if k < n else [0, 1], h)
    return bool(h[0] == start[0])


def _balanced(most: int, kind: Any) -> Any:
    """Whether the GRU is back after aⁿ bᵐ, (m, n), each from 0 to most: all n as one batch."""
    weights = {"Wz": [0, 40], "Wr": [-800, 40], "Un": 2}
    start = np.array([2.0**-28 if kind is np.float64 else 2.0**-13], kind)
    halved = [start]
    for _ in range(most):
        halved.append(_run(gru, weights, [1, 0], halved[-1]))
    h = np.array(halved).T
    back = [h[0] == start]
    for _ in range(most):
        h = _run(gru, weights, [0, 1], h)
        back.append(h[0] == start)
    return np.array(back)


def _floats(_: Given) -> list[Claim]:
    saturated = {"bf": 40, "bi": 40, "bg": 40}
    top, zero = np.array([2.0**53]), np.zeros(1)
    claims = [
        Claim("σ(37) = 1 in float64", sigmoid(np.float64(37)), 1),
        Claim("σ(36) < 1 in float64", bool(sigmoid(np.float64(36)) < 1), True),
        Claim("σ(17) = 1 in float32", sigmoid(np.float32(17)), 1),
        Claim("σ(16) < 1 in float32", bool(sigmoid(np.float32(16)) < 1), True),
        Claim("the LSTM adds 1 to 2⁵³ − 1", _run(lstm, saturated, [0], zero, top - 1)[1], top),
        Claim("and no more to 2⁵³", _run(lstm, saturated, [0], zero, top)[1], top),
    ]
    for kind, most in ((np.float64, 1046), (np.float32, 136)):
        label = f"the GRU knows for all n, m ≤ {most} whether aⁿbᵐ is balanced, {kind.__name__}"
        claims.append(Claim(label, _balanced(most, kind), np.eye(most + 1)))
        label = f"but no longer for n = {most + 1}"
        claims.append(Claim(label, _in_the_exponent(most + 1, most + 1, kind), False))
    return claims


FLOATS = Theorem(
    name="Counting in floating point",
    statement=(
        "In float64 a gate is exactly 1 from about 36.7 on (float32: 16.6). A saturated LSTM then "
        "counts by exact +1 up to 2⁵³. A hand-built GRU with one unit counts in the exponent: a "
        "halves (z = ½, r = 0), b doubles (z = r = 1, U = 2, as tanh 2h = 2h for tiny h), and it "
        "tells aⁿbⁿ from aⁿbᵐ for all n, m up to 1,046, in float32 up to 136."
    ),
    assumptions={},
    claims=_floats,
    examples={},
    kind="numbers",
)
