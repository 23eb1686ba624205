"""What the records of an experiment say: how far it is, and a table of its results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from companion.experiments.experiment import Experiment, Settings
from companion.experiments.store import Record

Records = Sequence[Record | None]


def select(records: Sequence[Record], settings: Settings) -> list[Record]:
    """The records whose settings have these values, in their order; an empty list if none has.

    Raises ValueError for a name that is in the settings of no record.

    >>> records = [{"settings": {"cell": "gru", "seed": s}, "result": {}} for s in range(3)]
    >>> select(records, {"cell": "gru", "seed": 2})
    [{'settings': {'cell': 'gru', 'seed': 2}, 'result': {}}]
    """
    known = {name for record in records for name in record["settings"]}
    for name in settings:
        if name not in known:
            raise ValueError(f"settings name {name!r}; expected some of {', '.join(sorted(known))}")
    missing = object()
    return [
        record
        for record in records
        if all(record["settings"].get(name, missing) == settings[name] for name in settings)
    ]


def counts(records: Records) -> dict[str, int]:
    """How many points are done, failed and missing."""
    failed = sum(record is not None and "error" in record for record in records)
    missing = sum(record is None for record in records)
    return {"done": len(records) - failed - missing, "failed": failed, "missing": missing}


def status(experiment: Experiment, records: Records) -> str:
    """How far an experiment is, in a few lines."""
    found = [record for record in records if record is not None]
    number = counts(records)
    spent = duration(sum(record["seconds"] for record in found))
    lines = [
        f"{experiment.name}: {experiment.about}",
        f"{len(records)} points: "
        + ", ".join(f"{count} {name}" for name, count in number.items())
        + f"; {spent} spent; {left(found, number['missing'], 1)} on one worker",
    ]
    lines += [
        f"failed: {words(record['settings'])}: {outcome_of(record)}"
        for record in found
        if "error" in record
    ]
    return "\n".join(lines)


def table(records: Records) -> str:
    """One row for each point that has a record: its settings, and what of its result is scalar.

    Settings in which no two rows differ stand above the table.

    >>> settings = [{"cell": "gru", "size": size} for size in (8, 16)]
    >>> print(table([{"settings": s, "result": {"loss": s["size"] / 3}, "seconds": 2.0}
    ...              for s in settings]))
    cell=gru
    size  loss   seconds
    8     2.667  2
    16    5.333  2
    """
    found = [record for record in records if record is not None]
    if not found:
        return "no point has a record yet"
    common = _common([record["settings"] for record in found]) if len(found) > 1 else {}
    rows = [
        {name: value for name, value in record["settings"].items() if name not in common}
        | {name: value for name, value in record.get("result", {}).items() if _scalar(value)}
        | {"seconds": record["seconds"]}
        | ({"error": outcome_of(record)} if "error" in record else {})
        for record in found
    ]
    names = list(dict.fromkeys(name for row in rows for name in row))
    for last in ("seconds", "error"):  # a failed row must not bring them before the results
        if last in names:
            names.append(names.pop(names.index(last)))
    shown = [names, *([_cell(row.get(name, "")) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    ]
    return "\n".join([words(common)] * bool(common) + lines)


def _common(settings: Sequence[Settings]) -> Settings:
    first, *others = settings
    missing = object()
    return {
        name: value
        for name, value in first.items()
        if all(other.get(name, missing) == value for other in others)
    }


def _scalar(value: Any) -> bool:
    return not isinstance(value, list | dict)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def words(settings: Settings) -> str:
    """The settings of a point for a line of text."""
    return " ".join(f"{name}={value}" for name, value in settings.items())


def outcome_of(record: Record) -> str:
    """What became of a point, on one line."""
    if "error" not in record:
        return f"done in {duration(record['seconds'])}"
    lines = record["error"]["message"].strip().splitlines()
    return f"{record['error']['type']}: {lines[0] if lines else ''}"


def left(records: Sequence[Record], points: int, workers: int) -> str:
    """How long so many points may still take, if they are as long as those done."""
    seconds = [record["seconds"] for record in records if "error" not in record]
    if not points:
        return "nothing left"
    if not seconds:
        return f"{points} left"
    return f"about {duration(sum(seconds) / len(seconds) * points / workers)} left"


def duration(seconds: float) -> str:
    """Seconds in a unit that one can grasp.

    >>> duration(0.24), duration(75), duration(5000)
    ('0.2 s', '1.2 min', '1.4 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
