"""How much memory one program takes at its highest, by the length of the sequences.

Run by `make bench`, each time in a process of its own: a process's highest mark never falls, so
nothing else may have been in it, and the lengths must grow.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import torch

from tools.contenders import Case, make


def mark() -> int:
    """The most memory that this process has had so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # a process's ru_maxrss begins, on Linux, with that of its parent
        text = status.read_text()
        return 1024 * int(text.partition("VmHWM:")[2].split()[0])
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def peaks(who: str, cells: Case, lengths: list[int]) -> list[int]:
    """What training adds to the mark that ten steps leave, for each length. cells: T is ignored."""
    make(cells._replace(T=10), who).train()
    before, found = mark(), []
    for length in lengths:
        make(cells._replace(T=length), who).train()
        found.append(mark() - before)
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    who, case, lengths = map(json.loads, sys.argv[1:])
    print(json.dumps(peaks(who, Case(*case), lengths)))
