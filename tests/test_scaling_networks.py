"""lmlib.scaling.networks: its training against loops, torch's own, and a counter."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lmlib import corpora
from lmlib.scaling import networks

SOURCE = corpora.markov_logits(np.random.default_rng(0), 6, (1.0, 0.8))
WIDTHS = st.integers(1, 40)


def generators(count):
    return [torch.Generator().manual_seed(seed) for seed in range(count)]


# -------------------------------------------------------------------------------------- the network
def spec_loss(weights, replica, context, target):
    """-log P(target | context), one number at a time."""
    table, W, b, U, u = (w[replica].detach().double().numpy() for w in weights)
    V = U.shape[1]
    x = [value for k, symbol in enumerate(context) for value in table[k * V + symbol]]
    f = []
    for j in range(W.shape[1]):
        f.append(max(0.0, sum(x[i] * W[i, j] for i in range(len(x))) + b[0, j]))
    z = [sum(f[j] * U[j, w] for j in range(len(f))) + u[0, w] for w in range(V)]
    return math.log(sum(map(math.exp, z))) - z[target]


@settings(deadline=None, max_examples=25)
@given(WIDTHS, st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**31))
def test_losses_agree_with_a_loop(width, replicas, batch, seed):
    nets = networks.Networks(SOURCE, width, generators(replicas))
    nets.row.add_(0.3 * torch.randn(nets.row.shape, generator=torch.Generator().manual_seed(seed)))
    ids = torch.from_numpy(np.random.default_rng(seed).integers(0, 6, (replicas, batch, 3)))
    expected = [
        np.mean([spec_loss(nets.weights, r, line[:2], line[2]) for line in ids[r].tolist()])
        for r in range(replicas)
    ]
    assert nets.losses(ids).tolist() == pytest.approx(expected, rel=2e-5)
    shared = ids[:1]  # one text for all
    expected = [
        np.mean([spec_loss(nets.weights, r, line[:2], line[2]) for line in shared[0].tolist()])
        for r in range(replicas)
    ]
    assert nets.losses(shared).tolist() == pytest.approx(expected, rel=2e-5)


def test_the_weights_are_views_of_one_row():
    nets = networks.Networks(SOURCE, 8, generators(2))
    assert sum(w.numel() for w in nets.weights) == nets.row.numel()
    nets.row.fill_(0.5)
    assert all((w == 0.5).all() for w in nets.weights)


def test_the_first_weights_have_the_right_size():
    table, W, b, U, u = networks.Networks(SOURCE, 400, generators(2)).weights
    assert not b.any() and not u.any()
    assert table.std().item() == pytest.approx(1, rel=0.05)
    assert W.std().item() == pytest.approx(200**-0.5, rel=0.02)
    assert U.std().item() == pytest.approx(0.3 / 20, rel=0.05)
    assert not torch.equal(W[0], W[1])


# ----------------------------------------------------------------------------------------- counting
@pytest.mark.parametrize("width", [1, 8, 24, 100])
def test_training_costs_six_flop_for_each_parameter_and_token(width):
    nets = networks.Networks(SOURCE, width, generators(2))
    ids = torch.zeros((2, 10, 3), dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        torch.autograd.grad(nets.losses(ids).sum(), nets.weights)
    assert counter.get_total_flops() == 6 * networks.parameters(width, SOURCE) * 2 * 10
    _, W, _, U, _ = nets.weights
    assert networks.parameters(width, SOURCE) == W[0].numel() + U[0].numel()


@settings(deadline=None)
@given(st.floats(1, 1e7), st.integers(2, 80), st.integers(1, 3))
def test_width_for_is_the_nearest_multiple_of_four(params, symbols, order):
    source = corpora.MarkovSource(np.broadcast_to(1 / symbols, (symbols,) * (order + 1)))
    found = networks.width_for(params, source)
    assert found % 4 == 0
    gap = abs(math.log(networks.parameters(found, source) / params))
    for other in (found - 4, found + 4):
        if other >= 4:
            assert gap <= abs(math.log(networks.parameters(other, source) / params)) + 1e-12


# --------------------------------------------------------------------------------------- the recipe
@given(st.integers(1, 3000))
def test_the_schedule_rises_and_falls_once(steps):
    shares = [networks.schedule(step, steps) for step in range(steps)]
    top = shares.index(max(shares))
    assert shares[: top + 1] == sorted(shares[: top + 1])
    assert shares[top:] == sorted(shares[top:], reverse=True)
    assert all(0 < share <= 1 for share in shares)
    assert max(shares) == 1
    assert top <= 0.05 * steps
    if steps > 100:
        assert shares[0] < 0.3
        assert shares[-1] < 1e-3
        middle = shares[(steps + int(0.05 * steps)) // 2]
        assert middle == pytest.approx(0.5, abs=0.02)


def test_learning_rates_and_batches():
    assert networks.learning_rate(16, 1000) == pytest.approx(0.45 / 8)
    assert networks.learning_rate(16, 300_000) == pytest.approx(0.45 / 8)
    assert networks.learning_rate(16, 4_800_000) == pytest.approx(0.45 / 16)
    assert networks.learning_rate(256, 1000) == pytest.approx(0.45 / 64)
    assert [networks.batch_size(4**k) for k in (1, 5, 6, 7, 8, 9, 10, 12)] == [
        32, 32, 32, 64, 128, 256, 256, 256,
    ]  # fmt: skip


# ----------------------------------------------------------------------------------------- training
class Plain(nn.Module):
    """The same network, one at a time, from torch's own parts."""

    def __init__(self, weights, replica):
        super().__init__()
        self.table, self.W, self.b, self.U, self.u = (
            nn.Parameter(w[replica].detach().clone()) for w in weights
        )

    def forward(self, windows):
        V = self.U.shape[1]
        x = torch.cat(
            [nn.functional.embedding(windows[:, k] + k * V, self.table) for k in range(2)], 1
        )
        logits = nn.functional.linear(x, self.W.T, self.b[0]).relu() @ self.U + self.u
        return nn.functional.cross_entropy(logits, windows[:, 2])


