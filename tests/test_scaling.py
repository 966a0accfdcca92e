"""lmlib.scaling without the fits: laws, budgets, what a transformer costs, over-optimisation."""

import doctest
import math
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from lmlib import layernorm, scaling
from lmlib.scaling import published
from lmlib.scaling.accounting import Shape

FUZZ = settings(deadline=None)  # a busy machine is no error
SIZES = st.floats(1e3, 1e12)
EXPONENTS = st.floats(0.05, 1.0)
MODULES = ["laws", "allocation", "accounting", "isoflop", "selection", "overoptimisation"]


@st.composite
def additive_laws(draw):
    """Constants of Chinchilla's law under which both shortages matter around 1e8 and 1e10."""
    alpha, beta = draw(EXPONENTS), draw(EXPONENTS)
    return {
        "E": draw(st.floats(0.0, 4.0)),
        "A": draw(st.floats(0.1, 3.0)) * 1e8**alpha,
        "B": draw(st.floats(0.1, 3.0)) * 1e10**beta,
        "alpha": alpha,
        "beta": beta,
    }


def without_floor(law):
    return {name: law[name] for name in ("A", "B", "alpha", "beta")}


@pytest.mark.parametrize("module", ["", *(f".{name}" for name in [*MODULES, "fitting"])])
def test_the_examples_in_the_docstrings_are_true(module):
    module = import_module(f"lmlib.scaling{module}")
    assert doctest.testmod(module, extraglobs={"np": np}).failed == 0


# ------------------------------------------------------------------------------------------ laws
@FUZZ
@given(SIZES, SIZES, additive_laws(), st.floats(0.3, 8.0))
def test_the_laws_are_their_formulas(N, D, law, q):
    E, A, B, alpha, beta = law.values()
    assert scaling.chinchilla(N, D, **law) == pytest.approx(E + A / N**alpha + B / D**beta)
    mean = ((A / N**alpha) ** q + (B / D**beta) ** q) ** (1 / q)
    assert scaling.power_mean(N, D, **law, q=q) == pytest.approx(E + mean)
    assert scaling.power_law(N, scale=D, exponent=alpha) == pytest.approx(D**alpha / N**alpha)


@FUZZ
@given(SIZES, SIZES, SIZES, SIZES, EXPONENTS, EXPONENTS)
def test_kaplan_is_a_power_mean_without_a_floor(N, D, N_c, D_c, alpha_N, alpha_D):
    expected = ((N_c / N) ** (alpha_N / alpha_D) + D_c / D) ** alpha_D
    assert scaling.kaplan(N, D, N_c, D_c, alpha_N, alpha_D) == pytest.approx(expected)


@FUZZ
@given(SIZES, SIZES, additive_laws())
def test_the_power_mean_lies_between_sum_and_maximum(N, D, law):
    E, A, B, alpha, beta = law.values()
    losses = [float(scaling.power_mean(N, D, **law, q=q)) for q in (1.0, 2.0, 5.0, 500.0)]
    assert losses[0] == pytest.approx(scaling.chinchilla(N, D, **law))
    assert all(a >= b - 1e-9 * a for a, b in zip(losses, losses[1:], strict=False))
    assert losses[-1] == pytest.approx(E + max(A / N**alpha, B / D**beta), rel=2e-3)


@FUZZ
@given(SIZES, SIZES, additive_laws(), st.floats(1.1, 1e3))
def test_a_law_falls_with_either_resource_and_never_below_its_floor(N, D, law, more):
    here = scaling.chinchilla(N, D, **law)
    for there in (scaling.chinchilla(N * more, D, **law), scaling.chinchilla(N, D * more, **law)):
        assert law["E"] <= there <= here


@FUZZ
@given(st.floats(1.0, 1e4), st.floats(0.5, 50.0))
def test_repeated_data_are_worth_the_sum_of_a_geometric_decay(epochs, R_star):
    """The integral of exp(-r / R*) over the repetitions, on top of the first pass."""
    steps = np.linspace(0, min(epochs - 1, 40 * R_star), 20_001)
    decay = np.exp(-steps / R_star)
    worth = 1 + np.sum((decay[1:] + decay[:-1]) / 2 * np.diff(steps))
    assert scaling.effective(epochs * 7e9, 7e9, R_star) == pytest.approx(7e9 * worth, rel=1e-3)


