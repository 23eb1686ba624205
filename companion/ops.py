"""The nonlinearities, dispatched on the kind of number they are given.

This is what lets one cell run on everything: NumPy arrays (float32, float64, or objects:
SymPy expressions, mpmath numbers and intervals), torch tensors, JAX arrays and JAX's tracers,
SymPy's symbolic vectors and our tracer. It is not a numerical library: a function enters only
when an equation needs it.

A library that is not imported yet is registered when its first number arrives, so that
``import companion`` needs NumPy and SymPy only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import Any, Protocol

import numpy as np
import sympy


class Vector(Protocol):
    """What a cell computes with: numbers added and multiplied component by component."""

    def __add__(self, other: Any, /) -> Any: ...
    def __radd__(self, other: Any, /) -> Any: ...
    def __sub__(self, other: Any, /) -> Any: ...
    def __rsub__(self, other: Any, /) -> Any: ...
    def __mul__(self, other: Any, /) -> Any: ...
    def __rmul__(self, other: Any, /) -> Any: ...
    def __neg__(self) -> Any: ...


class Matrix(Protocol):
    """What acts on a vector from the left, ``W @ x``."""

    def __matmul__(self, other: Any, /) -> Any: ...


@singledispatch
def sigmoid(a: Vector) -> Any:
    """The logistic function σ(a) = 1 / (1 + e⁻ᵃ), component by component.

    a: array of any shape; the result has the same shape, kind and precision.
    Raises TypeError for a kind of number that is not known.

    >>> float(sigmoid(np.float64(0.0)))
    0.5
    >>> sigmoid(-sympy.Symbol("a"))
    1 - sigma(a)
    """
    _register(a)
    return sigmoid.dispatch(type(a))(a)


@singledispatch
def tanh(a: Vector) -> Any:
    """The hyperbolic tangent, component by component.

    a: array of any shape; the result has the same shape, kind and precision.
    Raises TypeError for a kind of number that is not known.

    >>> tanh(np.array([0.0, 20.0]))
    array([0., 1.])
    """
    _register(a)
    return tanh.dispatch(type(a))(a)


@singledispatch
def softplus(a: Vector) -> Any:
    """log(1 + eᵃ), component by component: minus the logarithm of σ(−a). Its derivative is σ.

    a: array of any shape; the result has the same shape, kind and precision.
    Raises TypeError for a kind of number that is not known.

    >>> softplus(np.array([-800.0, 800.0]))
    array([  0., 800.])
    """
    _register(a)
    return softplus.dispatch(type(a))(a)


@singledispatch
def relu(a: Vector) -> Any:
    """max(a, 0), component by component. Its derivative at 0 is taken to be 0, as torch has it.

    a: array of any shape; the result has the same shape, kind and precision.
    Raises TypeError for a kind of number that is not known.

    >>> relu(np.array([-2.0, 0.0, 3.0]))
    array([0., 0., 3.])
    """
    _register(a)
    return relu.dispatch(type(a))(a)


class _Function(sympy.Function):  # type: ignore[misc]
    """A function of one number, real where that is real."""

    def _eval_is_real(self) -> bool | None:
        return True if self.args[0].is_real else None


class sigma(_Function):  # named as it is printed
    """σ for SymPy, with the normal form σ(−a) = 1 − σ(a) and σ′ = σ(1 − σ).

    >>> a = sympy.Symbol("a")
    >>> sigma(a).diff(a)
    (1 - sigma(a))*sigma(a)
    >>> sigma(a).rewrite(sympy.exp)
    1/(1 + exp(-a))
    """

    @classmethod
    def eval(cls, a: sympy.Expr) -> sympy.Expr | None:
        if a.is_zero:
            return sympy.Rational(1, 2)
        if a is sympy.oo:
            return sympy.Integer(1)
        if a.could_extract_minus_sign():
            return 1 - cls(-a)
        return None

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return self * (1 - self)

    def _eval_rewrite_as_exp(self, a: sympy.Expr, **_: Any) -> sympy.Expr:
        return 1 / (1 + sympy.exp(-a))

    def _eval_evalf(self, prec: int) -> sympy.Expr:
        return self.rewrite(sympy.exp)._eval_evalf(prec)


class _softplus(_Function):
    """log(1 + eᵃ) for SymPy, with σ as its derivative: no quotient comes up."""

    @classmethod
    def eval(cls, a: sympy.Expr) -> sympy.Expr | None:
        return sympy.log(2) if a.is_zero else None

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return sigma(self.args[0])

    def _eval_rewrite_as_exp(self, a: sympy.Expr, **_: Any) -> sympy.Expr:
        return sympy.log(1 + sympy.exp(a))

    def _eval_evalf(self, prec: int) -> sympy.Expr:
        return self.rewrite(sympy.exp)._eval_evalf(prec)

    def _sympystr(self, printer: Any) -> str:
        return f"softplus({printer._print(self.args[0])})"


class step(_Function):  # named as it is printed
    """1 for a > 0, else 0, for SymPy: the derivative of relu, which has none of its own.

    >>> step(sympy.Integer(0)), step(sympy.Rational(1, 9))
    (0, 1)
    """

    @classmethod
    def eval(cls, a: sympy.Expr) -> sympy.Expr | None:
        if a.is_extended_positive:
            return sympy.Integer(1)
        return sympy.Integer(0) if a.is_extended_nonpositive else None


class _relu(_Function):
    """max(a, 0) for SymPy, which would give Max the derivative ½ at 0."""

    @classmethod
    def eval(cls, a: sympy.Expr) -> sympy.Expr | None:
        if a.is_extended_nonnegative:
            return a
        return sympy.Integer(0) if a.is_extended_nonpositive else None

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return step(self.args[0])

    def _sympystr(self, printer: Any) -> str:
        return f"relu({printer._print(self.args[0])})"


def _numpy_relu(a: Any) -> Any:
    return np.maximum(a, 0)  # NaN stays NaN


def _numpy_softplus(a: Any) -> Any:
    return np.logaddexp(a, np.zeros_like(a))  # of a's own precision, and without overflow


def _numpy_sigmoid(a: Any) -> Any:
    # e^−|a| never overflows, and both tails keep their full relative precision.
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1 / (1 + e), e / (1 + e))[()]


def _each(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """f on every element of an array of objects (SymPy expressions, mpmath numbers)."""
    each: Callable[[Any], Any] = np.frompyfunc(f, 1, 1)
    return each


@sigmoid.register
def _(a: np.ndarray) -> Any:
    return _each(sigmoid)(a) if a.dtype == object else _numpy_sigmoid(a)


@tanh.register
def _(a: np.ndarray) -> Any:
    return _each(tanh)(a) if a.dtype == object else np.tanh(a)


@softplus.register
def _(a: np.ndarray) -> Any:
    return _each(softplus)(a) if a.dtype == object else _numpy_softplus(a)


@relu.register
def _(a: np.ndarray) -> Any:
    return _each(relu)(a) if a.dtype == object else _numpy_relu(a)


for _kind in (float, int, np.floating):
    sigmoid.register(_kind, _numpy_sigmoid)
    tanh.register(_kind, np.tanh)
    softplus.register(_kind, _numpy_softplus)
    relu.register(_kind, _numpy_relu)

sigmoid.register(sympy.Expr, sigma)
tanh.register(sympy.Expr, sympy.tanh)
softplus.register(sympy.Expr, _softplus)
relu.register(sympy.Expr, _relu)


def _register(a: object) -> None:
    """Register the library that a comes from, or say that there is none."""
    libraries = {base.__module__.partition(".")[0] for base in type(a).__mro__}
    for library, register in _LIBRARIES.items():
        if library in libraries and library not in _registered:
            _registered.add(library)  # a second arrival means a kind that it does not cover
            return register()
    raise TypeError(
        f"a is a {type(a).__name__}; expected a NumPy array, a torch tensor, a JAX array, "
        "a SymPy expression, an mpmath number, or an array of such objects"
    )


def _torch() -> None:
    import torch

    sigmoid.register(torch.Tensor, torch.sigmoid)
    tanh.register(torch.Tensor, torch.tanh)
    # torch's own softplus is the identity from 20 on, which is wrong from the ninth digit on.
    softplus.register(torch.Tensor, lambda a: torch.logaddexp(a, torch.zeros_like(a)))
    relu.register(torch.Tensor, torch.relu)


def _jax() -> None:
    import jax
    import jax.numpy as jnp

    for kind in (jax.Array, jax.core.Tracer):
        sigmoid.register(kind, jax.nn.sigmoid)
        tanh.register(kind, jnp.tanh)
        softplus.register(kind, lambda a: jnp.logaddexp(a, jnp.zeros_like(a)))
        relu.register(kind, jax.nn.relu)  # jnp.maximum has the slope ½ at 0


def _mpmath() -> None:
    import mpmath

    # The common bases of mpmath's contexts, so that one with more digits is known too.
    number, interval = mpmath.mpf.__mro__[1], mpmath.iv.mpf.__mro__[1]
    sigmoid.register(number, lambda a: 1 / (1 + a.context.exp(-a)))
    tanh.register(number, lambda a: a.context.tanh(a))
    softplus.register(number, lambda a: a.context.log(1 + a.context.exp(a)))
    softplus.register(interval, lambda a: a.ctx.log(1 + a.ctx.exp(a)))
    relu.register(number, lambda a: a.context.zero if a <= 0 else a)  # NaN stays NaN
    relu.register(interval, lambda a: a.ctx.mpf([max(a.a, 0), max(a.b, 0)]))
    # Both are monotone in their one exponential, so the intervals stay tight.
    sigmoid.register(interval, lambda a: 1 / (1 + a.ctx.exp(-a)))
    tanh.register(interval, lambda a: 1 - 2 / (1 + a.ctx.exp(2 * a)))


_LIBRARIES: dict[str, Callable[[], None]] = {"torch": _torch, "jax": _jax, "mpmath": _mpmath}
_registered: set[str] = set()