def test_training_agrees_with_torch_one_network_at_a_time():
    tokens, width, seeds = 2000, 12, [(5, 0), (5, 1)]
    nets, losses = networks.train(SOURCE, width, tokens, seeds)
    batch = networks.batch_size(tokens)
    steps = tokens // batch
    assert losses.shape == (2, steps)
    for r, seed in enumerate(seeds):
        rng = np.random.default_rng(seed)
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        model = Plain(networks.Networks(SOURCE, width, [generator]).weights, 0)
        text = torch.from_numpy(np.ascontiguousarray(SOURCE.sample(rng, batch, 2 + steps)))
        rate = networks.learning_rate(width, tokens)
        optimiser = torch.optim.Adam(model.parameters(), lr=rate, betas=(0.9, 0.98))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: networks.schedule(step, steps)
        )
        curve = []
        for step in range(steps):
            loss = model(text[:, step : step + 3])
            curve.append(loss.item())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        np.testing.assert_allclose(losses[r], curve, rtol=1e-3)
        held_out = SOURCE.sample(np.random.default_rng(9), 20, 30)
        windows = torch.from_numpy(np.stack([held_out[:, k : 28 + k] for k in range(3)], -1))
        expected = model(windows.reshape(-1, 3)).item()
        assert networks.held_out(nets, held_out)[r] == pytest.approx(expected, rel=1e-3)


def test_held_out_counts_every_symbol_once():
    nets = networks.Networks(SOURCE, 4, generators(2))
    text = SOURCE.sample(np.random.default_rng(0), 900, 12)  # 9,000 predictions: uneven parts
    windows = torch.from_numpy(np.lib.stride_tricks.sliding_window_view(text, 3, axis=1).copy())
    whole = nets.losses(windows.reshape(1, -1, 3))
    np.testing.assert_allclose(networks.held_out(nets, text), whole.detach(), rtol=1e-6)


def test_a_network_learns_up_to_the_entropy_and_no_further():
    nets, losses = networks.train(SOURCE, 32, 100_000, [0, 1])
    text = SOURCE.sample(np.random.default_rng(1), 200, 102)
    floor = -np.log(SOURCE.token_probabilities(text)).mean()
    share = np.bincount(text.ravel()) / text.size
    excess = networks.held_out(nets, text) - floor
    assert (excess > 0).all()
    assert (excess < 0.02).all()
    assert -(share * np.log(share)).sum() - floor > 0.1, "there was something to learn"
    assert losses[:, -20:].mean() == pytest.approx(floor, abs=0.06)


def test_no_network_depends_on_those_beside_it():
    together, curves = networks.train(SOURCE, 8, 3000, [3, 4])
    for r, seed in enumerate((3, 4)):
        alone, curve = networks.train(SOURCE, 8, 3000, [seed])
        np.testing.assert_allclose(curve[0], curves[r], rtol=1e-4)
        for ours, theirs in zip(together.weights, alone.weights, strict=True):
            np.testing.assert_allclose(ours[r].detach(), theirs[0].detach(), rtol=5e-2, atol=5e-3)
    assert abs(curves[0] - curves[1]).max() > 0.01


def test_the_number_of_threads_is_given_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with networks.one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with pytest.raises(ZeroDivisionError), networks.one_thread():
            1 / 0  # noqa: B018
        assert torch.get_num_threads() == 2
        networks.train(SOURCE, 4, 100, [0])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


# ---------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width must be an integer of at least 1, got 0"),
        ({"width": 8.0}, "width must be an integer of at least 1, got 8.0"),
        ({"tokens": 31}, "tokens must be an integer of at least 32, got 31"),
        ({"tokens": 0}, "tokens must be an integer of at least 32, got 0"),
        ({"tokens": 1e4}, "tokens must be an integer"),
        ({"seeds": []}, "one seed or more"),
    ],
)
def test_bad_calls_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        networks.train(SOURCE, **({"width": 8, "tokens": 1000, "seeds": [0]} | change))


def test_no_width_has_no_parameters():
    with pytest.raises(ValueError, match="params must be positive, got 0"):
        networks.width_for(0, SOURCE)
