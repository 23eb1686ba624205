"""The fixed environment of book/environment.env, for every kernel and every test."""

import platform
from pathlib import Path

BOOK = Path(__file__).resolve().parents[1] / "book"

IS_X86 = platform.machine().lower() in {"x86_64", "amd64"}
"""Whether the environment fixes this machine's arithmetic, so that outputs can be compared."""


def environment() -> dict[str, str]:
    """The variables that this machine's kernels and tests are started with."""
    lines = (BOOK / "environment.env").read_text(encoding="utf-8").splitlines()
    variables = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    if not IS_X86:
        del variables["NPY_DISABLE_CPU_FEATURES"]
    return variables
