"""The README's figure, book/_static/cells.svg: the one of the first page, out of its notebook.

python -m tools.readme
"""

from __future__ import annotations

from pathlib import Path

from tools.notebooks import read

BOOK = Path(__file__).resolve().parents[1] / "book"
FIGURE = BOOK / "_static" / "cells.svg"


def stored() -> str:
    """The figure that the first page stores."""
    outputs = (o for cell in read(BOOK / "intro.ipynb").cells for o in cell.get("outputs", []))
    svg: str = next(
        o.data["image/svg+xml"] for o in outputs if "image/svg+xml" in o.get("data", {})
    )
    return svg


if __name__ == "__main__":
    FIGURE.write_text(stored(), encoding="utf-8")
