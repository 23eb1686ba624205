"""The letters in a picture: how a name is typeset, how it is read again, where its ink is."""

from __future__ import annotations

import re
from functools import lru_cache

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from matplotlib.transforms import Bbox

_LETTER = re.compile(r"\$(\w)(?:_\{(\w+)\})?('?)\$")
_LABEL = re.compile(r"\$(\w)(\^\\circ)?_\{(t|t\{-\}1)\}\$")


def letter(name: str) -> str:
    r"""The name as it stands in a box.

    >>> letter("z"), letter("Un")
    ('$z$', '$U_{n}$')
    """
    plain = name.removesuffix("'")
    subscript = f"_{{{plain[1:]}}}" if plain[1:] else ""
    return f"${plain[0]}{subscript}{name[len(plain) :]}$" if name else ""


def name_of_letter(text: str) -> str | None:
    r"""The name that a text in a box stands for, None if it is no name but σ, tanh, × or +.

    >>> name_of_letter("$U_{n}$")
    'Un'
    """
    match = _LETTER.fullmatch(text)
    return "".join(part or "" for part in match.groups()) if match else None


def label(name: str) -> str:
    r"""What stands at the end of a wire: an input x is x_t, a state h is h_{t−1}, and h' is h_t.

    >>> print(label("x"), label("h"), label("h'"), label("xo"))
    $x_{t}$ $h_{t{-}1}$ $h_{t}$ $x^\circ_{t}$
    """
    now = name.startswith("x") or name.endswith("'")
    circle = r"^\circ" if name == "xo" else ""
    return f"${name[0]}{circle}_{{{'t' if now else 't{-}1'}}}$"


def name_of_label(text: str) -> str | None:
    """The inverse of `label`; None if the text is no label.

    >>> [name_of_label(label(name)) for name in ("x", "h", "h'", "xo")]
    ['x', 'h', "h'", 'xo']
    """
    match = _LABEL.fullmatch(text)
    if not match:
        return None
    prime = "'" if match[3] == "t" and match[1] != "x" else ""
    return match[1] + ("o" if match[2] else "") + prime


@lru_cache(maxsize=256)
def ink(text: str, size: float, weight: str = "normal") -> Bbox:
    """The box about a text's ink, in inches from where the text begins on its baseline."""
    extents = TextPath((0, 0), text, size, prop=FontProperties(weight=weight)).get_extents()
    return Bbox(extents.get_points() / 72)
