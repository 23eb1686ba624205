"""A part whose library is not installed says which extra brings it."""

import subprocess
import sys

import pytest

from companion.extras import missing


def fails(code, library):
    """The last line of a new Python's errors, without this library."""
    command = [sys.executable, "-c", f"import sys; sys.modules[{library!r}] = None\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("part", "library", "extra"),
    [
        ("companion.nn", "torch", "torch"),
        ("companion.nn.loop", "torch", "torch"),
        ("companion.train", "torch", "torch"),
        ("companion.train", "tqdm", "train"),
        ("companion.draw", "matplotlib", "draw"),
    ],
)
def test_a_part_without_its_library(part, library, extra):
    who = part.removesuffix(".loop")
    assert fails(f"import {part}", library) == (
        f"ModuleNotFoundError: {who} needs {library}, which is not installed: "
        f"pip install 'recurrent-companion[{extra}]'"
    )


@pytest.mark.parametrize(
    ("name", "library", "expected"),
    [
        ("example", "dask", "a run needs dask, which is not installed: pip install"),
        ("chung", "torch", "experiment 'chung' cannot be loaded: "),
    ],
)
def test_an_experiment_without_its_library(name, library, expected):
    code = f"from companion.experiments.__main__ import main\nmain(['run', {name!r}])"
    last = fails(code, library)
    assert last.startswith(f"python -m companion.experiments: {expected}")
    assert f"needs {library}" in last
    assert "recurrent-companion[" in last


def test_another_error_is_left_as_it_is():
    error = ModuleNotFoundError("No module named 'elsewhere'", name="elsewhere")
    assert missing("companion.nn", error) is error
