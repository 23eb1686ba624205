"""What a run of training leaves behind: a plain table, and the error that carries one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False, repr=False)
class History:
    """What happened at each step of a run, for one model or for the E models of a stack.

    losses, norms, rates: (n,) or (n, E): row s is the loss on batches(s), the length of its
    gradient before clipping, and the rate of the step that followed. validated (v,): after how
    many steps there was a validation; validations (v,) or (v, E): what it gave. Row s and the
    validation after s steps belong to the same parameters. A model that has ended has nan from
    then on. ended: one entry for each model, "steps", "patience" or "non-finite … at step s".
    seconds (n,): since the start, pauses left out; two histories are equal without them.

    >>> losses, rates, seconds = np.array([4.0, 2.0, 1.0]), np.full(3, 0.1), np.arange(3) / 10
    >>> validated, validations = np.array([1, 2]), np.array([1.5, 1.25])
    >>> History(losses, losses, rates, validated, validations, ("steps",), seconds)
        step        loss  validation        norm        rate
           1           2         1.5           2         0.1
           2           1        1.25           1         0.1
    ended: steps
    """

    losses: Array
    norms: Array
    rates: Array
    validated: Array
    validations: Array
    ended: tuple[str, ...]
    seconds: Array

    @property
    def steps(self) -> Array:
        """The numbers of the steps, from 0: what batches and schedule were called with."""
        return np.arange(len(self.losses))

    @property
    def failed(self) -> Array:
        """Which models ended with a number that is not finite, () or (E,)."""
        failed = [reason.startswith("non-finite") for reason in self.ended]
        return np.array(failed).reshape(self.losses.shape[1:])

    def best(self) -> tuple[Array, Array]:
        """The lowest validation and after how many steps it came: (steps, values), () or (E,).

        Where there was none, -1 and nan.
        """
        shape = self.losses.shape[1:]
        values = np.where(np.isnan(self.validations), np.inf, self.validations)
        if not len(values):
            return np.full(shape, -1), np.full(shape, np.nan)
        steps, best = self.validated[values.argmin(0)], values.min(0)
        none = np.isposinf(best)
        return np.where(none, -1, steps), np.where(none, np.nan, best)

    def rows(self) -> list[dict[str, Any]]:
        """The table row by row, as plain numbers (lists of E for a stack), None where nothing is.

        The last row, after the last step, has a validation only.
        """
        found = dict(zip(self.validated.tolist(), self.validations.tolist(), strict=True))
        columns = {
            "loss": self.losses.tolist(),
            "norm": self.norms.tolist(),
            "rate": self.rates.tolist(),
            "seconds": self.seconds.tolist(),
        }
        steps = range(max(len(self.losses), 1 + max(found, default=-1)))
        return [
            {"step": s, "validation": found.get(s)}
            | {name: column[s] if s < len(column) else None for name, column in columns.items()}
            for s in steps
        ]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, History):
            return NotImplemented
        mine, theirs = dict(vars(self)), dict(vars(other))
        del mine["seconds"], theirs["seconds"]
        if mine.pop("ended") != theirs.pop("ended"):
            return False
        return all(np.array_equal(mine[k], theirs[k], equal_nan=True) for k in mine)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        """At most a dozen rows; of a stack, the medians of the models that are still in it."""
        rows = self.rows()
        shown = [row for row in rows if row["validation"] is not None] or rows
        at = np.unique(np.linspace(0, len(shown) - 1, min(12, len(shown))).round().astype(int))
        names = ("loss", "validation", "norm", "rate")
        lines = [f"{'step':>8}" + "".join(f"{name:>12}" for name in names)]
        for row in (shown[k] for k in at):
            lines.append(f"{row['step']:8d}" + "".join(_cell(row[name]) for name in names))
        if self.losses.ndim > 1:
            lines.insert(0, f"{self.losses.shape[1]} models, medians")
        lines.append("ended: " + _tally(self.ended))
        return "\n".join(lines)

    __repr__ = __str__


def _cell(value: Any) -> str:
    return f"{'':>12}" if value is None else f"{_median(value):12.4g}"


def _median(values: Any) -> float:
    """Of those that are numbers."""
    numbers = np.ravel(np.asarray(values, float))
    kept = numbers[~np.isnan(numbers)]
    return float(np.median(kept)) if len(kept) else np.nan


def _tally(reasons: tuple[str, ...]) -> str:
    if len(reasons) == 1:
        return reasons[0]
    counts = {reason: reasons.count(reason) for reason in reasons}
    return ", ".join(f"{reason} ({count})" for reason, count in counts.items())


class NonFiniteError(FloatingPointError):
    """A run in which no model is left with finite numbers; history is what happened until then."""

    def __init__(self, message: str, history: History) -> None:
        super().__init__(message, history)
        self.history = history

    def __str__(self) -> str:
        return str(self.args[0])


class Table:
    """The history while it grows; between two runs, a dictionary of arrays in a checkpoint."""

    columns = ("losses", "norms", "rates", "seconds", "validated", "validations")

    def __init__(self, stored: dict[str, Array] | None = None) -> None:
        stored = stored or {}
        self.lists: dict[str, list[Any]] = {
            name: list(stored.get(name, ())) for name in self.columns
        }

    def add(self, **values: Any) -> None:
        for name, value in values.items():
            self.lists[name].append(value)

    @property
    def last(self) -> str:
        """The last loss, of a stack the median, for a progress bar."""
        return f"loss {_median(self.lists['losses'][-1]):.4g}"

    def arrays(self) -> dict[str, Array]:
        made = {name: np.array(values, float) for name, values in self.lists.items()}
        made["validated"] = made["validated"].astype(int)
        shape = made["losses"].shape[1:]
        return made | {"validations": made["validations"].reshape(-1, *shape)}

    def history(self, ended: tuple[str, ...]) -> History:
        return History(ended=ended, **self.arrays())
