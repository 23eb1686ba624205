"""The training loop: any module, any loss, one model or a stack of many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from companion.train.history import Array, History
from companion.train.members import modes, set_modes, tensors
from companion.train.rates import Optimiser, Stepper
from companion.train.run import Run


def train(
    model: torch.nn.Module,
    loss: Callable[[Any, Any], Tensor],
    batches: Callable[[int], Any],
    *,
    steps: int,
    rate: float | Sequence[float] = 1e-3,
    optimiser: Optimiser = torch.optim.Adam,
    clip: float | None = 1.0,
    schedule: Callable[[int], float] | None = None,
    validate: Callable[[Any], Any] | None = None,
    every: int = 100,
    patience: int | None = None,
    checkpoint: Path | str | None = None,
    progress: bool = True,
) -> History:
    """Train a module, in place, and return what happened as a table.

    Step s = 0, 1, … computes loss(model, batches(s)), clips its gradient to the length clip (None:
    does not) and lets the optimiser, made by optimiser(parameters, lr=…), move the parameters at
    rate · schedule(s) (schedule None is 1).

    batches is a function of the step, so that a run can go on anywhere. Random batches of 32:
    ``lambda s: data[np.random.default_rng([seed, s]).integers(len(data), size=32)]``. A list in
    turn: ``lambda s: listed[s % len(listed)]``. Epochs of n batches, shuffled anew each time:
    ``lambda s: data[np.random.default_rng([seed, s // n]).permutation(len(data))[s % n :: n]]``.

    validate(model), the smaller the better, is called without gradients and with model.eval() after
    `every` steps and after the last one. With it the model is left in the state that had the lowest
    value, and training ends after `patience` validations in a row that were not lower.

    A model in evaluation mode is put into training mode. In one that is in training mode already, a
    part that is not, such as a frozen normalisation after .eval(), stays as it is. At the end every
    part is in the mode that it was given in.

    A loss of shape (E,) means E models stacked in one module: every parameter and the validation
    has E as its first axis, and the models share nothing. Each is then trained as it would be
    alone: clipped by its own norm, ended by its own patience, left in its own best state; rate may
    be E numbers. For this the optimiser must work component by component, as SGD, Adam and
    RMSprop do; for several rates its step must also be proportional to the rate, and without
    weight decay. What has ended need not be computed any more: a module whose attribute `alive`
    is an array finds in it, (E,) booleans, which models are still in training; of the others any
    finite loss will do. After the end all are True.

    A loss or gradient that is not finite ends a model and leaves it in the last state whose loss
    was finite (with validate, in its best one). The others go on; when none is left and all ended
    so, NonFiniteError, a FloatingPointError, says where, and has the history.

    checkpoint, a path: after every `every` steps and at the end all that the next step depends on
    is written there. Called again with the same arguments, the run goes on from that file to the
    same result, bit for bit on the same machine; a finished run returns at once. With more steps
    it goes on from its end; with another rate, clip, optimiser, … it is refused. The loss, batches
    and validate cannot be compared with those before: keep them.

    progress: a bar on a terminal; elsewhere, as in a notebook, nothing is printed.
    Raises TypeError and ValueError that name the argument.

    >>> model = torch.nn.Linear(1, 1)
    >>> xs = torch.linspace(-1, 1, 8)[:, None]
    >>> def loss(model, xs):
    ...     return (model(xs) - (3 * xs + 1)).square().mean()
    >>> history = train(model, loss, lambda s: xs, steps=400, rate=0.05, clip=None)
    >>> round(model.weight.item(), 2), round(model.bias.item(), 2), history.losses.shape
    (3.0, 1.0, (400,))
    """
    steps, every, clip = _whole("steps", steps), _whole("every", every), _limit(clip)
    _function("loss", loss, "(model, batch)")
    _function("batches", batches, "of the step (of a list: lambda s: listed[s % len(listed)])")
    _function("optimiser", optimiser, "(parameters, lr=…), such as torch.optim.Adam")
    _function("schedule", schedule, "of the step, or None", optional=True)
    _function("validate", validate, "of the model, or None", optional=True)
    if patience is not None:
        patience = _whole("patience", patience)
        if validate is None:
            raise ValueError(f"patience is {patience}, but validate is None; expected a function")
    stepper = Stepper(_parameters(model), optimiser, _rate(rate))
    run = Run(model, stepper, clip, schedule)
    path = None if checkpoint is None else Path(checkpoint)
    settings = {
        "optimiser": type(stepper.optimiser).__name__,
        "its options": stepper.options,
        "clip": clip,
        "every": every,
        "patience": patience,
        "validation": validate is not None,
        **{f"tensor {k}": f"{tuple(v.shape)} {v.dtype}" for k, v in tensors(model).items()},
    }
    if path is not None and path.exists():
        run.load(path, settings, steps)
    before, saved = modes(model), run.done
    if not model.training:
        model.train()
    bar = tqdm(total=steps, initial=run.done, disable=None if progress else True, unit="step")
    try:
        while run.done < steps and run.going:
            run.step(loss, batches(run.done))
            if run.going and (run.done % every == 0 or run.done == steps):
                if validate is not None:
                    run.validate(validate, patience)
                if path is not None:
                    run.save(path, settings)
                    saved = run.done
            if not bar.disable:
                bar.set_postfix_str(run.table.last, refresh=False)
            bar.update()
        if path is not None and saved < run.done and not run.failed:
            run.save(path, settings)
        return run.finish()
    finally:
        bar.close()
        set_modes(model, before)


def _whole(argument: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{argument} is {value!r}; expected a positive integer")
    return int(value)


def _limit(clip: Any) -> float | None:
    if clip is None:
        return None
    try:
        number = np.nan if isinstance(clip, str | bytes) else float(clip)
    except (TypeError, ValueError):
        number = np.nan
    if not number > 0:
        raise ValueError(f"clip is {clip!r}; expected a positive number, or None")
    return number


def _function(argument: str, value: object, expected: str, optional: bool = False) -> None:
    if not (callable(value) or (optional and value is None)):
        kind = type(value).__name__
        raise TypeError(f"{argument} is a {kind}; expected a function {expected}")


def _rate(rate: Any) -> Array:
    try:
        rates = np.asarray(rate, float)
    except (TypeError, ValueError):
        rates = np.array(np.nan)
    if rates.ndim > 1 or not rates.size or not (np.isfinite(rates) & (rates > 0)).all():
        raise ValueError(f"rate is {rate!r}; expected a positive number, or one for each model")
    return rates


def _parameters(model: Any) -> list[Tensor]:
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model is a {type(model).__name__}; expected a torch.nn.Module")
    parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError(f"model, a {type(model).__name__}, has no parameters to train")
    return parameters
