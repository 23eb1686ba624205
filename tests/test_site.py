"""The site that the sources give, and each of its guards on a page broken on purpose."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from site_pages import (
    Faults,
    Mode,
    Sight,
    broken_links,
    duplicate_ids,
    head_faults,
    invalid_html,
    look,
    missing_alt,
    other,
    outside_loads,
    pages,
)

from companion.draw.style import INK, TEXT

ROOT = Path(__file__).parents[1]
PAGE = "book/intro.html"  # the page that the tests break
FIRST_VIEW = 1_200_000  # bytes, compressed
STATIC = [invalid_html, duplicate_ids, head_faults, missing_alt, outside_loads, broken_links]


def build(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """What `make book` does."""
    program = Path(sys.executable).with_name("jupyter-book")
    command: list[str | Path] = [
        program,
        "build",
        source,
        "--path-output",
        out,
        "-W",
        "-n",
        "--keep-going",
    ]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built from the sources as they are, with warnings as errors."""
    out = tmp_path_factory.mktemp("site")
    done = build(ROOT, out)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return out / "_build" / "html"


@pytest.fixture
def broken(site: Path, tmp_path: Path) -> Callable[[str, str], Path]:
    """A copy of the site in which one page has been changed; the files are shared, not copied."""

    def breaking(old: str, new: str) -> Path:
        copy = tmp_path / "site"
        shutil.copytree(site, copy, copy_function=os.link)
        page = copy / PAGE
        text = page.read_text(encoding="utf-8")
        assert old in text, f"the page to be broken has no {old}"
        page.unlink()
        page.write_text(text.replace(old, new, 1), encoding="utf-8")
        return copy

    return breaking


@pytest.mark.slow
def test_a_broken_reference_stops_the_build(tmp_path: Path) -> None:
    book = tmp_path / "book"
    shutil.copytree(ROOT / "book", book, ignore=shutil.ignore_patterns("*.ipynb"))
    shutil.copytree(ROOT / "companion", tmp_path / "companion")
    shutil.copy(ROOT / "_config.yml", tmp_path)
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/only\n")
    (book / "only.md").write_text("# Only\n\n{func}`companion.no_such_function`\n")
    done = build(tmp_path, tmp_path)
    assert done.returncode == 1
    assert "companion.no_such_function" in done.stderr


@pytest.mark.parametrize("guard", STATIC)
def test_pages_are_sound(site: Path, guard: Callable[[Path], Faults]) -> None:
    found = {str(page.relative_to(site)): guard(page) for page in pages(site)}
    assert len(found) > 5
    assert {page: faults for page, faults in found.items() if faults} == {}


def test_figures_have_dark_twins_in_the_dark_inks(site: Path) -> None:
    twins = sorted(site.glob("_images/*-dark.svg"))
    assert twins
    only_light = set(INK) - set(INK.values())
    for twin in twins:
        svg = twin.read_text(encoding="utf-8")
        assert [ink for ink in only_light if ink in svg] == []
        assert INK[TEXT] in svg, twin


def test_titles_are_different(site: Path) -> None:
    titles = [page.read_text(encoding="utf-8").split("<title>")[1] for page in pages(site)]
    assert len({title.split("</title>")[0] for title in titles}) == len(titles)


BREAKS: list[tuple[Callable[[Path], Faults], str, str, str]] = [
    (invalid_html, "</article>", "</b></article>", "unexpected-end-tag"),
    (invalid_html, "<article", "<span><p>in a span</p></span><article", "<p> inside <span>"),
    (duplicate_ids, "</article>", '<p id="twin"></p><p id="twin"></p></article>', "'twin'"),
    (head_faults, "<title>", "<titles>", "titles: []"),
    (head_faults, 'name="description"', 'name="keywords"', "descriptions: []"),
    (missing_alt, "</article>", '<img src="x.svg"></article>', "no alt text: x.svg"),
    (missing_alt, "</article>", '<img src="x.svg" alt="x.svg"></article>', "no alt text: x.svg"),
    (outside_loads, "</head>", '<script src="//cdn.example/x.js"></script></head>', "cdn.example"),
    (outside_loads, "</article>", '<img src="http://a.example/x.png"></article>', "a.example"),
    (broken_links, "</article>", '<a href="gone.html">x</a></article>', "gone.html: no such file"),
    (broken_links, "</article>", '<a href="#gone">x</a></article>', "#gone: no such place"),
    (broken_links, "</article>", '<a href="api.html#gone">x</a></article>', "no such place on api"),
]


