"""How fast the plain path is, beside others, in one run on this machine: `make bench`.

It times the import, and a forward pass and a training pass (forward, then the gradients of the
weights) of the programs in :mod:`tools.contenders`, over time T, batch B, input size D and hidden
size H, in float32 on one thread; and it takes the highest memory mark by T. It prints ratios and
says which bounds hold. It takes about six minutes on an idle machine.

    python -m tools.bench --store book/results/cost.json     writes what the chapter on cost shows

What is measured is time on the processor, summed over a program's threads, all of them held to one
processor. On an idle machine that is the time on the clock. It does not count what other people's
programs take in between, but suffers from what those push out of the caches. Every program is timed
once in each round, so that a slow minute hits all of them alike; its time is the quickest round.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

# Read when JAX is imported. It computes on other threads all the same: see on_one_processor.
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import torch

from companion import count, gru_reset_after, lstm
from companion.costs import width
from tools.contenders import JAX, PLAIN, Case, has_jax, make

CELLS = ("rnn", "gru", "lstm")
SIZES = tuple(product((25, 100, 400), (1, 32), ((16, 32), (64, 128))))
GRID = tuple(Case(cell, T, B, D, H) for T, B, (D, H) in SIZES for cell in CELLS)
WHO = ("torch.nn", "companion.nn", "torch loop", JAX)

# A GRU with as many parameters as the LSTM of 128 units; and both where torch's LSTM has no kernel
# of its own.
MATCHED = width(count(gru_reset_after), 64, count(lstm).subs({"D": 64, "H": 128}))
PAIRS = tuple(
    (Case(cell, 100, B, 64, H), who)
    for B in (1, 32)
    for cell, H in (("gru", 128), ("lstm", 128), ("gru", MATCHED))
    for who in ((*WHO, PLAIN) if H == MATCHED else (PLAIN,))
)
TIMED = (*product(GRID, WHO), *PAIRS)

LENGTHS = [50, 200, 800]
BOUNDS = {"gru": 1.5, "lstm": 3.0}  # companion.nn over torch.nn, training, at the next line's size
BOUNDED = {"T": 100, "B": 32, "D": 64, "H": 128}
IMPORT = "from time import *; t = process_time(); import companion; print(process_time() - t)"


def on_one_processor() -> None:
    """Hold this process, and those it starts, to one processor, where the system allows that.

    To be called before JAX is imported, which starts as many threads as it finds processors.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def import_seconds() -> float:
    """The quickest of five imports, each in a new process."""
    command = [sys.executable, "-c", IMPORT]
    outputs = [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(5)]
    return min(map(float, outputs))


def seconds(call: Callable[[], Any], at_least: float = 0.04) -> tuple[float, float]:
    """The mean time on the processor of as many calls as fill some time, and its share of it.

    Not the quickest call: what a program's other threads have used is told in steps of
    milliseconds only. The share is the time on the processor by that on the clock. Above 1, more
    than one processor was at work; below 1, other programs had their turn.
    """
    clock, processor, calls = perf_counter(), process_time(), 0
    while calls == 0 or process_time() - processor < at_least:
        call()
        calls += 1
    used = process_time() - processor
    return used / calls, used / (perf_counter() - clock)


def measure(
    timed: Iterable[tuple[Case, str]], rounds: int, say: Callable[[str], None] = lambda _: None
) -> list[dict[str, Any]]:
    """Time every case for its program: a list of records, with the seconds of each round."""
    records, calls = [], []
    for case, who in timed:
        if who == JAX and not has_jax():
            continue
        runs = make(case, who)
        for what, call in (("forward", runs.forward), ("train", runs.train)):
            call()  # the first call of all may set things up
            record: dict[str, Any] = {**case._asdict(), "who": who, "what": what}
            record |= {"seconds": [], "shares": []}
            if who == JAX and what == "train":
                record["compile"] = rounded(runs.compile_seconds)
            records.append(record)
            calls.append(call)
    say(f"{len(calls)} measurements are set up")
    for number in range(rounds):
        gc.collect()
        gc.disable()
        try:
            for record, call in zip(records, calls, strict=True):
                mean, share = seconds(call)
                record["seconds"].append(rounded(mean))
                record["shares"].append(share)
        finally:
            gc.enable()
        say(f"round {number + 1} of {rounds} is done")
    return records


def peaks(cells: Iterable[str], whos: Iterable[str], lengths: list[int]) -> list[dict[str, Any]]:
    """The highest memory mark of training by T, in MB: a list of records.

    The lowest of three processes: how well freed memory is used again differs between them.
    """
    records = []
    for cell, who in product(cells, whos):
        case = Case(cell, **{**BOUNDED, "T": 0})
        command = [sys.executable, "-m", "tools.peak", *map(json.dumps, (who, case, lengths))]
        outputs = [subprocess.run(command, capture_output=True, check=True).stdout for _ in "123"]
        lowest = [min(marks) / 1e6 for marks in zip(*map(json.loads, outputs), strict=True)]
        records.append({**case._asdict(), "T": lengths, "who": who, "MB": [*map(rounded, lowest)]})
    return records


def rounded(value: float, digits: int = 4) -> float:
    return float(f"{value:.{digits}g}")


