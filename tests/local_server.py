"""A web server on this machine, with pages in memory: no test of the downloads needs a network."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from companion.data import downloads, spoken


class Site:
    """What is served: path → content; paths whose answer breaks off; and what was asked for."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.broken: set[str] = set()
        self.asked: list[str] = []
        self.address = ""


@contextmanager
def serve(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[Site]:
    """All downloads come from a new site and go to this cache; COMPANION_DATA is not set."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            content = site.pages.get(self.path)
            self.send_response(200 if content is not None else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            content = content or b""
            self.wfile.write(content[: len(content) // 2] if self.path in site.broken else content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        use(monkeypatch, site.address, cache)
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def use(monkeypatch: pytest.MonkeyPatch, address: str, cache: Path) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.delenv("COMPANION_DATA", raising=False)
    monkeypatch.setattr(downloads, "RAW", address)
    monkeypatch.setattr(spoken, "HOST", address)
    for module in (downloads, spoken):
        monkeypatch.setattr(module, "cache", lambda: cache)
