"""What a training run tells: its history, its bar, and its errors."""

import io
import json
import sys

import numpy as np
import pytest
import torch
from adding import Stacked, adding, error, errors
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from companion.train import History, train


def test_the_history_is_a_plain_table():
    def run(steps=25):
        return train(
            Stacked((0,)),
            error,
            adding,
            steps=steps,
            every=10,
            validate=lambda m: error(m, adding(99)).item(),
        )

    history = run()
    assert isinstance(history, History) and history == run() and history != run(24)
    assert not np.array_equal(history.seconds, run().seconds)
    assert (np.diff(history.seconds) > 0).all()
    assert history.steps.tolist() == list(range(25))
    rows = json.loads(json.dumps(history.rows()))
    assert [row["step"] for row in rows] == list(range(26))
    assert rows[7] == {
        "step": 7,
        "validation": None,
        "loss": history.losses[7],
        "norm": history.norms[7],
        "rate": 0.001,
        "seconds": history.seconds[7],
    }
    assert rows[20]["validation"] == history.validations[1] and rows[25]["loss"] is None
    shown = str(history).splitlines()
    assert shown[0].split() == ["step", "loss", "validation", "norm", "rate"]
    assert [line.split()[0] for line in shown[1:-1]] == ["10", "20", "25"]
    assert shown[-1] == "ended: steps"
    assert len(str(train(Stacked((0,)), error, adding, steps=200)).splitlines()) == 14
    with pytest.raises(TypeError, match="unhashable"):
        hash(history)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "progress", "shown"),
    [(Terminal, True, True), (Terminal, False, False), (io.StringIO, True, False)],
)
def test_the_bar_is_for_terminals(stream, progress, shown, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream())
    train(Stacked((0,)), error, adding, steps=3, progress=progress)
    written = sys.stderr.getvalue()
    assert ("3/3" in written and "loss 0." in written) if shown else not written


@pytest.mark.slow
def test_a_notebook_stores_no_bar():
    cell = new_code_cell(
        "import torch\nfrom companion.train import train\n"
        "model = torch.nn.Linear(1, 1)\nxs = torch.ones(2, 1)\n"
        "history = train(model, lambda m, xs: m(xs).square().mean(), lambda s: xs, steps=300)\n"
        "len(history.losses)"
    )
    notebook = new_notebook(cells=[cell])
    NotebookClient(notebook, kernel_name="python3").execute()
    assert [output["data"]["text/plain"] for output in cell.outputs] == ["300"]


def named(**changes):
    given = {"model": Stacked((0,)), "loss": error, "batches": adding, "steps": 2}
    return given | changes


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"model": error}, TypeError, "model is a function; expected a torch.nn.Module"),
        ({"model": torch.nn.Tanh()}, ValueError, "model, a Tanh, has no parameters to train"),
        ({"steps": 0}, ValueError, "steps is 0; expected a positive integer"),
        ({"steps": 2.0}, ValueError, "steps is 2.0; expected a positive integer"),
        ({"every": True}, ValueError, "every is True; expected a positive integer"),
        ({"rate": 0}, ValueError, "rate is 0; expected a positive number, or one for each"),
        ({"rate": np.nan}, ValueError, "rate is nan; expected a positive number"),
        ({"rate": []}, ValueError, r"rate is \[\]; expected"),
        ({"rate": [[1.0]]}, ValueError, r"rate is \[\[1.0\]\]; expected"),
        ({"rate": [1.0, 2.0]}, ValueError, r"rate has 2 values and loss has shape \(\); expected"),
        ({"clip": 0}, ValueError, "clip is 0; expected a positive number, or None"),
        ({"clip": np.nan}, ValueError, "clip is nan; expected a positive number, or None"),
        ({"clip": "1"}, ValueError, "clip is '1'; expected a positive number, or None"),
        ({"clip": [1.0, 2.0]}, ValueError, r"clip is \[1.0, 2.0\]; expected a positive number"),
        ({"loss": None}, TypeError, r"loss is a NoneType; expected a function \(model, batch\)"),
        ({"batches": [1]}, TypeError, "batches is a list; expected a function of the step"),
        ({"schedule": 0.5}, TypeError, "schedule is a float; expected a function of the step, or"),
        ({"validate": 0.5}, TypeError, "validate is a float; expected a function of the model, or"),
        ({"optimiser": "adam"}, TypeError, r"optimiser is a str; expected a function \(paramet"),
        ({"optimiser": torch.optim.LBFGS}, TypeError, "optimiser made a LBFGS, whose step comp"),
        ({"validate": lambda m: None}, TypeError, "validate returned None; expected a number"),
        ({"validate": lambda m: "1"}, TypeError, "validate returned '1'; expected a number"),
        ({"patience": 3}, ValueError, "patience is 3, but validate is None; expected a function"),
        ({"patience": 0, "validate": error}, ValueError, "patience is 0; expected a positive"),
        ({"loss": lambda m, b: 1.0}, ValueError, "loss is 1.0; expected a tensor of shape"),
        ({"loss": lambda m, b: m.W}, ValueError, r"loss has shape \(1, 4, 2\); expected a tensor"),
        ({"loss": lambda m, b: m.w[:0, 0, 0]}, ValueError, r"loss has shape \(0,\); expected"),
        ({"loss": lambda m, b: torch.tensor(1.0)}, ValueError, "loss depends on none of the mod"),
        (
            {"loss": lambda m, s: errors(m, adding(s)) if s else error(m, adding(s))} | {
                "batches": int
            },
            ValueError,
            r"loss at step 1 has shape \(1,\); expected \(\), as before",
        ),
        (
            {"validate": lambda m: [1.0, 2.0]},
            ValueError,
            r"validate returned shape \(2,\); expected \(\), as the loss has",
        ),
        (
            {"optimiser": lambda p, lr: torch.optim.lr_scheduler.StepLR},
            TypeError,
            "optimiser made a type; expected a torch.optim.Optimizer",
        ),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(changes, kind, message):
    with pytest.raises(kind, match=message):
        train(**named(**changes))
