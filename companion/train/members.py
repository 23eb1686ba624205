"""How each model fares: which are still in training, their last good and their best state.

One model is a stack of one. The models of a stack share nothing, so that each must fare as it would
alone: it ends by itself, when its numbers are no longer finite or its validation does not improve,
and is then held where it is while the others go on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from companion.train.history import Array

State = dict[str, Tensor]  # parameters and buffers by name, never changed once taken


def tensors(model: torch.nn.Module) -> State:
    """The parameters and buffers themselves, each once."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def snapshot(model: torch.nn.Module) -> State:
    """A copy of them."""
    return {name: value.detach().clone() for name, value in tensors(model).items()}


@torch.no_grad()
def load_into(model: torch.nn.Module, state: State) -> None:
    """Put a state into the model, on whatever device it is."""
    for name, value in tensors(model).items():
        _assign(value, state[name])


def _assign(value: Tensor, new: Tensor) -> None:
    """value ← new, in place. An expanded buffer is one row in memory, so one row is written."""
    for axis, stride in enumerate(value.stride()):
        if stride == 0 and value.shape[axis] > 1:
            value, new = value.narrow(axis, 0, 1), new.narrow(axis, 0, 1)
    value.copy_(new)


def modes(model: torch.nn.Module) -> list[tuple[torch.nn.Module, bool]]:
    """Which of its modules are in training mode and which, with .eval(), are not."""
    return [(module, module.training) for module in model.modules()]


def set_modes(model: torch.nn.Module, found: list[tuple[torch.nn.Module, bool]]) -> None:
    """Put each module back into its own mode."""
    model.train(found[0][1])  # a module may do more here than to set the flag
    for module, training in found:
        module.training = training


class Members:
    """models: E, or None for one model that is no stack. good: a state to go back to."""

    def __init__(self, models: int | None, good: State) -> None:
        self.models = models
        count = models or 1
        self.alive: Array = np.ones(count, bool)
        self.ended = ["steps"] * count
        self.waited: Array = np.zeros(count, int)
        self.lowest: Array = np.full(count, np.inf)
        self.good = good
        self.best = good

    @property
    def failed(self) -> Array:
        return np.array([reason.startswith("non-finite") for reason in self.ended])

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a loss: () for one model, (E,) for a stack."""
        return (self.models,) if self.models else ()

    def shown(self, values: Array) -> Array:
        """Numbers for the table: nan for the models that have ended."""
        return np.where(self.alive, values, np.nan).reshape(self.shape)

    def end(self, which: Array, reason: str) -> None:
        for k in np.flatnonzero(which):
            self.ended[k] = reason
        self.alive = self.alive & ~which

    def meet(self, step: int, losses: Array, norms: Array, before: State) -> None:
        """Where the loss is finite, the state before the step is good; elsewhere it is the end."""
        finite = np.isfinite(losses)
        self.good = self._merge(self.good, before, self.alive & finite)
        self.end(self.alive & ~finite, f"non-finite loss at step {step}")
        self.end(self.alive & ~np.isfinite(norms), f"non-finite gradient at step {step}")

    def judge(self, values: Array, patience: int | None, model: torch.nn.Module) -> None:
        """Keep what is better than ever; end what has not been so for too long."""
        better = self.alive & (values < self.lowest)
        state = snapshot(model)
        self.best = self._merge(self.best, state, better)
        self.lowest = np.where(better, values, self.lowest)
        self.waited = np.where(better, 0, self.waited + 1)
        if patience is not None:
            late = self.alive & (self.waited >= patience)
            self.good = self._merge(self.good, state, late)
            self.end(late, "patience")

    def hold(self, model: torch.nn.Module) -> None:
        """Put those that have ended back to their last good state."""
        if not self.alive.all():
            self._put(model, self.good, ~self.alive)

    def finish(self, model: torch.nn.Module) -> None:
        """The state that each model is left in: its best, the last one without a validation."""
        finite = np.ones_like(self.alive)
        for p in model.parameters():  # a buffer may well hold an infinity, such as a mask
            finite &= p.detach().reshape(len(self.alive), -1).isfinite().all(1).cpu().numpy()
        self.end(self.alive & ~finite, "non-finite parameters after the last step")
        self.hold(model)
        self._put(model, self.best, self.lowest < np.inf)

    def clear(self, gradients: list[Tensor]) -> None:
        """No gradient for those that have ended: a nan must not stay in the optimiser."""
        if not self.alive.all():
            for g in gradients:
                g.masked_fill_(self._mask(~self.alive, g), 0)

    def _own(self, value: Tensor) -> bool:
        """Whether each model has its own row of it; a buffer may be common to all."""
        return not self.models or (value.ndim > 0 and len(value) == self.models)

    def _mask(self, which: Array, like: Tensor) -> Tensor:
        shape = (-1, *(1,) * (like.ndim - 1)) if self.models else ()
        return torch.as_tensor(which, device=like.device).reshape(shape)

    def _merge(self, old: State, new: State, which: Array) -> State:
        if which.all() or not which.any():
            return new if which.all() else old
        return {
            name: torch.where(self._mask(which, new[name]), new[name], old[name])
            if self._own(new[name])
            else new[name]
            for name in new
        }

    @torch.no_grad()
    def _put(self, model: torch.nn.Module, state: State, which: Array) -> None:
        for name, value in tensors(model).items():
            if which.any() and (which.all() or self._own(value)):
                _assign(value, torch.where(self._mask(which, value), state[name], value))

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "models": self.models,
            "ended": self.ended,
            "alive": torch.tensor(self.alive),
            "waited": torch.tensor(self.waited),
            "lowest": torch.tensor(self.lowest),
            "good": self.good,
            "best": self.best,
        }

    @classmethod
    def load(cls, state: dict[str, Any], model: torch.nn.Module) -> Members:
        """From a checkpoint, on the model's device."""
        where = {name: value.device for name, value in tensors(model).items()}
        good, best = (
            {name: value.to(where[name]) for name, value in state[kind].items()}
            for kind in ("good", "best")
        )
        made = cls(state["models"], good)
        made.best, made.ended = best, state["ended"]
        for name in ("alive", "waited", "lowest"):
            setattr(made, name, state[name].numpy())
        return made
