"""The wheel by itself: what is in it, and that NumPy 2.0.2 and SymPy 1.13.3 are enough for it.

Those are the versions of Pyodide 0.27, in which the package runs inside a web page. The wheel is
built and installed offline, from a folder that is filled once from the package registry.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PYODIDE = ("numpy==2.0.2", "sympy==1.13.3")
# The modules that stand on torch, matplotlib or dask.
NEED_EXTRAS = (
    "companion.draw", "companion.nn", "companion.train", "companion.experiments.chung",
    "companion.experiments.counting",
    "companion.experiments.forecasting", "companion.experiments.listen",
    "companion.experiments.memory", "companion.experiments.progress",
    "companion.experiments.rolls", "companion.experiments.running",
    "companion.experiments.speech", "companion.experiments.stacks",
)  # fmt: skip

DOCTESTS = f"""
import doctest, importlib, pkgutil, companion
names = ["companion", *(m.name for m in pkgutil.walk_packages(companion.__path__, "companion."))]
names = [name for name in names if not name.startswith({NEED_EXTRAS})]
results = {{name: doctest.testmod(importlib.import_module(name)) for name in names}}
print(sum(result.attempted for result in results.values()))
raise SystemExit([name for name, result in results.items() if result.failed] or 0)
"""


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the build and the clean environment install."""
    if sys.version_info >= (3, 13):
        pytest.skip("NumPy 2.0.2 has no wheel for Python 3.13 or newer")
    folder = tmp_path_factory.mktemp("wheelhouse")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
    done = subprocess.run(
        [*command, "--dest", str(folder), "hatchling", *PYODIDE], capture_output=True, text=True
    )
    if done.returncode != 0:
        reason = f"the package registry cannot be reached: {done.stderr.strip()[-300:]}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="module")
def offline(wheelhouse: Path) -> dict[str, str]:
    """An environment in which pip takes everything from the folder, whatever else is set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return kept | {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheelhouse),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory, offline: dict[str, str]) -> Path:
    """The built sdist, and the wheel built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT), env=offline)
    return folder


@pytest.fixture(scope="module")
def python(
    tmp_path_factory: pytest.TempPathFactory, dist: Path, offline: dict[str, str]
) -> tuple[str, ...]:
    """The clean environment's Python, which sees neither this checkout nor this environment."""
    folder = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", str(folder))
    clean = str(folder / "bin" / "python")
    run(clean, "-m", "pip", "install", "--quiet", *PYODIDE, str(only(dist, "*.whl")), env=offline)
    return clean, "-I"


def run(*command: str, env: dict[str, str] | None = None) -> str:
    """What a command prints; its errors are shown if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def package_files() -> set[str]:
    """The package's files as they lie here."""
    files = (path for path in (ROOT / "companion").rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in files if path.suffix != ".pyc"}


def test_the_wheel_holds_the_package_and_nothing_else(dist: Path) -> None:
    with zipfile.ZipFile(only(dist, "*.whl")) as wheel:
        names = set(wheel.namelist())
    metadata = {name for name in names if ".dist-info/" in name}
    assert names - metadata == package_files()
    assert "companion/py.typed" in names
    assert {Path(name).name for name in metadata} >= {"METADATA", "RECORD", "LICENSE"}


def test_the_sdist_is_enough_to_build_and_holds_no_pages(dist: Path) -> None:
    with tarfile.open(only(dist, "*.tar.gz")) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert names >= package_files() | {"pyproject.toml", "README.md", "LICENSE"}
    top = {name.partition("/")[0] for name in names}
    assert top <= {"companion", "pyproject.toml", "README.md", "LICENSE", "PKG-INFO", ".gitignore"}


def test_numpy_and_sympy_are_all_that_is_installed(python: tuple[str, ...]) -> None:
    listed = run(*python, "-m", "pip", "list", "--format=freeze").split()
    names = {line.partition("==")[0] for line in listed}
    assert {*PYODIDE} <= {*listed}
    assert names - {"pip", "setuptools"} == {"mpmath", "numpy", "recurrent-companion", "sympy"}


def test_the_import_is_quick_and_brings_neither_torch_nor_matplotlib(
    python: tuple[str, ...],
) -> None:
    # Processor time, and the quickest of several, since other tests run beside this one.
    timed = "import time; t = time.process_time(); import companion; print(time.process_time() - t)"
    seconds: list[float] = []
    while len(seconds) < 10 and not any(s <= 0.7 for s in seconds):
        seconds.append(float(run(*python, "-c", timed)))
    assert min(seconds) <= 0.7, f"import companion took {min(seconds):.2f} s"
    # In this environment, where both are there to be imported.
    modules = run(sys.executable, "-c", "import companion, sys; print(*sys.modules)").split()
    assert "companion" in modules
    assert not {"torch", "matplotlib"} & {*modules}


def test_the_shipped_series_load_there(python: tuple[str, ...]) -> None:
    load = "from companion.data import departures, sunspots\n"
    show = "print(*sunspots().values.shape, *departures().values.shape)"
    assert run(*python, "-c", load + show).split() == ["309", "1", "8755", "3"]


def test_every_doctest_passes_there(python: tuple[str, ...]) -> None:
    assert int(run(*python, "-c", DOCTESTS)) > 10


def test_a_doctest_that_is_wrong_would_be_seen(python: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "companion").mkdir()
    (tmp_path / "companion" / "__init__.py").write_text('""">>> 1 + 1\n3\n"""\n')
    broken = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{DOCTESTS}"
    done = subprocess.run([*python, "-c", broken], capture_output=True, text=True)
    assert "['companion']" in done.stderr
