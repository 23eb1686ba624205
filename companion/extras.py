"""What some parts need beyond NumPy and SymPy, and how to get it."""

from __future__ import annotations

EXTRAS = {
    "torch": "torch",
    "matplotlib": "draw",
    "pooch": "data",
    "scipy": "data",
    "tqdm": "train",
    "dask": "experiments",
    "distributed": "experiments",
}


def missing(who: str, error: ModuleNotFoundError) -> ModuleNotFoundError:
    """The error that says which extra to install; the same one if no extra would help.

    >>> print(missing("companion.nn", ModuleNotFoundError("No module named 'torch'", name="torch")))
    companion.nn needs torch, which is not installed: pip install 'recurrent-companion[torch]'
    """
    module = (error.name or "").partition(".")[0]
    if module not in EXTRAS:
        return error
    command = f"pip install 'recurrent-companion[{EXTRAS[module]}]'"
    return ModuleNotFoundError(
        f"{who} needs {module}, which is not installed: {command}", name=module
    )