@FUZZ
@given(st.floats(0.01, 1.0), st.floats(1.0, 1e6))
def test_repetition_gives_nothing_below_one_epoch_and_is_bounded_above(less, more):
    assert scaling.effective(less * 1e9, 1e9, 15.0) == pytest.approx(less * 1e9)
    assert scaling.effective(more * 1e9, 1e9, 15.0) <= min(more, 16.0) * 1e9 * (1 + 1e-12)


def test_data_constrained_law_gives_the_two_published_losses():
    """The models of Figure 1 (right) of Muennighoff et al. 2023, as their code prints them."""
    for N, D, expected in (
        (6.34e9, 242e9, 2.2256440889984477),
        (8.67e9, 178e9, 2.2269634075087867),
    ):
        loss = scaling.data_constrained(N, D, 25e9, **published.MUENNIGHOFF)
        assert float(loss) == pytest.approx(expected, abs=1e-9)


@FUZZ
@given(additive_laws(), st.floats(1e18, 1e24), st.floats(0.01, 1.0), st.floats(1.5, 100.0))
def test_parameters_are_discounted_beyond_what_the_unique_tokens_call_for(law, compute, less, more):
    """Up to the size for which the unique tokens are optimal, the law is Chinchilla's."""
    N, D = scaling.compute_optimal(compute, **without_floor(law))
    loss = scaling.data_constrained(less * N, D, D, **law, R_N=5.0, R_D=15.0)
    assert loss == pytest.approx(scaling.chinchilla(less * N, D, **law))
    loss = scaling.data_constrained(more * N, D, D, **law, R_N=5.0, R_D=15.0)
    worth = scaling.effective(more * N, N, 5.0)
    assert loss == pytest.approx(scaling.chinchilla(worth, D, **law), rel=1e-9)
    assert worth < more * N


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_laws_refuse_what_is_not_a_size(wrong):
    with pytest.raises(ValueError, match=r"params must be positive and finite, got"):
        scaling.chinchilla(wrong, 1e9, **published.HOFFMANN)
    with pytest.raises(ValueError, match="tokens must be positive"):
        scaling.kaplan(1e9, [1e9, wrong], 1e13, 1e13, 0.1, 0.1)
    with pytest.raises(ValueError, match="beta must be positive"):
        scaling.chinchilla(1e9, 1e9, **published.HOFFMANN | {"beta": wrong})
    with pytest.raises(ValueError, match="unique must be positive"):
        scaling.effective(1e9, wrong, 15.0)
    if wrong != 0:
        with pytest.raises(ValueError, match="E must be a finite number"):
            scaling.power_mean(1e9, 1e9, **published.HOFFMANN | {"E": wrong}, q=2)


# ----------------------------------------------------------------------------------- allocation
@settings(max_examples=50, deadline=None)
@given(additive_laws(), st.floats(0.5, 6.0), st.floats(1e17, 1e26))
def test_closed_form_and_search_find_the_same_optimum(law, q, compute):
    N, D = scaling.compute_optimal(compute, **without_floor(law), q=q)
    assert pytest.approx(compute) == 6 * N * D
    lowest = scaling.power_mean(N, D, **law, q=q)
    for factor in (0.9, 1.1):
        assert scaling.power_mean(N * factor, D / factor, **law, q=q) >= lowest
    if 10 < N < compute / 60:  # the search looks no further than one parameter, one token
        # E = 0: beside a large floor the valley's dip would drown in rounding
        found, _ = scaling.numeric_optimum(
            lambda n, d: scaling.power_mean(n, d, **law | {"E": 0.0}, q=q), compute
        )
        assert found == pytest.approx(N, rel=1e-3)


@FUZZ
@given(additive_laws(), st.floats(1e17, 1e24))
def test_the_optimum_grows_as_a_power_of_compute(law, compute):
    a = law["beta"] / (law["alpha"] + law["beta"])
    (N, tenfold), (D, more) = scaling.compute_optimal(
        np.array([compute, 10 * compute]), **without_floor(law)
    )
    assert tenfold / N == pytest.approx(10**a)
    assert more / D == pytest.approx(10 ** (1 - a))


