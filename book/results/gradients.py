"""The networks and the truncations of the chapter on gradients
(book/gradients.ipynb).

    python book/results/gradients.py     writes book/results/gradients.npz

Two parts. *Remember a sign*: of 20 inputs the first is +1 or −1, the rest
is noise; after the last, a linear read-out w·h + a of the state must tell
the sign. The logistic loss is made small by Adam on fresh batches. Each
cell has 16 units and starts in two ways, `drawn` and `turned` (see START).
*Truncations*: how far the gradients of truncated backpropagation are from
the full one, for the same untrained cells on the sunspots.

Seeds 0 to 9: seed k draws the parameters with default_rng(k), the read-out
and the training data with default_rng([k, 1]), the test data with
default_rng([k, 2]), the second part's read-out with default_rng([k, 3]).
Made with Python 3.11.7, NumPy 2.4.6 and torch 2.13.0 (CPU, float64, one
thread), under the settings of book/environment.env, in about 3 minutes on
one core; a second run gave the same file, byte for byte. Rounding differs
between processors, and training amplifies it: elsewhere the first steps
agree to many digits, the last ones only in their message.

All ten seeds train at once: the unmodified cell runs on stacks of matrices,
W (10, H, D) times x (10, D, B), and autograd differentiates it.
"""

from pathlib import Path

import numpy as np
import torch
from companion import gru, init, lstm, rnn, scan, zero_state
from companion.data import sunspots
from companion.nudge import states
from companion.parameters import parameter_set
from companion.symbolic import bptt
from companion.trace import trace

LENGTH, HIDDEN, BATCH, NOISE = 20, 16, 32, 0.5
STEPS, RATE, LIMIT = 1500, 0.01, 1.0
SEEDS, TESTED = range(10), 1000
SPANS = (1, 2, 4, 8, 16, 32, 64)
STORED = Path(__file__).with_suffix(".npz")

CELLS = {"rnn": rnn, "lstm": lstm, "gru": gru}
START = {
    "drawn": {"rnn": {}, "lstm": {}, "gru": {}},
    "turned": {
        "rnn": {"U": "orthogonal"},
        "lstm": {"bf": 3.0},
        "gru": {"bz": -3.0},
    },
}


def first(name, start, seed):
    """The parameters before training: all uniform within ±1/√H but for
    START, in which a number is the value of all components of a bias."""
    options = dict(START[start][name])
    biases = {k: options.pop(k) for k in list(options) if k[0] == "b"}
    rng = np.random.default_rng(seed)
    p = init(CELLS[name], 1, HIDDEN, rng, **options)
    filled = {k: np.full(HIDDEN, value) for k, value in biases.items()}
    return p._replace(**filled)


def sequences(rng, size):
    """Inputs (20, 1, size) and the signs (size,) that come first."""
    signs = rng.choice([-1.0, 1.0], size)
    xs = rng.normal(0, NOISE, (LENGTH, 1, size))
    xs[0, 0] = signs
    return xs, signs


def together(rngs, size):
    """The same for several seeds: (20, E, 1, size) and (E, size)."""
    xs, signs = zip(*(sequences(rng, size) for rng in rngs), strict=True)
    return torch.tensor(np.stack(xs, 1)), torch.tensor(np.stack(signs))


def logits(name, leaves, xs):
    """What the read-out says after the last input, (E, size)."""
    cell, (*weights, w, a) = CELLS[name], leaves
    p = parameter_set(name, tuple(trace(cell).parameters))(*weights)
    zeros = w.new_zeros(w.shape[0], HIDDEN, xs.shape[-1])
    state = (zeros,) * len(trace(cell).states)
    for x in xs:
        new = cell(x, *state, p)
        state = new if isinstance(new, tuple) else (new,)
    return (w @ state[0] + a)[:, 0]


def clip(gradients):
    """Shorten each seed's gradient to the length LIMIT if it is longer."""
    squares = sum((g**2).flatten(1).sum(1) for g in gradients)
    factors = (LIMIT / squares.sqrt()).clamp(max=1)
    for g in gradients:
        g *= factors[:, None, None]


