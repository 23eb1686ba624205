"""The programs that `make bench` compares: one equation, four ways to run it over a sequence.

`torch.nn`: the library's own layer. `companion.nn`: ours, which runs the cell as it is written,
once for every step. `torch loop`: what a reader who knows torch writes by hand, weights stacked and
the inputs' part of all steps worked out before the loop. `JAX scan`: the same in JAX, compiled.
All have the same weights, inputs and float32, and a test asserts the same outputs and gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import process_time
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear

from companion import nn

PLAIN = "torch.nn without oneDNN"
TORCH = ("torch.nn", PLAIN, "companion.nn", "torch loop")
JAX = "JAX scan"


class Case(NamedTuple):
    """One cell (rnn, gru, lstm) at one size."""

    cell: str
    T: int
    B: int
    D: int
    H: int


class Runs(NamedTuple):
    """A case set up for one program: what is timed, and how long its compiler took.

    forward() gives the outputs (T, B, H); train() the gradients of the weights (W, U, b, b₂), as
    torch stacks them, for a gradient of the outputs that is fixed.
    """

    forward: Callable[[], Any]
    train: Callable[[], Any]
    compile_seconds: float = 0.0


def make(case: Case, who: str) -> Runs:
    """Set up a case for one of the programs."""
    torch.manual_seed(0)
    layer = _layer(torch.nn, case)
    xs = torch.randn(case.T, case.B, case.D)
    d_outputs = torch.randn(case.T, case.B, case.H) / case.T
    weights = list(layer.parameters())
    if who == JAX:
        return _jax(case, weights, xs, d_outputs)
    run: Callable[[], Tensor]
    if who == "torch loop":
        by_hand = _LOOPS[case.cell]

        def run() -> Tensor:
            return by_hand(xs, *weights)
    else:
        module = layer if who != "companion.nn" else _layer(nn, case)
        module.load_state_dict(layer.state_dict())
        weights = list(module.parameters())

        def run() -> Tensor:
            outputs: Tensor = module(xs)[0]
            return outputs

    def forward() -> Tensor:
        with torch.no_grad():
            return run()

    def train() -> list[Tensor]:
        for weight in weights:
            weight.grad = None
        torch.autograd.backward(run(), d_outputs)
        return [weight.grad for weight in weights if weight.grad is not None]

    if who == PLAIN:
        return Runs(_without_onednn(forward), _without_onednn(train))
    return Runs(forward, train)


def _layer(library: Any, case: Case) -> torch.nn.Module:
    layer: torch.nn.Module = getattr(library, case.cell.upper())(case.D, case.H)
    return layer


def _without_onednn(call: Callable[[], Any]) -> Callable[[], Any]:
    def switched() -> Any:
        torch._C._set_mkldnn_enabled(False)  # torch.backends.mkldnn.flags, without its warning
        try:
            return call()
        finally:
            torch._C._set_mkldnn_enabled(True)

    return switched


def _rnn(xs: Tensor, W: Tensor, U: Tensor, b: Tensor, b2: Tensor) -> Tensor:
    h, outputs = xs.new_zeros(xs.shape[1], U.shape[1]), []
    for a in linear(xs, W, b + b2).unbind():
        h = torch.tanh(torch.addmm(a, h, U.T))
        outputs.append(h)
    return torch.stack(outputs)


def _lstm(xs: Tensor, W: Tensor, U: Tensor, b: Tensor, b2: Tensor) -> Tensor:
    h = c = xs.new_zeros(xs.shape[1], U.shape[1])
    outputs = []
    for a in linear(xs, W, b + b2).unbind():
        i, f, g, o = torch.addmm(a, h, U.T).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        outputs.append(h)
    return torch.stack(outputs)


def _gru(xs: Tensor, W: Tensor, U: Tensor, b: Tensor, b2: Tensor) -> Tensor:
    h, outputs = xs.new_zeros(xs.shape[1], U.shape[1]), []
    for a in linear(xs, W, b).unbind():
        ar, az, an = a.chunk(3, 1)
        ur, uz, un = linear(h, U, b2).chunk(3, 1)
        r, z = torch.sigmoid(ar + ur), torch.sigmoid(az + uz)
        n = torch.tanh(an + r * un)
        h = n + z * (h - n)  # here z keeps, as in torch.nn.GRU
        outputs.append(h)
    return torch.stack(outputs)


_LOOPS: dict[str, Callable[..., Tensor]] = {"rnn": _rnn, "lstm": _lstm, "gru": _gru}


def has_jax() -> bool:
    """Whether JAX, an extra, is installed."""
    from importlib.util import find_spec

    return find_spec("jax") is not None


def _jax(case: Case, weights: Sequence[Tensor], xs: Tensor, d_outputs: Tensor) -> Runs:
    import jax
    import jax.numpy as jnp

    sigmoid, tanh = jax.nn.sigmoid, jnp.tanh

    def rnn(state: Any, a: Any, U: Any, _: Any) -> Any:
        (h,) = state
        return (tanh(a + h @ U.T),)

    def lstm(state: Any, a: Any, U: Any, _: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(a + h @ U.T, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c

    def gru(state: Any, a: Any, U: Any, b2: Any) -> Any:
        (h,) = state
        ar, az, an = jnp.split(a, 3, axis=1)
        ur, uz, un = jnp.split(h @ U.T + b2, 3, axis=1)
        r, z = sigmoid(ar + ur), sigmoid(az + uz)
        n = tanh(an + r * un)
        return (n + z * (h - n),)

    step = {"rnn": rnn, "lstm": lstm, "gru": gru}[case.cell]
    states = 2 if case.cell == "lstm" else 1

    def outputs(weights: Any, xs: Any) -> Any:
        W, U, b, b2 = weights
        once = b if case.cell == "gru" else b + b2  # as by hand: what can be added up is, once

        def body(state: Any, a: Any) -> Any:
            new = step(state, a, U, b2)
            return new, new[0]

        zero = jnp.zeros((xs.shape[1], U.shape[1]), xs.dtype)
        return jax.lax.scan(body, (zero,) * states, xs @ W.T + once)[1]

    def gradients(weights: Any, xs: Any, d_outputs: Any) -> Any:
        return jax.vjp(lambda w: outputs(w, xs), weights)[1](d_outputs)[0]

    p = [jnp.asarray(weight.detach().numpy()) for weight in weights]
    x, d = jnp.asarray(xs.numpy()), jnp.asarray(d_outputs.numpy())
    start = process_time()
    forward = jax.jit(outputs).lower(p, x).compile()
    train = jax.jit(gradients).lower(p, x, d).compile()
    seconds = process_time() - start
    return Runs(
        lambda: forward(p, x).block_until_ready(),
        lambda: [gradient.block_until_ready() for gradient in train(p, x, d)],
        seconds,
    )
