"""The command line: python -m companion.experiments run NAME, and its like."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from companion.experiments import EXPERIMENTS
from companion.experiments.experiment import Experiment, find
from companion.experiments.export import export
from companion.experiments.report import counts, status, table, words
from companion.experiments.store import path_of, read_all, same

PROGRAM = "python -m companion.experiments"
ABOUT = """\
run      the points that have no record yet (so it also goes on with a run that was cut off)
resume   the same, and those that failed once more
status   how many are done, failed and missing, and how long the rest may take
table    settings and results, one row for each point
export   all records in one small file, FILE.json or FILE.json.gz
list     the names of the experiments

NAME is one of that list, or module:NAME for an Experiment of one's own in an importable module.
The records lie in results/NAME below the current folder, one file for each point; to run a point
again, delete its file. A run may be killed at any moment. A point may leave checkpoints in its
scratch folder, with which it goes on, also after it failed; the folder goes when it is done. With
--scheduler the workers are those of any Dask cluster whose machines have the package installed:
they need no disk in common, but without one checkpoints stay on the machine that made them.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for.

    Returns 0, or 1 if a point of the run has failed, or 130 if the run was stopped.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    given = _parser().parse_args(arguments)
    given.all = shlex.join(arguments)
    if given.command == "list":
        print("\n".join(EXPERIMENTS))
        return 0
    try:
        experiment = find(given.name, EXPERIMENTS)
        folder: Path = given.folder or Path("results", experiment.name)
        experiment = replace(experiment, points=_only(experiment, given.only))
        return int(_COMMANDS[given.command](experiment, folder, given))
    except (ValueError, TypeError, RuntimeError, OSError, ImportError) as error:
        sys.exit(f"{PROGRAM}: {error}")


def _run(experiment: Experiment, folder: Path, given: argparse.Namespace) -> int:
    retry = given.command == "resume"
    if given.dry_run:
        for settings, record in zip(experiment.points, read_all(folder, experiment), strict=True):
            failed = record is not None and "error" in record
            done = record is not None and not (failed and retry)
            print(f"{'failed' if failed else 'done' if record else 'missing':8}", end="")
            print(words(settings) + ("" if done else f"  -> {path_of(folder, settings)}"))
        return 0
    from companion.experiments.running import run  # only now: it imports Dask

    try:
        records = run(
            experiment, folder, workers=given.workers, scheduler=given.scheduler, retry=retry
        )
    except KeyboardInterrupt:
        missing = counts(read_all(folder, experiment))["missing"]
        print(f"stopped with {missing} points missing; go on with", file=sys.stderr)
        print(f"    {PROGRAM} {given.all}", file=sys.stderr)
        return 130
    print(status(experiment, records))
    if counts(records)["failed"]:
        print("failed points are run once more by resume in the place of run", file=sys.stderr)
        return 1
    return 0


def _status(experiment: Experiment, folder: Path, given: argparse.Namespace) -> int:
    print(status(experiment, read_all(folder, experiment)))
    return 0


def _table(experiment: Experiment, folder: Path, given: argparse.Namespace) -> int:
    print(table(read_all(folder, experiment)))
    return 0


def _export(experiment: Experiment, folder: Path, given: argparse.Namespace) -> int:
    only = ["--only", *given.only] if given.only else []
    command = f"{PROGRAM} {shlex.join(['run', given.name, *only])}"
    records = read_all(folder, experiment)
    export(given.file, experiment, records, command=command, partial=given.partial)
    return 0


_COMMANDS = {"run": _run, "resume": _run, "status": _status, "table": _table, "export": _export}


def _only(experiment: Experiment, conditions: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """The points that meet every key=value; two values of one key are alternatives."""
    known: dict[str, list[Any]] = {}
    for point in experiment.points:
        for name, value in point.items():
            known.setdefault(name, []).append(value)
    wanted: dict[str, list[str]] = {}
    for condition in conditions:
        name, equals, text = condition.partition("=")
        if not equals or name not in known:
            raise ValueError(
                f"--only {condition}: expected key=value with one of the keys {', '.join(known)}"
            )
        if not any(_means(text, value) for value in known[name]):
            raise ValueError(
                f"--only {condition}: there is no such point; {name} is one of "
                f"{', '.join(dict.fromkeys(map(str, known[name])))}"
            )
        wanted.setdefault(name, []).append(text)
    points = tuple(
        point
        for point in experiment.points
        if all(
            name in point and any(_means(text, point[name]) for text in texts)
            for name, texts in wanted.items()
        )
    )
    if not points:
        raise ValueError(f"--only {' '.join(conditions)}: there is no such point")
    return points


def _means(text: str, value: Any) -> bool:
    """Whether the text is the value as a list of points shows it, or as JSON in any spelling.

    >>> _means("1e-5", 0.00001), _means("[1,2]", [1, 2]), _means("True", True), _means("1", 1.0)
    (True, True, True, False)
    """
    if text == str(value):
        return True
    try:
        return same(json.loads(text), value)
    except ValueError:
        return False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list")
    for name in _COMMANDS:
        command = commands.add_parser(name)
        command.add_argument("name", metavar="NAME")
        if name == "export":
            command.add_argument("file", metavar="FILE", type=Path)
            command.add_argument("--partial", action="store_true", help="only what is done")
        command.add_argument("--folder", type=Path, help="default: results/NAME")
        command.add_argument(
            "--only", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
            help="a part of the grid",
        )  # fmt: skip
        if name in ("run", "resume"):
            command.add_argument("--workers", type=int, help="default: one for each processor")
            command.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster")
            command.add_argument("--dry-run", action="store_true", help="list the points only")
    return parser


if __name__ == "__main__":
    sys.exit(main())
