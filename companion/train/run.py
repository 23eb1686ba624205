"""A run in the middle: what one step does, and all that the next one depends on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from companion.train import checkpoint
from companion.train.clip import clip
from companion.train.history import Array, History, NonFiniteError, Table
from companion.train.members import Members, load_into, modes, set_modes, snapshot, tensors
from companion.train.rates import Stepper


class Run:
    """A model, its optimiser, its history; done is the number of steps taken."""

    def __init__(
        self,
        model: torch.nn.Module,
        stepper: Stepper,
        limit: float | None,
        schedule: Callable[[int], float] | None,
    ) -> None:
        self.model, self.stepper, self.limit, self.schedule = model, stepper, limit, schedule
        self.devices = {value.device for value in tensors(model).values()}
        self.members: Members | None = None  # known from the first loss on
        self.table = Table()
        self.done = 0
        self.begun = time.perf_counter()

    @property
    def going(self) -> bool:
        """Whether a model is still in training."""
        return self.members is None or bool(self.members.alive.any())

    @property
    def failed(self) -> bool:
        """Whether all models ended with a number that is not finite."""
        return self.members is not None and bool(self.members.failed.all())

    def step(self, loss: Callable[[Any, Any], Tensor], batch: Any) -> None:
        """Loss, gradient, clipping, a step of the optimiser, a row of the table."""
        self.tell()
        s, before = self.done, snapshot(self.model)
        value = loss(self.model, batch)
        if self.members is None:
            self.members = Members(_models(value, self.model, self.stepper.rate), before)
        members = self.members
        if tuple(value.shape) != members.shape:
            raise ValueError(
                f"loss at step {s} has shape {tuple(value.shape)}; expected {members.shape}, as "
                "before"
            )
        for p in self.stepper.parameters:
            p.grad = None
        torch.autograd.backward(value.sum())
        gradients = [p.grad for p in self.stepper.parameters if p.grad is not None]
        if not gradients:
            raise ValueError("loss depends on none of the model's parameters")
        norms = host(clip(gradients, self.limit, stacked=bool(members.models)))
        losses, factor = host(value), self.factor(s)
        self.table.add(
            losses=members.shown(losses),
            norms=members.shown(norms),
            rates=np.broadcast_to(self.stepper.rates(factor), members.shape),
            seconds=time.perf_counter() - self.begun,
        )
        members.meet(s, losses, norms, before)
        members.clear(gradients)
        if self.going:
            self.stepper.step(factor)
        members.hold(self.model)
        self.done += 1

    def tell(self) -> None:
        """Let a model that wants to know it have who is still in training."""
        if self.members is not None and isinstance(getattr(self.model, "alive", None), np.ndarray):
            self.model.alive = self.members.alive.copy()  # type: ignore[assignment]

    def factor(self, step: int) -> float:
        """What the schedule makes of the rate."""
        factor = 1.0 if self.schedule is None else float(self.schedule(step))
        if not (np.isfinite(factor) and factor >= 0):
            raise ValueError(
                f"schedule({step}) is {factor}; expected a finite number, not negative"
            )
        return factor

    def validate(self, validate: Callable[[Any], Any], patience: int | None) -> None:
        """A validation: kept in the table, and judged."""
        assert self.members is not None
        self.tell()
        before = modes(self.model)
        self.model.eval()
        with torch.no_grad():
            found = validate(self.model)
        set_modes(self.model, before)
        try:
            given = torch.as_tensor(found)
        except (TypeError, ValueError, RuntimeError) as error:
            what = "a number" if not self.members.shape else f"{self.members.models} numbers"
            raise TypeError(f"validate returned {found!r}; expected {what}") from error
        values, shape = host(given), tuple(given.shape)
        if shape != self.members.shape:
            raise ValueError(
                f"validate returned shape {shape}; expected {self.members.shape}, as the loss has"
            )
        self.table.add(validated=self.done, validations=self.members.shown(values))
        self.members.judge(values, patience, self.model)

    def finish(self) -> History:
        """Leave each model in its best or last good state; the history, or NonFiniteError."""
        assert self.members is not None
        self.members.finish(self.model)
        if isinstance(getattr(self.model, "alive", None), np.ndarray):
            self.model.alive = np.ones_like(self.members.alive)  # type: ignore[assignment]
        history = self.table.history(tuple(self.members.ended))
        if self.failed:
            raise NonFiniteError(self._failure(history), history)
        return history

    def _failure(self, history: History) -> str:
        """Where it ended, what went before, what may help."""
        last = len(history.losses) - 1
        seen = "; ".join(
            f"step {s}: loss {_text(history.losses[s])}, gradient norm {_text(history.norms[s])}"
            for s in range(max(0, last - 1), last + 1)
        )
        who = "" if history.losses.ndim == 1 else f"all {len(history.ended)} models ended: "
        validated = self.members is not None and (self.members.lowest < np.inf).all()
        kept = "its best validated state" if validated else "the last state with a finite loss"
        advice = f"a smaller rate{' or clip=1.0' if self.limit is None else ''}"
        return (
            f"{who}{', '.join(dict.fromkeys(history.ended))} ({seen}), rate "
            f"{_text(history.rates[last])}, clip {self.limit}. The model is left in {kept}. "
            f"Try {advice}, and see that batches({last}) is finite"
        )

    def save(self, path: Path, settings: dict[str, Any]) -> None:
        """Write all of it."""
        assert self.members is not None
        content = {
            "settings": settings,
            "done": self.done,
            "model": snapshot(self.model),
            "optimiser": self.stepper.optimiser.state_dict(),
            "members": self.members.state(),
            "table": {name: torch.tensor(a) for name, a in self.table.arrays().items()},
            "random": checkpoint.random_state(self.devices),
        }
        checkpoint.save(path, content)

    def load(self, path: Path, settings: dict[str, Any], steps: int) -> None:
        """Go on from where it was written."""
        stored = checkpoint.load(path)
        checkpoint.agree(path, stored["settings"], settings)
        if stored["done"] > steps:
            raise ValueError(
                f"steps is {steps}, but checkpoint {path} is after {stored['done']}; expected as "
                "many or more"
            )
        table = {name: column.numpy() for name, column in stored["table"].items()}
        for s, then in enumerate(table["rates"]):
            now = self.stepper.rates(self.factor(s))
            if not np.array_equal(now if now.ndim else np.full_like(then, now), then):
                raise ValueError(
                    f"checkpoint {path} was made with rate {then} at step {s}, but rate and "
                    f"schedule give {now}; expected the same"
                )
        self.done, self.table = stored["done"], Table(table)
        load_into(self.model, stored["model"])
        self.stepper.optimiser.load_state_dict(stored["optimiser"])
        self.members = Members.load(stored["members"], self.model)
        self.begun -= float(table["seconds"][-1])
        checkpoint.set_random_state(stored["random"], self.devices)


def host(values: Tensor) -> Array:
    """Numbers of the device as an array (E,), (1,) for one model."""
    return values.detach().cpu().double().numpy().reshape(-1)


def _text(values: Array) -> str:
    return np.array2string(values, precision=3, threshold=6)


def _models(value: Any, model: torch.nn.Module, rate: Array) -> int | None:
    """The number of models, None for one that is no stack, from the shape of the first loss."""
    if not isinstance(value, Tensor) or value.ndim > 1 or not len(value.reshape(-1)):
        what = f"has shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"is {value!r}"
        raise ValueError(f"loss {what}; expected a tensor of shape () or, of E models, (E,)")
    if not value.requires_grad:
        raise ValueError("loss depends on none of the model's parameters")
    if rate.ndim and tuple(value.shape) != rate.shape:
        raise ValueError(
            f"rate has {len(rate)} values and loss has shape {tuple(value.shape)}; "
            f"expected a loss of shape ({len(rate)},), one for each model"
        )
    if value.ndim == 0:
        return None
    for name, p in model.named_parameters():
        if not p.ndim or len(p) != len(value):
            raise ValueError(
                f"loss has shape ({len(value)},), so {len(value)} models are stacked, but "
                f"parameter {name} has shape {tuple(p.shape)}; expected ({len(value)}, …)"
            )
    return len(value)
