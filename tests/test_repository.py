"""The repository's promises about itself: pins, sizes, links, licences, README, lint and types.

Each promise is a function that lists what breaks it; each has a test that breaks it on purpose.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import distribution, requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
SITE: dict[str, Any] = yaml.safe_load((ROOT / "_config.yml").read_text())
README = (ROOT / "README.md").read_text()
CITATION: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text())


def lines(name: str) -> list[str]:
    """The requirements that a file lists, without comments and blank lines."""
    stripped = (line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return [line for line in stripped if line]


def pins() -> dict[str, str]:
    """Each constrained distribution with its ==version."""
    constraints = map(Requirement, lines("constraints.txt"))
    return {canonicalize_name(line.name): str(line.specifier) for line in constraints}


def needed(name: str, extras: Iterable[str] = ()) -> set[str]:
    """The distributions that one needs here, with all that they need in turn."""
    found: set[str] = set()
    waiting = [(name, extra) for extra in ("", *extras)]
    seen = set(waiting)
    while waiting:
        owner, extra = waiting.pop()
        found.add(canonicalize_name(owner))
        for line in requires(owner) or ():
            requirement = Requirement(line)
            if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
                continue
            new = {(requirement.name, wanted) for wanted in ("", *requirement.extras)} - seen
            seen |= new
            waiting += new
    return found


def unpinned(names: Iterable[str], pinned: dict[str, str]) -> list[str]:
    """Names without a pin, or installed here in another version than the pinned one."""
    return [
        name
        for name in sorted(names)
        if name not in pinned
        or not Requirement(name + pinned[name]).specifier.contains(distribution(name).version)
    ]


def test_every_package_that_is_needed_is_pinned_and_here_in_that_version() -> None:
    names = needed("recurrent-companion", ["all"]) - {"recurrent-companion"}
    assert {"numpy", "torch", "sphinx", "pytest"} <= names  # direct ones and one further down
    assert unpinned(names, pins()) == []


def test_a_missing_pin_and_a_moved_pin_are_seen() -> None:
    assert unpinned(["numpy"], {}) == ["numpy"]
    assert unpinned(["numpy"], {"numpy": "==1.0"}) == ["numpy"]


def test_the_build_backend_is_pinned_too() -> None:
    assert {*PROJECT["build-system"]["requires"]} <= {*pins()}


def test_each_pin_is_one_exact_version() -> None:
    constraints = lines("constraints.txt")
    assert [line for line in constraints if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    assert len(pins()) == len(constraints)


def test_requirements_are_names_only_and_the_book_extra() -> None:
    names = lines("requirements.txt")
    assert names[:6] == ["jupyter-book", "numpy", "torch", "matplotlib", "sympy", "nbval"]
    assert names == PROJECT["project"]["optional-dependencies"]["book"]


def fenced(text: str, language: str) -> list[str]:
    """The fenced blocks of a language in a Markdown text."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_the_readme_shows_what_its_code_prints() -> None:
    (code,), (shown,) = fenced(README, "python"), fenced(README, "text")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == shown, done.stderr
    assert len(code.splitlines()) <= 12


def test_the_readme_is_short_and_its_files_exist() -> None:
    assert len(README.splitlines()) <= 100
    paths = re.findall(r"\]\((?!https?://)([^)#]+)", README)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_titles_and_versions_agree() -> None:
    title, version = SITE["title"], PROJECT["project"]["version"]
    assert README.startswith(f"# {title}\n")
    assert CITATION["title"].startswith(f"{title}:")
    assert PROJECT["project"]["description"].startswith(f"{title}:")
    assert CITATION["version"] == version == distribution("recurrent-companion").version
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_addresses_are_those_of_the_site() -> None:
    book, source = SITE["html"]["baseurl"], SITE["repository"]["url"]
    assert f"]({book})" in README
    assert f"git clone {source}" in README
    assert (CITATION["url"], CITATION["repository-code"]) == (book, source)
    assert PROJECT["project"]["urls"] == {"Book": book, "Source": source}


def test_both_licences_are_here_in_full() -> None:
    assert (ROOT / "LICENSE").read_text().startswith("MIT License\n")
    text = (ROOT / "LICENSE-text").read_text()
    assert text.startswith("Attribution 4.0 International\n")
    assert all(f"\nSection {n} -- " in text for n in range(1, 9))


def long_files(paths: Iterable[Path], limit: int = 300) -> list[str]:
    return [path.name for path in paths if len(path.read_text().splitlines()) >= limit]


def heavy_files(paths: Iterable[Path], limit: int = 10**6) -> list[str]:
    return [path.name for path in paths if path.stat().st_size > limit]


def tracked() -> list[Path]:
    """What git holds or would add; without git, there is nothing to ask."""
    if not (ROOT / ".git").exists():
        pytest.skip("this folder is no git checkout, so there are no tracked files to weigh")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file()]  # git also lists one deleted just now


def test_every_module_is_short() -> None:
    folders = (ROOT / name for name in ("companion", "tools", "tests", "book"))
    modules = [path for folder in folders for path in folder.rglob("*.py")]
    assert ROOT / "companion" / "cells.py" in modules
    assert long_files(modules) == []


def test_no_heavy_file_is_tracked() -> None:
    paths = tracked()
    assert ROOT / "README.md" in paths
    assert heavy_files(paths) == []


def test_a_long_and_a_heavy_file_are_seen(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text("x = 1\n" * 300)
    (tmp_path / "heavy.csv").write_bytes(b"0" * (10**6 + 1))
    assert long_files(tmp_path.glob("*.py")) == ["long.py"]
    assert heavy_files(tmp_path.iterdir()) == ["heavy.csv"]


LINT = {
    "ruff format": ("ruff", "format", "--check"),
    "ruff check": ("ruff", "check"),
    "mypy": ("mypy",),
}


@pytest.mark.lint
@pytest.mark.parametrize("tool", LINT)
def test_format_lint_and_types_are_clean(tool: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *LINT[tool]], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.lint
@pytest.mark.parametrize(
    ("tool", "source"),
    {
        "ruff format": "x=1\n",
        "ruff check": '"""A module."""\n\nimport os\n',
        "mypy": "def f(x):\n    return x\n",
    }.items(),
)
def test_an_ill_formed_file_is_seen(tool: str, source: str, tmp_path: Path) -> None:
    (tmp_path / "ill.py").write_text(source)
    config = ("--config-file" if tool == "mypy" else "--config", str(ROOT / "pyproject.toml"))
    done = subprocess.run(
        [sys.executable, "-m", *LINT[tool], *config, str(tmp_path / "ill.py")], capture_output=True
    )
    assert done.returncode == 1
