"""The file from which an interrupted run goes on to the same result.

It holds all that the next step depends on: the model, the optimiser, how each model fared, the
history, and the state of torch's random numbers (dropout draws from them). Batches need no place in
it, since they are a function of the step. It appears under its name only when it is whole.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

FORMAT = "companion.train 1"


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint: to a file beside it, to the disk, and only then under its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    with open(partial, "wb") as file:
        torch.save({"format": FORMAT, **plain(content)}, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def plain(value: Any) -> Any:
    """The same with Python's numbers in place of NumPy's, which torch writes but does not read."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {plain(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, tuple | list):
        entries = [plain(entry) for entry in value]
        return tuple(entries) if isinstance(value, tuple) else entries
    return value


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint. Raises ValueError, with the path, if it is not a whole one."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch.load does not look at the checksums
        if damaged:
            raise ValueError(f"{damaged} has another checksum than when it was written")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what torch raises on a damaged file is of many kinds
        raise ValueError(
            f"checkpoint {path} cannot be read ({error}); expected a file that train wrote: "
            "without it training begins anew"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(
            f"checkpoint {path} is a torch file of another kind; expected one that train wrote"
        )
    return content


def agree(path: Path, stored: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise ValueError if a checkpoint was made with other settings."""
    for name in {**now, **stored}:
        then, given = stored.get(name, "missing"), now.get(name, "missing")
        if then != given:
            raise ValueError(
                f"checkpoint {path} was made with {name} {then}, but now it is {given}; expected "
                "the same (with another path, or without the file, training begins anew)"
            )


def random_state(devices: set[torch.device]) -> dict[str, Any]:
    """The state of torch's random numbers, on the processor and on the model's devices."""
    cuda = {str(d): torch.cuda.get_rng_state(d) for d in devices if d.type == "cuda"}
    return {"cpu": torch.get_rng_state(), **cuda}


def set_random_state(state: dict[str, Any], devices: set[torch.device]) -> None:
    """Go on with the random numbers where they were."""
    torch.set_rng_state(state["cpu"])
    for device in devices:
        if str(device) in state and device.type == "cuda":
            torch.cuda.set_rng_state(state[str(device)], device)