def test_published_constants_ask_for_what_they_were_said_to():
    """Tokens per parameter at Chinchilla's own budget, 5.76e23 FLOP."""
    for law, ratio in (
        (published.HUBER_OPTIMUM, 17.9),
        (published.HOFFMANN, 58.9),
        (published.HOFFMANN_ROUNDED, 92.6),
    ):
        N, D = scaling.compute_optimal(5.76e23, **without_floor(law))
        assert round(float(D / N), 1) == ratio
    N, D = scaling.compute_optimal(5.76e23, **without_floor(published.HUBER_OPTIMUM))
    assert (round(float(N) / 1e9, 1), round(float(D) / 1e12, 2)) == (73.2, 1.31)


def test_rounded_constants_miss_the_papers_own_table():
    """Table A3, Approach 3: 9.2B tokens for 400M parameters, says the paper."""
    compute = np.geomspace(1e18, 1e21, 20_001)
    for law, tokens in ((published.HOFFMANN, 9.79), (published.HOFFMANN_ROUNDED, 14.5)):
        N, D = scaling.compute_optimal(compute, **without_floor(law))
        assert np.interp(400e6, N, D) / 1e9 == pytest.approx(tokens, rel=1e-2)


@settings(max_examples=50, deadline=None)
@given(additive_laws(), st.floats(0.05, 2.0), st.floats(0.0, 1e13))
def test_the_cheapest_model_for_its_use_beats_its_neighbours(law, excess, demand):
    loss = law["E"] + excess
    N, D = scaling.inference_optimal(loss, demand, **law)
    assert scaling.chinchilla(N, D, **law) == pytest.approx(loss)

    def cost(params):
        left = loss - law["E"] - law["A"] / params ** law["alpha"]
        return (
            params * (6 * (law["B"] / left) ** (1 / law["beta"]) + 2 * demand)
            if left > 0
            else math.inf
        )

    assert cost(N) <= min(cost(N * 0.98), cost(N * 1.02)) * (1 + 1e-9)


@settings(max_examples=50, deadline=None)
@given(additive_laws(), st.floats(0.1, 1.0))
def test_without_use_the_cheapest_model_is_the_compute_optimal_one(law, excess):
    N, D = scaling.inference_optimal(law["E"] + excess, 0, **law)
    expected = scaling.compute_optimal(6 * N * D, **without_floor(law))
    assert pytest.approx((N, D), rel=1e-6) == tuple(map(float, expected))


def test_the_more_a_model_is_used_the_smaller_and_the_longer_trained():
    law = published.HUBER_OPTIMUM
    plans = [scaling.inference_optimal(2.1, demand, **law) for demand in (0, 1e11, 1e12, 1e13)]
    N, D = zip(*plans, strict=True)
    assert sorted(N, reverse=True) == list(N) and sorted(D) == list(D)
    # Spending that budget on training and use together leads back to the same plan.
    budget = 6 * N[2] * D[2] + 2 * N[2] * 1e12
    found = scaling.numeric_optimum(
        lambda n, d: scaling.chinchilla(n, d, **law), budget, inference_tokens=1e12
    )
    assert found == pytest.approx((N[2], D[2]), rel=1e-3)


def test_scarce_data_make_the_best_model_smaller():
    law, unique, compute = published.MUENNIGHOFF, 25e9, 6 * 8.67e9 * 178e9
    N, D = scaling.numeric_optimum(
        lambda n, d: scaling.data_constrained(n, d, unique, **law), compute
    )
    # The authors' grid search: 227B tokens, 9.1 epochs, 6.8B parameters.
    assert (round(N / 1e9, 1), round(D / 1e9), round(D / unique, 1)) == (6.8, 227, 9.1)


def test_budgets_that_buy_nothing_are_refused():
    law = published.HUBER_OPTIMUM
    with pytest.raises(ValueError, match=r"no model reaches a loss of 1\.5: the law's floor E"):
        scaling.inference_optimal(1.5, 0, **law)
    with pytest.raises(ValueError, match="no model reaches"):
        scaling.inference_optimal(math.nan, 0, **law)
    with pytest.raises(ValueError, match="inference_tokens must be at least 0"):
        scaling.inference_optimal(2.5, -1, **law)
    with pytest.raises(ValueError, match="compute must be positive"):
        scaling.compute_optimal(0, **without_floor(law))

    def rising(n, d):
        return n * 1.0

    with pytest.raises(ValueError, match="best with one parameter"):
        scaling.numeric_optimum(rising, 1e12)
    with pytest.raises(ValueError, match="best with one token"):
        scaling.numeric_optimum(lambda n, d: 1 / n, 1e12)
    with pytest.raises(ValueError, match="do not pay"):
        scaling.numeric_optimum(rising, 5)
    with pytest.raises(ValueError, match="inference_tokens"):
        scaling.numeric_optimum(rising, 1e12, inference_tokens=math.nan)


