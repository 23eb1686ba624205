"""The guards of the built site: each takes pages and returns the faults it found, in plain words.

Static guards read the files; `look` opens a page in a browser. `tests/test_site.py` applies them
to the site that the sources give, and each of them to a page broken on purpose.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element

import html5lib
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response

Faults = list[str]
Mode = Literal["light", "dark"]

# Elements that may hold text and inline elements only (HTML standard, phrasing content), and
# elements that are not inline. A parser repairs only some of these nestings, and says so; a block
# inside a <span> it lets pass.
_INLINE_ONLY = {"span", "button", "label", "p", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "em"}
_INLINE_ONLY |= {"strong", "code", "kbd", "small", "sub", "sup", "i", "b", "cite", "dt", "summary"}
_BLOCK = {
    "div",
    "p",
    "pre",
    "ul",
    "ol",
    "dl",
    "table",
    "section",
    "article",
    "aside",
    "nav",
    "form",
}
_BLOCK |= {"figure", "blockquote", "header", "footer", "main", "details", "hr", "fieldset"}

# What a server compresses on its way; pictures and fonts are compressed already.
_COMPRESSED = {".html", ".css", ".js", ".json", ".svg", ".txt", ".xml"}


@cache
def parse(page: Path) -> tuple[Element, Faults]:
    """The page as a tree, and what a strict HTML5 parser says against it."""
    parser = html5lib.HTMLParser(namespaceHTMLElements=False)
    tree: Element = parser.parse(page.read_text(encoding="utf-8"))
    return tree, [f"line {line}: {code} {data or ''}" for (line, _), code, data in parser.errors]


def pages(site: Path) -> list[Path]:
    return sorted(page for page in site.rglob("*.html") if "_static" not in page.parts)


def invalid_html(page: Path) -> Faults:
    tree, faults = parse(page)
    for outer in tree.iter():
        if outer.tag in _INLINE_ONLY:
            inner = {str(element.tag) for element in outer.iter() if element is not outer}
            faults = faults + [f"<{tag}> inside <{outer.tag}>" for tag in sorted(inner & _BLOCK)]
    return faults


def duplicate_ids(page: Path) -> Faults:
    found = Counter(element.get("id") for element in parse(page)[0].iter() if element.get("id"))
    return [f"id {name!r} stands {n} times" for name, n in found.items() if n > 1]


def head_faults(page: Path) -> Faults:
    """A page needs a language, one title of its own and a description that a search can show."""
    tree = parse(page)[0]
    faults = [] if tree.get("lang") else ["no language"]
    titles = [title.text or "" for title in tree.iterfind("head/title")]
    if len(titles) != 1 or not titles[0].strip():
        faults.append(f"titles: {titles}; expected one")
    descriptions = [
        meta.get("content") or ""
        for meta in tree.iterfind("head/meta")
        if meta.get("name") == "description"
    ]
    if len(descriptions) != 1 or not 40 <= len(descriptions[0]) <= 180:
        faults.append(f"descriptions: {descriptions}; expected one of 40 to 180 characters")
    return faults


def missing_alt(page: Path) -> Faults:
    """A picture in the text says what it shows; one in the frame may be mere decoration."""
    tree = parse(page)[0]
    in_text = {id(image) for article in tree.iter("article") for image in article.iter("img")}
    faults = []
    for image in tree.iter("img"):
        alt = image.get("alt")
        silent = alt is None or (id(image) in in_text and not alt.strip())
        if silent or Path(alt or "").suffix in {".svg", ".png"}:  # a file name says nothing
            faults.append(f"no alt text: {image.get('src')}")
    return faults


def outside_loads(page: Path) -> Faults:
    """What the page would fetch from another host, found without a browser."""
    faults = []
    for element in parse(page)[0].iter():
        address = element.get("href") if element.tag == "link" else element.get("src")
        loads = element.tag != "link" or element.get("rel") not in {"canonical", "alternate"}
        if address and loads and (urlsplit(address).netloc or address.startswith("//")):
            faults.append(f"<{element.tag}> loads {address}")
    return faults


def _links(page: Path) -> Iterator[str]:
    for element in parse(page)[0].iter():
        for attribute in ("href", "src"):
            address = element.get(attribute)
            parts = urlsplit(address or "")
            if address and not parts.scheme and not parts.netloc:
                yield address


def broken_links(page: Path) -> Faults:
    """Links within the site that lead to no file, or to a place that the page does not have."""
    faults = []
    for address in _links(page):
        parts = urlsplit(address)
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        if target.is_dir():
            target /= "index.html"
        if not target.is_file():
            faults.append(f"{address}: no such file")
        elif parts.fragment and target.suffix == ".html":
            ids = {element.get("id") for element in parse(target)[0].iter()}
            if unquote(parts.fragment) not in ids:
                faults.append(f"{address}: no such place on {target.name}")
    return faults


@dataclass
class Sight:
    """What a browser met on one page."""

    outside: Faults = field(default_factory=list)  # requests to another host
    console: Faults = field(default_factory=list)  # errors, warnings, failed requests
    wide: Faults = field(default_factory=list)  # what makes the page wider than the window
    access: Faults = field(default_factory=list)  # violations of WCAG 2, levels A and AA
    pictures: Faults = field(default_factory=list)  # pictures that do not show in one of the modes
    weight: int = 0  # bytes of the first view, as a server that compresses sends them


_AXE_OPTIONS = {
    "resultTypes": ["violations"],
    "preload": False,  # it would fetch the style sheets again, one of them from a wrong address
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    "rules": {
        "label-content-name-mismatch": {"enabled": True},
        "target-size": {"enabled": True},
    },
}

# axe's time grows with the elements of a page, and most of them are alike. So, before it looks:
# - MathJax draws a formula with hundreds of elements whose glyphs are in the style sheet, where
#   axe sees no text. What it has to see, the container and its MathML, stays; the rest gives way
#   to its size.
# - Contrast is judged on one text of each look (colours, size, weight, opacity), which is marked.
# - Words of a program are coloured one by one; those without a mark become plain text.
_LIGHTER = """() => {
  const all = [...document.querySelectorAll('mjx-container > mjx-math')];
  const sizes = all.map(drawn => drawn.getBoundingClientRect());
  all.forEach((drawn, k) => {
    drawn.replaceChildren();
    drawn.style.cssText =
      `display: inline-block; width: ${sizes[k].width}px; height: ${sizes[k].height}px`;
  });
  const looks = new Map();
  for (const element of document.querySelectorAll('body *')) {
    const text = [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!(text || element.matches('input, textarea, select')) || !element.checkVisibility())
      continue;
    const own = getComputedStyle(element);
    const look = [own.color, own.fontSize, own.fontWeight, own.textShadow, element.tagName];
    let covered = false;
    for (let e = element; e; e = e.parentElement) {
      const style = getComputedStyle(e);
      if (style.opacity !== '1') look.push(style.opacity);
      if (covered) continue;
      if (style.backgroundImage !== 'none') look.push(style.backgroundImage);
      if (!/, 0\\)$|transparent/.test(style.backgroundColor)) look.push(style.backgroundColor);
      covered = /^rgb\\(/.test(style.backgroundColor);
    }
    if (!looks.has(look.join())) looks.set(look.join(), element);
  }
  looks.forEach(element => element.setAttribute('data-look', ''));
  for (const word of document.querySelectorAll('pre span, .sig span')) {
    const plain = word.getAttributeNames().every(name => name === 'class');
    if (plain && !word.childElementCount) word.replaceWith(word.textContent);
  }
  document.querySelectorAll('pre').forEach(program => program.normalize());
  axe.configure({rules: [{id: 'color-contrast', selector: '[data-look]'}]});
}"""

_WIDE = """() => {
  const edge = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= edge) return [];
  const wide = [...document.querySelectorAll('main *')]
    .filter(e => e.getBoundingClientRect().right > edge + 1)
    .map(e => e.tagName.toLowerCase() + '.' + e.className);
  return ['page is ' + document.documentElement.scrollWidth + ' px wide: ' + wide.slice(0, 5)];
}"""

_HIDDEN = """mode => [...document.querySelectorAll('article figure')]
  .filter(f => [...f.querySelectorAll('img')].filter(i => i.checkVisibility()).length !== 1)
  .map(f => `figure ${f.id} does not show one picture in ${mode} mode`)"""

_OPEN = """() => {
  document.querySelectorAll('details').forEach(fold => { fold.open = true; });
  document.querySelectorAll('.toggle-button').forEach(button => button.click());
  document.getAnimations().forEach(animation => animation.finish());
}"""

_READY = """() => Promise.all([
  document.fonts.ready, window.MathJax ? MathJax.startup.promise : null])"""


def other(mode: Mode) -> Mode:
    return "dark" if mode == "light" else "light"


def look(browser: Browser, host: str, site: Path, path: str, wide: Mode = "light") -> Sight:
    """Open a page as readers do, with everything unfolded: first wide, then narrow.

    wide: the colour mode of the wide window; the narrow one has the other.
    """
    sight = Sight()
    loaded: dict[str, int] = {}

    def asked(request: Request) -> None:
        if not request.url.startswith((host, "data:", "blob:")):
            sight.outside.append(request.url)

    def came(response: Response) -> None:
        file = site / unquote(urlsplit(response.url).path).lstrip("/")
        if response.url.startswith(host) and file.is_file():
            loaded[response.url] = compressed_size(file)
        if response.status >= 400:
            sight.console.append(f"{response.status} {response.url}")

    def said(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            sight.console.append(f"{message.type}: {message.text}")

    def failed(request: Request) -> None:
        # What the browser gives up because the page is left is not a fault of the page; a file
        # that is missing is answered, with 404, and said above.
        if request.failure != "net::ERR_ABORTED":
            sight.console.append(f"failed: {request.url}")

    with browser.new_context() as context:
        tab = context.new_page()
        tab.on("request", asked)
        tab.on("response", came)
        tab.on("console", said)
        tab.on("pageerror", lambda error: sight.console.append(f"error: {error}"))
        tab.on("requestfailed", failed)
        views: list[tuple[int, Mode]] = [(1280, wide), (390, other(wide))]
        for width, mode in views:
            tab.set_viewport_size({"width": width, "height": 800})
            tab.emulate_media(color_scheme=mode)
            tab.goto(f"{host}/{path}", wait_until="load")
            tab.evaluate(_READY)
            sight.weight = sight.weight or sum(loaded.values())  # the first visit: nothing cached
            tab.evaluate(_OPEN)
            where = f"{width} px, {mode}: "
            sight.wide += [where + fault for fault in tab.evaluate(_WIDE)]
            sight.pictures += [where + fault for fault in tab.evaluate(_HIDDEN, mode)]
            sight.access += [where + fault for fault in _violations(tab)]
    return sight


def _violations(tab: Page) -> Faults:
    tab.evaluate(AXE_SCRIPT)
    tab.evaluate(_LIGHTER)
    found = tab.evaluate("options => axe.run(document, options)", _AXE_OPTIONS)["violations"]
    return [
        f"{rule['id']}: {node['html'][:150]} {node['failureSummary'][:200]}"
        for rule in found
        for node in rule["nodes"]
    ]


@cache
def compressed_size(file: Path) -> int:
    content = file.read_bytes()
    return len(gzip.compress(content, 6)) if file.suffix in _COMPRESSED else len(content)