class Table:
    """The records of one run, to be asked for the quickest round of one of them."""

    def __init__(self, records: list[dict[str, Any]]) -> None:
        keys = (*Case._fields, "who", "what")
        self.found: dict[tuple[Any, ...], float] = {
            tuple(r[k] for k in keys): min(r["seconds"]) for r in records
        }

    def quickest(self, case: Case, who: str, what: str) -> float:
        """Seconds; not a number where it was not measured."""
        return self.found.get((*case, who, what), math.nan)

    def ratio(self, case: Case, who: str, what: str) -> float:
        """The time of companion.nn by that of another program."""
        return self.quickest(case, "companion.nn", what) / self.quickest(case, who, what)


def exponent(table: Table, case: Case, who: str, what: str, lengths: tuple[int, int]) -> float:
    """a, if the time grows as T to the power a between two lengths."""
    first, last = (table.quickest(case._replace(T=T), who, what) for T in lengths)
    return math.log(last / first) / math.log(lengths[1] / lengths[0])


def report(found: dict[str, Any]) -> str:
    """The ratios, the growth with T, the memory and the bounds, as text."""
    table = Table(found["times"])
    lines = [f"import companion    {found['import']:.2f} s", ""]
    lines += ["companion.nn: milliseconds, and its time by that of the others"]
    lines += [f"{'':23}{'forward':^35} {'training':^35}"]
    head = f"{'ms':>8}{'torch.nn':>9}{'loop':>9}{'JAX':>9}"
    lines += [f"{'cell':5}{'T':>4}{'B':>4}{'D':>4}{'H':>5} {head} {head}"]
    for case in dict.fromkeys(Case(*(r[k] for k in Case._fields)) for r in found["times"]):
        if math.isnan(table.quickest(case, "torch.nn", "train")):
            continue
        text = f"{case.cell:5}{case.T:4}{case.B:4}{case.D:4}{case.H:5} "
        for what in ("forward", "train"):
            text += f"{1e3 * table.quickest(case, 'companion.nn', what):8.2f}"
            text += "".join(f"{table.ratio(case, w, what):9.2f}" for w in WHO if w != WHO[1]) + " "
        lines.append(text.rstrip())
    lines += ["", "training grows with T as T to the power"]
    for cell in CELLS:
        case = Case(cell, **BOUNDED)
        lengths = sorted({r["T"] for r in found["times"]})
        power = exponent(table, case, "companion.nn", "train", (lengths[0], lengths[-1]))
        lines.append(f"{cell:5} {power:.2f}")
    lines += ["", "training's highest memory mark, in MB"]
    for r in found["memory"]:
        marks = ", ".join(f"T = {T}: {mb:.0f}" for T, mb in zip(r["T"], r["MB"], strict=True))
        lines.append(f"{r['cell']:5} {r['who']:13} {marks}")
    lines.append("")
    for cell, bound in BOUNDS.items():
        ratio = table.ratio(Case(cell, **BOUNDED), "torch.nn", "train")
        verdict = "holds" if ratio <= bound else "DOES NOT HOLD"
        where = ", ".join(f"{k} = {v}" for k, v in BOUNDED.items())
        lines.append(
            f"training within {bound} of nn.{cell.upper()} at {where}: {ratio:.2f}, {verdict}"
        )
    return "\n".join(lines)


def processor() -> str:
    """The processor's name, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def about(times: list[dict[str, Any]], rounds: int, took: float) -> dict[str, Any]:
    """What the numbers depend on: processor, versions, threads; and how busy the machine was."""
    shares = sorted(share for record in times for share in record.pop("shares"))
    names = ("torch", "jax", "jaxlib", "numpy")
    installed = {d.metadata["Name"] for d in importlib.metadata.distributions()}
    versions = {name: importlib.metadata.version(name) for name in names if name in installed}
    return {
        "command": "python -m tools.bench --store book/results/cost.json",
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "share": {f"{q:.0%}": rounded(shares[int(q * (len(shares) - 1))], 2) for q in (0, 0.5, 1)},
        "rounds": rounds,
        "minutes": rounded(took / 60, 2),
        "versions": {"python": platform.python_version(), **versions},
    }


def store(found: dict[str, Any], path: Path) -> None:
    """Write the results, a record a line."""
    parts = []
    for key, value in found.items():
        if isinstance(value, list):
            rows = ",\n".join(f"  {json.dumps(row)}" for row in value)
            parts.append(f"{json.dumps(key)}: [\n{rows}\n]")
        else:
            parts.append(f"{json.dumps(key)}: {json.dumps(value)}")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def main() -> None:
    """Measure, print, and store if asked to."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--store", type=Path, metavar="FILE")
    given = parser.parse_args()
    on_one_processor()
    torch.set_num_threads(1)
    start = perf_counter()

    def say(text: str) -> None:
        print(f"{perf_counter() - start:4.0f} s  {text}", file=sys.stderr, flush=True)

    if not has_jax():
        say("JAX, an extra, is not installed: its column stays empty")
    found: dict[str, Any] = {"about": {}, "import": rounded(import_seconds())}
    found["times"] = measure(TIMED, given.rounds, say)
    found["memory"] = peaks(CELLS, [who for who in WHO if who != JAX], LENGTHS)
    say("the memory is measured")
    found["about"] = about(found["times"], given.rounds, perf_counter() - start)
    print(report(found))
    if given.store:
        store(found, given.store)


if __name__ == "__main__":
    main()