# ----------------------------------------------------------------------------------- accounting
class Decoder(torch.nn.Module):
    """A transformer of the given shape, from torch's own parts; a spec, not fast."""

    def __init__(self, shape):
        super().__init__()
        C, A = shape.width, shape.attention_width
        self.shape, bias = shape, shape.biases
        self.words = torch.nn.Embedding(shape.vocabulary, C)
        if shape.positions == "learned":
            self.places = torch.nn.Embedding(shape.context, C)
        self.layers = torch.nn.ModuleList()
        for _ in range(shape.layers):
            parts = {
                "query_key_value": torch.nn.Linear(C, 3 * A, bias),
                "out": torch.nn.Linear(A, C, bias),
                "up": torch.nn.Linear(C, shape.feedforward, bias),
                "down": torch.nn.Linear(shape.feedforward, C, bias),
            }
            if shape.norms:
                parts["before"] = torch.nn.LayerNorm(C, bias=bias)
                parts["between"] = torch.nn.LayerNorm(C, bias=bias)
            self.layers.append(torch.nn.ModuleDict(parts))
        if shape.norms:
            self.final = torch.nn.LayerNorm(C, bias=bias)
        self.head = torch.nn.Linear(C, shape.vocabulary, bias=False)
        if shape.tied:
            self.head.weight = self.words.weight

    def forward(self, ids):
        x = self.words(ids)  # (B, T, C); residuals and norms multiply no matrix
        B, T, _ = x.shape
        for layer in self.layers:
            heads = layer["query_key_value"](x).view(B, T, 3, self.shape.heads, -1)
            query, key, value = heads.permute(2, 0, 3, 1, 4)  # (B, H, T, D) each
            attended = (query @ key.transpose(-2, -1)).softmax(-1) @ value
            x = x + layer["out"](attended.transpose(1, 2).reshape(B, T, -1))
            x = x + layer["down"](layer["up"](x).relu())
        return self.head(x)


@st.composite
def shapes(draw):
    small = st.integers(1, 5)
    return Shape(
        layers=draw(small),
        width=4 * draw(small),
        heads=draw(small),
        vocabulary=draw(st.integers(2, 40)),
        context=draw(st.integers(1, 12)),
        head_width=draw(small),
        feedforward=draw(st.integers(1, 40)),
        biases=draw(st.booleans()),
        positions=draw(st.sampled_from(["learned", "none"])),
        norms=draw(st.booleans()),
        tied=draw(st.booleans()),
    )


@settings(max_examples=30, deadline=None)
@given(shapes())
def test_parameters_are_what_torch_counts(shape):
    model = Decoder(shape)
    assert sum(scaling.parameters(shape).values()) == sum(p.numel() for p in model.parameters())
    tables = model.words.weight.numel() + (0 if shape.tied else model.head.weight.numel())
    if shape.positions == "learned":
        tables += model.places.weight.numel()
    everything = sum(p.numel() for p in model.parameters())
    assert scaling.without_embedding(shape) == everything - tables


@settings(max_examples=15, deadline=None)
@given(shapes(), st.integers(1, 3))
def test_flop_are_what_torch_counts(shape, batch):
    model = Decoder(shape)
    ids = torch.zeros(batch, shape.context, dtype=torch.long)
    with FlopCounterMode(display=False) as forward:
        model(ids)
    parts = scaling.flop_per_token(shape, backward=False)
    multiplications = sum(parts.values()) - parts["softmax"]  # torch counts matrix products alone
    assert multiplications * ids.numel() == forward.get_total_flops()
    with FlopCounterMode(display=False) as both:
        model(ids).sum().backward()
    parts = scaling.flop_per_token(shape)
    assert (sum(parts.values()) - parts["softmax"]) * ids.numel() == both.get_total_flops()


