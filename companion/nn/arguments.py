"""What a layer is given, checked: errors name the argument, what it was and what was expected."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from companion.nn.layered import Layered


def sizes(**given: object) -> None:
    """Positive integers."""
    for name, size in given.items():
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(f"{name} is {size!r}; expected a positive integer")


def switches(**given: object) -> None:
    """True or False."""
    for name, value in given.items():
        if not isinstance(value, bool):
            raise TypeError(f"{name} is {value!r}; expected True or False")


def dropout(value: object, num_layers: int, frames: int) -> None:
    """A probability; with one layer it does nothing, which is said, as torch says it."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"dropout is {value!r}; expected a probability, from 0 to 1")
    if value and num_layers == 1:
        warnings.warn(
            f"dropout is {value}, and num_layers is 1: it acts between layers, so it does nothing",
            stacklevel=frames,  # the line that makes the layer
        )


def inputs(layer: Layered, xs: Any) -> tuple[Tensor, ...]:
    """The input sequences, one for each input of the cell."""
    names = layer.input_names
    if len(names) == 1:
        parts: tuple[Any, ...] = (xs,)
        called = ["xs"]
    else:
        if not isinstance(xs, tuple) or len(xs) != len(names):
            what = f"a tuple of {len(xs)}" if isinstance(xs, tuple) else f"a {type(xs).__name__}"
            raise ValueError(
                f"xs is {what}; expected a tuple of {len(names)} tensors ({', '.join(names)})"
            )
        parts, called = xs, [f"xs[{k}] ({name})" for k, name in enumerate(names)]
    for name, part in zip(called, parts, strict=True):
        if not isinstance(part, Tensor):
            raise TypeError(f"{name} is a {type(part).__name__}; expected a torch tensor")
        _kind(name, part, layer)
        wanted, ndims = _forms(layer)
        if part.ndim not in ndims or part.shape[-1] != layer.input_size:
            raise ValueError(
                f"{name} has shape {tuple(part.shape)}; expected {wanted} with D = "
                f"{layer.input_size}"
            )
        if part.ndim == 4 and part.shape[1] != layer.models:
            raise ValueError(
                f"{name} has shape {tuple(part.shape)}; expected {wanted} with E = {layer.models}"
            )
        if part.shape[1 if layer.batch_first and part.ndim == 3 else 0] == 0:
            raise ValueError(
                f"{name} has shape {tuple(part.shape)}: it is empty; expected at least one step"
            )
        if part.shape != parts[0].shape:
            raise ValueError(
                f"{name} has shape {tuple(part.shape)}; expected {tuple(parts[0].shape)}, "
                "as the first input has"
            )
    return parts


def _forms(layer: Layered) -> tuple[str, tuple[int, int]]:
    if layer.models is None:
        return f"(T, D) or ({'B, T' if layer.batch_first else 'T, B'}, D)", (2, 3)
    return "(T, B, D) or (T, E, B, D)", (3, 4)


def _kind(name: str, part: Tensor, layer: Layered) -> None:
    like = next(layer.parameters())
    if part.dtype != like.dtype and not torch.is_autocast_enabled(part.device.type):
        raise TypeError(f"{name} has dtype {part.dtype}; expected {like.dtype}, as the parameters")
    if part.device != like.device:
        raise TypeError(f"{name} is on {part.device}; expected {like.device}, as the parameters")


def state(layer: Layered, given: Any, shape: tuple[int, ...], like: Tensor) -> tuple[Tensor, ...]:
    """The parts of the state that was given, each of that shape."""
    names = layer.state_names
    parts: tuple[Any, ...] = (given,) if len(names) == 1 else given
    if len(names) > 1 and (not isinstance(given, tuple | list) or len(given) != len(names)):
        is_some = isinstance(given, tuple | list)
        what = f"{len(given)} parts" if is_some else f"a {type(given).__name__}"
        raise ValueError(f"state is {what}; expected a tuple of {len(names)} ({', '.join(names)})")
    directions = 2 if layer.bidirectional else 1
    letters = f"({'E, ' if layer.models else ''}{'B, ' if len(shape) > 2 else ''}H)"
    for name, part in zip(names, parts, strict=True):
        if not isinstance(part, Tensor):
            raise TypeError(f"state {name} is a {type(part).__name__}; expected a torch tensor")
        _kind(f"state {name}", part, layer)
        if tuple(part.shape) != shape:
            raise ValueError(
                f"state {name} has shape {tuple(part.shape)}; expected {shape}: {letters} for "
                f"each of {layer.num_layers} layers in {directions} directions"
            )
    return tuple(parts)


def mask(lengths: Any, like: Tensor) -> Tensor | None:
    """True where a sequence has a step: (T, 1, B), or (T, 1, 1, B) or (T, E, 1, B) for models.

    like: the inputs (T, …, B, D).
    """
    if lengths is None:
        return None
    steps, batch = like.shape[0], like.shape[-2]
    if isinstance(lengths, np.ndarray):
        lengths = np.ascontiguousarray(lengths)
    found = torch.as_tensor(lengths, device=like.device)
    wanted = [(batch,)] if like.ndim == 3 else [(batch,), (like.shape[1], batch)]
    if tuple(found.shape) not in wanted:
        raise ValueError(
            f"lengths has shape {tuple(found.shape)}; expected {' or '.join(map(str, wanted))}, "
            "a number for each sequence"
        )
    if found.dtype.is_floating_point or found.dtype == torch.bool:
        raise TypeError(f"lengths has dtype {found.dtype}; expected integers")
    found = found.to(torch.int64)
    if not bool(((found >= 1) & (found <= steps)).all()):
        raise ValueError(f"lengths is {found.tolist()}; expected numbers from 1 to T = {steps}")
    time = torch.arange(steps, device=like.device).reshape(-1, *(1,) * (like.ndim - 1))
    return time < found.unsqueeze(-2)  # (B,) to (1, B); (E, B) to (E, 1, B)
