"""What the site needs beyond its extensions: all on its own host, sound pages, figures for both
colour modes.

Loaded by `_config.yml`. Some of the extensions write HTML that is broken, heavy or hard to reach
for a screen reader; `mend` repairs each such thing, with its reason beside it. What has been
mended is not mended again, so the pages of an earlier build may pass through once more.
"""

from __future__ import annotations

import html
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.ext import autodoc

# The API page documents the package beside this book, whatever else is installed.
sys.path.insert(0, str(Path(__file__).parents[2]))
from companion.draw.style import INK

# Pages that no source file describes.
DESCRIPTIONS = {
    "genindex": "All functions and terms of the book in alphabetical order.",
    "prf-prf": "All definitions, theorems and proofs of the book in one list.",
    "search": "Search the text, the equations' names and the code of the book.",
}

# Removed or replaced on every page, in this order.
REPAIRS = [
    # 1.5 MB of script that draws a dozen icons; the theme's style sheet draws the same by itself.
    (r'<script src="[^"]*scripts/fontawesome\.js[^"]*"></script>', ""),
    # The repository may live anywhere; and one brand's logo would cost a font of 118 kB.
    ("fab fa-github", "fas fa-code-branch"),
    # Choose the colours before the first paint, not after the last script; without scripts the
    # theme's light colours serve only where no attribute stands.
    (r'(<html[^>]*) data-theme="auto"', r"\1"),
    (
        r'localStorage\.getItem\("theme"\) \|\| "auto"',
        'localStorage.getItem("theme") || '
        '(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")',
    ),
    # Names for screen readers that contradict what is seen.
    (r'(search-button-field[^>]*) title="Search" aria-label="Search"', r"\1"),
    (r'(theme-switch-button[^>]*) aria-label="[^"]*"', r"\1"),
    (r'<summary aria-label="[^"]*">', "<summary>"),
    # No paragraphs in a summary.
    (r'<p class="(collapsed|expanded) admonition-title">(.*?)</p>', r'<span class="\1">\2</span>'),
    # The same id in all proofs, exercises and solutions of a page.
    (r'(<section[^>]*) id="(?:proof|exercise|solution)-content"', r"\1"),
    (
        r'<div class="proof admonition" id="proof">\s*<p>Proof\.',
        '<div class="proof proof-text admonition"><p><em>Proof.</em>',
    ),
    # A role that was withdrawn, inside a list.
    ('role="doc-biblioentry"', 'role="listitem"'),
]

FIGURE = re.compile(r'<img (?![^>]*only-)([^>]*?)src="([^"]*_images/[^"]+)\.svg"([^>]*?)\s*/?>')


def mend(page: str) -> str:
    """The page without the faults of REPAIRS."""
    for fault, repair in REPAIRS:
        page = re.sub(fault, repair, page)
    return page


def dark(svg: str) -> str:
    """A figure in the colours of the dark page."""
    return re.sub("|".join(INK), lambda colour: INK[colour[0].lower()], svg, flags=re.IGNORECASE)


def both_modes(page: str, folder: Path) -> str:
    """Every SVG figure of the page twice, light and dark; the theme shows the one that fits.

    folder: where the page lies. The dark file is written beside the light one.
    """

    def twice(figure: re.Match[str]) -> str:
        before, name, after = figure.groups()
        svg = (folder / f"{name}.svg").read_text(encoding="utf-8")
        (folder / f"{name}-dark.svg").write_text(dark(svg), encoding="utf-8")
        # The size keeps the page from jumping when the figure arrives; SVG counts in points.
        head = svg[: svg.index(">", svg.index("<svg"))]
        size = "".join(
            f' {side}="{float(points) * 4 / 3:.0f}"'
            for side, points in re.findall(r'\s(width|height)="([\d.]+)pt"', head)
        )
        images = "".join(
            f'<img class="only-{mode}" {before}src="{source}.svg"{after} loading="lazy"{size}>'
            for mode, source in (("light", name), ("dark", f"{name}-dark"))
        )
        # One element around both: the theme hides the caption that follows a hidden image.
        return f'<span class="both-modes">{images}</span>'

    return FIGURE.sub(twice, page)


# What a page may ask MathJax for: the program and its fonts; on demand rarer TeX commands, and for
# those who cannot see them, formulas read aloud.
MATHJAX = [
    "tex-chtml.js",
    "output/chtml/fonts/woff-v2/*",
    "input/tex/extensions/*",
    "input/mml.js",
    "a11y/*",
    "sre/mathmaps/base.json",
    "sre/mathmaps/en.json",
]


def own_mathjax(static: Path) -> None:
    """Copy that much of MathJax, which otherwise comes from another host."""
    spec = find_spec("sphinx-mathjax-offline")
    assert spec is not None and spec.origin is not None, "sphinx-mathjax-offline is not installed"
    source = Path(spec.origin).parent / "static" / "mathjax"
    for file in (file for pattern in MATHJAX for file in source.glob(pattern)):
        target = static / "mathjax" / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)


def front_door(app: Sphinx) -> str:
    """The page at the site's address leads to the first page of the book."""
    first, title = f"{app.config.root_doc}.html", html.escape(app.config.html_title)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<meta name="description" content="{title}: recurrent networks derived, proved and run.">
<meta http-equiv="refresh" content="0; url={first}">
<link rel="canonical" href="{app.config.html_baseurl}{first}">
<link rel="icon" href="_static/{Path(app.config.html_favicon).name}">
</head>
<body><p><a href="{first}">{title}</a></p></body>
</html>
"""


def describe(app: Sphinx, name: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """A description for the generated pages, and one description for search and for sharing."""
    if name in DESCRIPTIONS:
        context["metatags"] = f'<meta name="description" content="{DESCRIPTIONS[name]}">'
        context.setdefault("pagetitle", context.get("title") or name.capitalize())
    own = re.search(r'<meta content="([^"]*)" name="description"', context.get("metatags", ""))
    if own is not None:
        context["meta"] = {**(context.get("meta") or {}), "og:description": html.unescape(own[1])}


def finish(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    site = Path(app.outdir)
    own_mathjax(site / "_static")
    (site / "index.html").write_text(front_door(app), encoding="utf-8")
    for path in site.rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        mended = both_modes(mend(page), path.parent)
        if mended != page:
            path.write_text(mended, encoding="utf-8")


def address(app: Sphinx, config: Any) -> None:
    """The public address and the repository are written once, in _config.yml."""
    config.ogp_site_url = config.html_baseurl
    # {test}`test_theorems.py` on a page leads to the test that stands behind it.
    source = config.html_theme_options["repository_url"]
    config.extlinks = {"test": (f"{source}/blob/main/tests/%s", "tests/%s")}


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("figure_ink", INK, "html")  # other colours: write every page anew
    # A dispatched function has one signature for the reader, not one for each kind of number.
    autodoc.inspect.is_singledispatch_function = lambda _: False
    app.connect("config-inited", address)
    app.connect("html-page-context", describe, priority=400)  # before the extension for sharing
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
