"""What the tests share."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools.notebooks import read, run_all, write

# The same examples each time: a failure can be repeated, and a slow machine is not a failure.
settings.register_profile("book", derandomize=True, deadline=None)
settings.load_profile("book")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest file first, or one worker would still be at it when the other has no more.

    The package's coverage is that of its tests, not of the notebooks: watched, SymPy takes twice
    its time. From here on only nbval reads the option.
    """
    items.sort(key=lambda item: item.path.name != "test_site.py")
    config.option.cov_source = None


@pytest.fixture
def shared_data() -> Callable[[str], Path]:
    """The path of a file among the downloads, in the folder that COMPANION_DATA names.

    Where that is missing the test is skipped, but not in continuous integration: there it fails.
    """

    def find(name: str) -> Path:
        folder = os.environ.get("COMPANION_DATA")
        path = Path(folder or "", name)
        if folder and path.exists():
            return path
        reason = (
            f"there is no {name} in the folder that COMPANION_DATA names, {folder}"
            if folder
            else f"COMPANION_DATA is not set: it names the folder of the downloads, with {name}"
        )
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    return find


@pytest.fixture
def chunks_in_float64(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Training is in float32; what is computed is tested in float64. For the class that cuts."""

    def double(cls: Any) -> None:
        cut = cls._cut

        def doubled(*given: Any) -> Any:
            chunk = cut(*given)
            return chunk._replace(**{k: getattr(chunk, k).double() for k in chunk._fields[:3]})

        monkeypatch.setattr(cls, "_cut", doubled)

    return double


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small page with one output of each kind, as the tool stores it."""
    about = {
        "image": {"alt": "A falling curve and a dot, for a test"},
        "figure": {"caption": "Does it fall?", "name": "fig-small"},
    }
    cells = [
        new_markdown_cell("# A small page"),
        new_code_cell(
            "import matplotlib.pyplot as plt\nimport sympy\n\n"
            "from companion.draw import COLOURS, use_style\n\nuse_style()"
        ),
        new_code_cell(
            "figure, axes = plt.subplots()\n"
            "axes.plot([3, 1, 2], color=COLOURS['gru'])\naxes.scatter([1], [1])\n"
            "axes.set(xlabel='step')\nplt.show()",
            metadata={"mystnb": about},
        ),
        new_code_cell("print('one')\nprint('two')"),
        new_code_cell("sympy.Symbol('x') ** 2"),
    ]
    path = tmp_path_factory.mktemp("stored") / "page.ipynb"
    write(path, new_notebook(cells=cells))
    assert asyncio.run(run_all([path])) == []
    return path


@pytest.fixture
def page(stored: Path) -> NotebookNode:
    """The small page, to be changed at will."""
    return read(stored)