@pytest.mark.parametrize(("guard", "old", "new", "fault"), BREAKS)
def test_guards_see_a_broken_page(
    broken: Callable[[str, str], Path],
    guard: Callable[[Path], Faults],
    old: str,
    new: str,
    fault: str,
) -> None:
    assert fault in " ".join(guard(broken(old, new) / PAGE))


# In a browser


class Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of each request."""


# For this file only: while it is open, its event loop keeps others in this process from running.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((path for path in map(shutil.which, names) if path), None)
    if program is None:
        reason = f"no browser: none of {', '.join(names)} is installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=program, args=flags)


@pytest.fixture
def host() -> Iterator[Callable[[Path], str]]:
    """Serve a folder on this machine; the address."""
    servers = []

    def serve(folder: Path) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.slow
def test_readers_see_sound_pages(browser: Browser, site: Path, host: Callable[[Path], str]) -> None:
    """No request to another host, a clean console, nothing wider than the window, no violation
    of WCAG 2 A and AA, one picture per figure, a light first view.

    Each page is seen wide and narrow, light and dark; the frame, which all share, in all four
    combinations, since the pages take turns.
    """
    address = host(site)
    wide: Mode = "light"
    found = {}
    for page in pages(site):
        if page == site / "index.html":
            continue  # it leads on at once: the next test
        sight = look(browser, address, site, str(page.relative_to(site)), wide)
        wide = other(wide)
        assert 50_000 < sight.weight <= FIRST_VIEW, f"{page}: {sight.weight} bytes"
        sight.weight = 0
        if sight != Sight():
            found[page.name] = sight
    assert found == {}


@pytest.mark.slow
def test_the_front_door_the_search_and_the_button_for_colours_work(
    browser: Browser, site: Path, host: Callable[[Path], str]
) -> None:
    address = host(site)
    with browser.new_context(color_scheme="dark") as context:
        tab = context.new_page()
        tab.goto(address)
        tab.wait_for_url(f"{address}/{PAGE}")
        assert tab.evaluate("document.documentElement.dataset.theme") == "dark"
        tab.click(".theme-switch-button")
        assert tab.evaluate("document.documentElement.dataset.theme") == "light"
        tab.goto(f"{address}/search.html?q=loop")
        assert tab.wait_for_selector("ul.search li a", timeout=10_000)


HEAVY = '<img src="heavy.png" alt="a heavy picture">'
SIGHTS = {
    "outside": {'<script src="http://a.example/x.js"></script>': "http://a.example/x.js"},
    "console": {
        "<script>console.error('broken')</script>": "error: broken",
        "<script>console.warn('dubious')</script>": "warning: dubious",
        "<script>no_such_name</script>": "no_such_name is not defined",
        '<img src="gone.svg" alt="a picture">': "404",
    },
    "wide": {'<div style="width: 500px">wide</div>': "390 px, dark: page is"},
    "access": {
        '<p style="color: #777">pale</p>': "dark: color-contrast",
        '<p style="color: #999">paler</p>': "light: color-contrast",
        '<button type="button"></button>': "button-name",
    },
    "pictures": {'<figure id="f"></figure>': "figure f does not show one picture in dark mode"},
}


@pytest.mark.slow
def test_the_browser_sees_every_fault_of_a_broken_page(
    browser: Browser, host: Callable[[Path], str], broken: Callable[[str, str], Path]
) -> None:
    faults = [fault for guard in SIGHTS.values() for fault in guard]
    site = broken("</article>", "".join([*faults, HEAVY, "</article>"]))
    (site / "book" / "heavy.png").write_bytes(os.urandom(FIRST_VIEW))
    sight = look(browser, host(site), site, PAGE)
    for guard, shown in SIGHTS.items():
        for words in shown.values():
            assert words in " ".join(getattr(sight, guard)), guard
    assert sight.weight > FIRST_VIEW