@pytest.mark.parametrize(("width", "heads", "depth"), [(32, 2, 2), (24, 3, 5)])
def test_the_decoder_of_this_project_is_counted(width, heads, depth):
    model = layernorm.Decoder(75, 16, width, heads, depth)
    shape = Shape(depth, width, heads, 75, 16, attention_biases=False, tied=False)
    counted = scaling.parameters(shape)
    assert sum(counted.values()) == sum(p.numel() for p in model.parameters())
    assert counted["embedding"] == model.token.weight.numel()
    ids = torch.zeros(2, 16, dtype=torch.long)
    with FlopCounterMode(display=False) as both:
        model(ids).sum().backward()
    flop = scaling.flop_per_token(shape)
    assert (sum(flop.values()) - flop["softmax"]) * ids.numel() == both.get_total_flops()


@FUZZ
@given(shapes())
def test_causal_attention_costs_the_pairs_that_look_back(shape):
    T = shape.context
    pairs = sum(position + 1 for position in range(T))
    causal, full = (scaling.flop_per_token(shape, causal=c) for c in (True, False))
    assert causal["scores"] * T == full["scores"] / T * pairs
    assert causal["softmax"] * T == full["softmax"] / T * pairs
    unchanged = ("projections", "feedforward", "logits")
    assert all(causal[name] == full[name] for name in unchanged)


@pytest.mark.parametrize("row", published.TABLE_A9, ids=lambda row: f"{row[0]}M")
def test_all_parameter_counts_of_chinchilla_table_A9(row):
    millions, *shape = row
    count = sum(scaling.parameters(scaling.chinchilla_shape(*shape)).values())
    assert abs(count / 1e6 - millions) < 0.5


def test_table_A9_has_its_fifty_models_and_six_whose_heads_do_not_fill_the_width():
    assert len(published.TABLE_A9) == 50
    odd = [row for row in published.TABLE_A9 if row[3] * row[4] != row[1]]
    assert len(odd) == 6
    errors = []
    for millions, width, feedforward, _, heads, layers in odd:
        naive = scaling.chinchilla_shape(width, feedforward, width, 1, layers)
        errors.append(sum(scaling.parameters(naive).values()) / 1e6 / millions - 1)
        assert heads > 1
    assert round(max(errors), 3) == 0.073


@pytest.mark.parametrize("row", published.TABLE_A4, ids=lambda row: f"{row[1]} wide")
def test_flop_ratios_of_chinchilla_table_A4(row):
    """They come out only without embedding and logits, whatever the text of the paper says."""
    layers, width, feedforward, heads, head_width, ratio = row
    shape = scaling.chinchilla_shape(width, feedforward, head_width, heads, layers)
    flop = scaling.flop_per_token(shape)
    counted = flop["projections"] + flop["scores"] + flop["softmax"] + flop["feedforward"]
    six_N = 6 * sum(scaling.parameters(shape).values())
    assert round(counted / six_N, 2) == ratio
    assert round((counted + flop["logits"]) / six_N, 2) > ratio


@FUZZ
@given(st.integers(1, 48), st.integers(1, 64), st.integers(1, 32))
def test_kaplans_twelve_l_d_squared(layers, head_width, heads):
    shape = Shape(layers, heads * head_width, heads, 50_000, 1024, biases=False, norms=False)
    assert scaling.without_embedding(shape) == 12 * layers * shape.width**2
    with_all = replace(shape, biases=True, attention_biases=True, norms=True)
    extra = scaling.without_embedding(with_all) - scaling.without_embedding(shape)
    assert extra == 13 * layers * shape.width + 2 * shape.width  # a share of about 1 / width


def test_the_count_of_GPT2_small():
    gpt2 = Shape(layers=12, width=768, heads=12, vocabulary=50257, context=1024)
    parts = scaling.parameters(gpt2)
    assert sum(parts.values()) - parts["positions"] == 123_653_376


@FUZZ
@given(shapes())
def test_relative_positions_cost_their_projection_once_a_context(shape):
    relative = replace(shape, positions="relative")
    T, l = shape.context, shape.layers  # noqa: E741
    C, A = shape.width, shape.attention_width
    extra = scaling.flop_per_token(relative, backward=False)["positions"]
    assert extra * T == l * (2 * T * C * A + 2 * T * T * A)
    added = scaling.parameters(relative)["attention"] - scaling.parameters(shape)["attention"]
    assert added == l * (C * A + 2 * A)


