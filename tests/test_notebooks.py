"""Every notebook of the book keeps the rules. nbval checks that its outputs are true."""

from pathlib import Path

import pytest

from tools.environment import BOOK
from tools.notebooks import check

NOTEBOOKS = sorted(BOOK.glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_the_rules(path: Path) -> None:
    assert check(path) == []


def test_the_book_has_notebooks() -> None:
    assert NOTEBOOKS, f"no notebook in {BOOK}"