def train(name, start, seeds=SEEDS, steps=STEPS):
    """Losses (E, steps), test accuracies (E,) and the last parameters."""
    drawn = [first(name, start, seed) for seed in seeds]
    rngs = [np.random.default_rng([seed, 1]) for seed in seeds]
    bound = HIDDEN**-0.5
    read = [rng.uniform(-bound, bound, (1, HIDDEN)) for rng in rngs]
    stacks = [np.stack(values) for values in zip(*drawn, strict=True)]
    stacks += [np.stack(read), np.zeros((len(drawn), 1))]
    leaves = [
        torch.tensor(v if v.ndim == 3 else v[..., None]).requires_grad_()
        for v in stacks
    ]
    optimiser = torch.optim.Adam(leaves, lr=RATE)
    losses = []
    for _ in range(steps):
        xs, signs = together(rngs, BATCH)
        wrong = -signs * logits(name, leaves, xs)
        loss = torch.nn.functional.softplus(wrong).mean(1)
        optimiser.zero_grad()
        loss.sum().backward()
        clip([leaf.grad for leaf in leaves])
        optimiser.step()
        losses.append(loss.detach().numpy())
    last = [leaf.detach() for leaf in leaves]
    rngs = [np.random.default_rng([seed, 2]) for seed in seeds]
    xs, signs = together(rngs, TESTED)
    right = (logits(name, last, xs) > 0) == (signs > 0)
    names = (*drawn[0]._fields, "w", "a")
    found = dict(zip(names, (v.numpy() for v in last), strict=True))
    found = {k: v[..., 0] if k[0] in "ba" else v for k, v in found.items()}
    return np.stack(losses, 1), right.double().mean(1).numpy(), found


def gradient(cell, xs, state, p, d):
    """All the parameters' gradients in one vector, given the outputs'."""
    found = bptt(cell, xs, state, p, d_outputs=d).p
    return np.concatenate([value.ravel() for value in found])


def deviations(name, start, seed):
    """How far truncated gradients are from the full one, for each of SPANS:
    relative error and cosine with chunks, then with windows, (4, spans)."""
    cell, p = CELLS[name], first(name, start, seed)
    bound = HIDDEN**-0.5
    w = np.random.default_rng([seed, 3]).uniform(-bound, bound, HIDDEN)
    years, spots, _ = sunspots()
    past = spots[years < 1900]
    series = (spots - past.mean()) / past.std()
    xs, target = series[:-1], series[1:, 0]
    outputs, _ = scan(cell, xs, zero_state(cell, p), p)
    d = (outputs @ w - target)[:, None] * w
    d[:100] = 0  # the first hundred years only lead in
    zero = np.zeros_like(states(cell, xs[:1], p))
    before = np.concatenate([zero, states(cell, xs, p)])

    def state(rows):
        parts = np.split(rows, len(trace(cell).states), axis=-1)
        return parts[0] if len(parts) == 1 else tuple(parts)

    full, found = gradient(cell, xs, state(zero[0]), p, d), []
    for k in SPANS:
        chunks = sum(
            gradient(cell, xs[t : t + k], state(before[t]), p, d[t : t + k])
            for t in range(0, len(xs), k)
        )
        ends = np.arange(100, len(xs))
        seen = np.stack([xs[ends - k + 1 + j] for j in range(k)])
        last = np.zeros((k, len(ends), HIDDEN))
        last[-1] = d[ends]
        windows = gradient(cell, seen, state(before[ends - k + 1]), p, last)
        row = []
        for cut in (chunks, windows):
            lengths = np.linalg.norm(cut), np.linalg.norm(full)
            error = np.linalg.norm(cut - full) / lengths[1]
            row += [error, cut @ full / np.prod(lengths)]
        found.append(row)
    return np.array(found).T


def main():
    """Make all results and store them; trained parameters in float32."""
    torch.set_num_threads(1)
    results = {"spans": np.array(SPANS)}
    for start in START:
        for name in CELLS:
            losses, accuracy, p = train(name, start)
            key = f"{start}_{name}"
            means = losses.reshape(len(SEEDS), -1, 25).mean(2)
            results[f"{key}_losses"] = means.astype(np.float32)
            results[f"{key}_begin"] = losses[:, :50]
            results[f"{key}_accuracy"] = accuracy
            for k, value in p.items():
                results[f"{key}_{k}"] = value.astype(np.float32)
            cuts = [deviations(name, start, seed) for seed in SEEDS]
            results[f"{key}_truncated"] = np.array(cuts)
            print(key, np.sort(accuracy), flush=True)
    np.savez_compressed(STORED, **results)


if __name__ == "__main__":
    main()