def test_impossible_shapes_are_refused():
    with pytest.raises(ValueError, match="5 heads do not divide the width 64"):
        Shape(2, 64, 5, 100, 32)
    with pytest.raises(ValueError, match="layers must be an integer of at least 1, got 0"):
        Shape(0, 64, 4, 100, 32)
    with pytest.raises(ValueError, match=r"vocabulary must be .* got 100\.0"):
        Shape(2, 64, 4, 100.0, 32)
    with pytest.raises(ValueError, match='"relative" or "none", got \'rotary\''):
        Shape(2, 64, 4, 100, 32, positions="rotary")


# ----------------------------------------------------------------------------- over-optimisation
@FUZZ
@given(st.lists(st.integers(-50, 50), min_size=1, max_size=6, unique=True), st.integers(1, 4))
def test_best_of_n_is_the_mean_over_all_draws(scores, n):
    reward = np.cos(scores)
    draws = np.stack(np.meshgrid(*[np.arange(len(scores))] * n), -1).reshape(-1, n)
    winners = draws[np.arange(len(draws)), np.array(scores)[draws].argmax(1)]
    assert scaling.best_of_n(scores, reward, n) == pytest.approx(reward[winners].mean())


@FUZZ
@given(st.integers(1, 200))
def test_best_of_n_moves_as_far_as_its_formula_says(n):
    """KL of the winner's rank, uniform before: the integral of f log f with f(u) = n u^(n-1)."""
    edges = np.linspace(0, 1, 20_001)
    wins = np.diff(edges**n)
    kl = np.sum(wins[wins > 0] * np.log(wins[wins > 0] * 20_000))
    assert scaling.best_of_n_kl(n) == pytest.approx(kl, abs=2e-3)


@FUZZ
@given(st.floats(0.1, 3.0), st.floats(0.01, 0.5), st.sampled_from(["best of n", "rl"]))
def test_gold_reward_is_fitted_exactly_and_peaks_where_it_should(alpha, beta, method):
    kl = np.geomspace(0.1, 30, 12)
    reward = scaling.gold_reward(kl, alpha, beta, method)
    d = np.sqrt(kl)
    assert reward == pytest.approx(d * (alpha - beta * (d if method == "best of n" else np.log(d))))
    assert scaling.fit_gold_reward(kl, reward, method) == pytest.approx((alpha, beta))
    peak = alpha / (2 * beta) if method == "best of n" else np.exp(alpha / beta - 1)
    if peak < 1e6:
        around = scaling.gold_reward((peak * np.array([0.97, 1, 1.03])) ** 2, alpha, beta, method)
        assert around[1] == around.max()


def test_gold_reward_starts_at_nothing():
    assert scaling.gold_reward(0.0, 1.0, 0.1, "rl") == 0
    assert scaling.gold_reward(0.0, 1.0, 0.1) == 0


def test_over_optimisation_refuses_what_it_cannot_mean():
    with pytest.raises(ValueError, match="unknown method 'ppo'; known: best of n, rl"):
        scaling.gold_reward(1.0, 1.0, 0.1, "ppo")
    with pytest.raises(ValueError, match="a KL divergence is at least 0"):
        scaling.gold_reward(-1.0, 1.0, 0.1)
    with pytest.raises(ValueError, match="at least 1 sample"):
        scaling.best_of_n_kl([1, 0])
    with pytest.raises(ValueError, match="at least 1 sample"):
        scaling.best_of_n([1.0, 2.0], [1.0, 2.0], 0)
    with pytest.raises(ValueError, match="a tie has no highest sample"):
        scaling.best_of_n([1.0, 1.0], [1.0, 2.0], 2)
    with pytest.raises(ValueError, match="one score and one reward"):
        scaling.best_of_n([1.0, 2.0], [1.0], 2)
    with pytest.raises(ValueError, match="two or more distances"):
        scaling.fit_gold_reward([1.0, 1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="all finite"):
        scaling.fit_gold_reward([1.0, 2.0], [1.0, math.nan])
