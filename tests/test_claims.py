"""The claims on trial: table and verdicts are one, and a verdict falls with its evidence."""

import re

import pytest

from tools.environment import BOOK
from tools.notebooks import read

PAGE = read(BOOK / "claims.ipynb")
FOUR = {"true", "true with conditions", "false", "cannot be said"}
OF_THE_PAGE = ["question", *map(str, range(1, 15))]


def sections():
    """For each claim its title, its text, and the cells between its heading and the next."""
    found, here = {}, None
    for cell in PAGE.cells:
        if cell.cell_type == "markdown":
            for part in re.split(r"(?m)^(?=\(claim-|## )", cell.source):
                heading = re.match(r"\(claim-(\S+)\)=\n### (.+)", part)
                if heading:
                    here = found[heading[1]] = {"title": heading[2], "text": "", "cells": []}
                elif part.startswith("## "):
                    here = None
                if here:
                    here["text"] += part + "\n"
        elif here:
            here["cells"].append(cell)
    return found


CLAIMS = sections()


def shown(cell):
    return "\n".join(o.data.get("text/markdown", "") for o in cell.outputs if "data" in o)


def code_with(mark):
    (cell,) = (c for c in PAGE.cells if c.cell_type == "code" and mark in c.source)
    return cell


def court():
    """A namespace in which `judge` is at work, with the page's table of verdicts."""
    names = {}
    for mark in ("VERDICTS = {", "RULE = {", "import numpy as np\nfrom companion"):
        exec(code_with(mark).source, names)
    return names


@pytest.fixture(autouse=True)
def in_the_book(monkeypatch):
    monkeypatch.chdir(BOOK)  # where its cells find the results


def test_the_question_and_its_fourteen_claims_come_first_each_in_its_own_words():
    assert list(CLAIMS)[:15] == OF_THE_PAGE
    for name in OF_THE_PAGE:
        assert re.search(r'(?m)^> .*"[^"]+"', CLAIMS[name]["text"]), name


def test_each_claim_is_judged_once_in_its_section_and_the_table_says_the_same():
    verdicts = court()["verdicts"]
    table = dict(re.findall(r"\(#claim-(\S+)\) \| (.+) \|", shown(code_with("titles = dict"))))
    assert table == verdicts and CLAIMS.keys() == verdicts.keys()
    assert set(verdicts.values()) == FOUR
    for name, claim in CLAIMS.items():
        judged = [c for c in claim["cells"] if re.search(rf'judge\(\s*"{name}",', c.source)]
        assert len(judged) == 1, name
        assert shown(judged[0]).startswith(f"**Verdict: {verdicts[name]}** ("), name


def test_every_link_of_the_page_leads_somewhere():
    every = {path: path.read_text(encoding="utf-8") for path in BOOK.glob("*.ipynb")}
    text = "\n".join(cell.source for cell in PAGE.cells)
    links = re.findall(r"\]\(([\w-]+\.(?:ipynb|md))\)", text)
    assert len(links) > 20 and all((BOOK / link).exists() for link in links)
    for label in re.findall(r"\{prf:ref\}`([\w-]+)`", text):
        assert any(f":label: {label}\\n" in source for source in every.values()), label
    entries = set(re.findall(r"@\w+\{(\w+),", (BOOK / "references.bib").read_text("utf-8")))
    assert set(re.findall(r"\{cite:[tp]\}`(\w+)`", text)) <= entries


def test_each_claim_has_a_cell_and_says_what_it_shows():
    for name, claim in CLAIMS.items():
        words = re.sub(r"(?m)^>.*$|^\(.*$|^###.*$|<!--.*?-->", "", claim["text"]).split()
        assert len(words) >= 25, name


@pytest.mark.parametrize(
    ("name", "evidence", "says"),
    [
        ("7", {"holds": True}, "the table is wrong"),
        ("7", {"refuted": True, "under": True}, "the table is wrong"),
        ("7", {}, "the table is wrong"),
        ("7", {"refuted": False}, "the evidence fails"),
        ("3", {"holds": 0.0}, "the evidence fails"),
        ("2", {"refuted": True, "under": False}, "the evidence fails"),
        ("better", {"holds": True}, "the table is wrong"),
        ("turing", {"refuted": True}, "the table is wrong"),
        ("min-gru", {"refuted": True, "under": True}, "the table is wrong"),
    ],
)
def test_no_verdict_without_its_evidence(name, evidence, says):
    with pytest.raises(AssertionError, match=f"^{name}: {says}$"):
        court()["judge"](name, "invented", **evidence)


@pytest.mark.parametrize("evidence", [{"under": True}, {"holds": True, "refuted": True}])
def test_no_verdict_from_evidence_that_says_two_things_or_half_a_thing(evidence):
    with pytest.raises(KeyError):
        court()["judge"]("1", "invented", **evidence)


SABOTAGE = {  # a claim: a piece of its cells, and what to put in its place
    "question": ("np.zeros((8, 8))", "np.eye(8)"),
    "2": ("0.75 * own", "0.1 * own"),
    "3": ("kept = after_noise(bf=40.0, bi=-40.0)", "kept = after_noise(bf=9.0, bi=-40.0)"),
    "4": ('uses(lstm, "sigmoid"), uses(gru, "sigmoid")', '(uses(gru, "sigmoid"),) * 2'),
    "6": ('both("copy", 40, "forget 5")', 'both("copy", 40, "forget 1")'),
    "14": ('main.refute("A5")', "any(main.on_integers(main.examples['A5']))"),
    "reset": ("under=reset.prove()", 'under=any(reset.on_integers(reset.examples["R1"]))'),
    "special": ("np.array([3.0])", "np.array([0.9])"),
    "open-reset": ("bz=np.full(4, 50.0)", "bz=np.full(4, 5.0)"),
    "min-gru": ("np.full((1, 1), 5.0)", "np.full((1, 1), 0.5)"),
    "keras": ("3 * 32", "2 * 32"),
    "num-units": ("(gru, 1, 32, rng)", "(gru, 1, 31, rng)"),
    "clipping": ("min(1.0, limit", "(limit"),
    "falling-loss": ("w - 0.003 * wrong", "w + 0.003 * wrong"),
    "shifted": (".cumsum()", ""),
    "turing": ("2.0**53", "2.0**52"),
}


@pytest.mark.parametrize("name", SABOTAGE)
def test_a_verdict_falls_when_its_evidence_is_spoilt(name):
    old, new = SABOTAGE[name]
    source = "\n".join(cell.source for cell in CLAIMS[name]["cells"])
    assert source.count(old) == 1
    names = court() | {"main": court()["theorems"]["The GRU is an LSTM"]}
    exec("from companion import min_gru\nstart = np.zeros(32)\nnoise = np.ones((200, 1))", names)
    exec(source, dict(names))
    spoilt = source.replace(old, new)
    with pytest.raises((AssertionError, ValueError), match=f"{name}: the evidence|state|shape"):
        exec(spoilt, dict(names))
