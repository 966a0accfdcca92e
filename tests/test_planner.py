"""The budget planner: its two optima, its plan, and a page that computes the same."""

import functools
import gzip
import json
import math
import re
from importlib import resources

import numpy as np
import pytest
import site_checks as checks
from explorer_page import (
    STATIC,
    Tables,
    expect_text,
    overflow,
    stays_in_place,
    visits,
    write_pages,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar

from lmlib import corpora, scaling
from lmlib.planner import MISTAKES, budget_plan, budget_planner, laws
from lmlib.scaling import published
from lmlib.scaling.limited import limited_inference_optimal, limited_optimal
from sphinx_ext.site import EXPLORERS

SIZE_LIMIT = 9_000  # bytes, script and style together, gzipped
FUZZ = settings(max_examples=20, deadline=None)  # a busy machine is no error
LAW = published.BESIROGLU | {name: published.MUENNIGHOFF[name] for name in ("R_N", "R_D")}
SHAPE = ("A", "B", "alpha", "beta")


def additive(law):
    return {name: law[name] for name in ("E", *SHAPE)}


def unlimited(compute, law):
    return scaling.compute_optimal(compute, *(law[name] for name in SHAPE))


@st.composite
def cases(draw, repeats):
    """A law, a budget, and a text that the unlimited plan would read `repeats` times."""
    law = {
        "E": draw(st.floats(0.5, 3)),
        "A": math.exp(draw(st.floats(3, 8))),
        "B": math.exp(draw(st.floats(3, 8))),
        "alpha": draw(st.floats(0.2, 0.6)),
        "beta": draw(st.floats(0.2, 0.6)),
        "R_N": draw(st.floats(3, 20)),
        "R_D": draw(st.floats(5, 30)),
    }
    compute = 10 ** draw(st.floats(17, 27))
    _, tokens = unlimited(compute, law)
    return law, compute, float(tokens) / math.exp(draw(repeats))


ONCE, OFTEN = st.floats(-5, 0), st.floats(0.01, 3)  # log of how often


# ------------------------------------------------------------------------------------- two optima
@FUZZ
@given(cases(ONCE))
def test_with_enough_text_the_optimum_is_chinchillas(case):
    law, compute, unique = case
    assert limited_optimal(compute, unique, **law) == pytest.approx(
        unlimited(compute, law), rel=1e-12
    )


@FUZZ
@given(cases(OFTEN))
def test_the_limited_optimum_is_the_lowest_point_of_its_valley(case):
    law, compute, unique = case
    N, D = limited_optimal(compute, unique, **law)
    assert compute == pytest.approx(6 * N * D, rel=1e-12)

    def loss(params, tokens):
        return scaling.data_constrained(params, tokens, unique, **law)

    for step in (0.9, 0.99, 1.01, 1.1):
        assert loss(N * step, D / step) >= loss(N, D) * (1 - 1e-15)
    by_search = scaling.numeric_optimum(lambda n, d: loss(n, d) - law["E"], compute)
    assert by_search == pytest.approx((N, D), rel=1e-3)  # the valley is flat: a search stops early
    # to first order, nothing is gained either way: much sharper than any search
    h = 1e-4
    slope = loss(N * math.exp(h), D * math.exp(-h)) - loss(N * math.exp(-h), D * math.exp(h))
    assert abs(slope) < 1e-9 * (loss(N, D) - law["E"])


def test_short_text_favours_epochs_over_parameters():
    """Muennighoff et al. (2023): surplus parameters lose their worth sooner than old tokens."""
    sizes, epochs = [], []
    for unique in (2e12, 4e11, 2e11, 1e11):
        N, D = limited_optimal(5.76e23, unique, **LAW)
        sizes.append(N)
        epochs.append(D / unique)
    assert epochs[0] < 1 < epochs[1] < epochs[2] < epochs[3]
    assert sizes[0] > sizes[1] > sizes[2] > sizes[3]
    assert sizes[0] == unlimited(5.76e23, LAW)[0]


@FUZZ
@given(cases(ONCE), st.floats(8, 15))
def test_serving_without_limit_is_sardanas_rule(case, log_demand):
    law, compute, _ = case
    loss = scaling.chinchilla(*unlimited(compute, law), **additive(law))
    for demand in (0.0, 10**log_demand):
        expected = scaling.inference_optimal(loss, demand, **additive(law))
        found = limited_inference_optimal(loss, demand, 1e100, **law)
        assert found == pytest.approx(expected, rel=1e-9)


@settings(max_examples=8, deadline=None)
@given(cases(st.floats(-1, 3)), st.floats(8, 15))
def test_serving_a_limited_text_is_the_cheapest_way_to_its_loss(case, log_demand):
    law, compute, unique = case
    demand = 10**log_demand
    best = limited_optimal(compute, unique, **law)
    loss = scaling.data_constrained(*best, unique, **law)
    N, D = limited_inference_optimal(loss, demand, unique, **law)
    assert scaling.data_constrained(N, D, unique, **law) == pytest.approx(loss, rel=1e-9)

    # an independent search: for each N the D that reaches the loss, and what both cost
    def cost(log_params):
        params = math.exp(log_params)

        def lacks(log_tokens):
            found = scaling.data_constrained(params, math.exp(log_tokens), unique, **law)
            return float(found - loss)

        top = math.log(unique) + math.log(1 + 40 * law["R_D"])
        if lacks(top) > 0:
            return 1e300  # too small: no amount of this text is enough
        tokens = math.exp(brentq(lacks, 0, top, xtol=1e-13))
        return math.log(params) + math.log(6 * tokens + 2 * demand)

    here = math.log(N)
    assume(cost(here - 0.02) < 1e300)
    found = minimize_scalar(cost, bounds=(here - 0.02, here + 0.02), method="bounded")
    assert cost(here) <= found.fun + 1e-9
    assert found.x == pytest.approx(here, abs=5e-3)
    free = limited_inference_optimal(loss, 0.0, unique, **law)
    assert free == pytest.approx(best, rel=1e-4)  # nothing served: the plan itself
    assert free[0] / N >= 1 - 1e-9 and D / free[1] >= 1 - 1e-9


def test_many_laws_are_one_call():
    draws = np.array(laws()["chinchilla"]["draws"])[:20]
    rows = dict(zip(("E", *SHAPE), draws.T, strict=True)) | {k: LAW[k] for k in ("R_N", "R_D")}
    for unique in (1e11, 8e11, 1e100):  # every draw repeats, some do, none does
        together = limited_optimal(5.76e23, unique, **rows)
        loss = scaling.data_constrained(*together, unique, **rows)
        served = limited_inference_optimal(loss, 1e13, unique, **rows)
        for k, row in enumerate(draws):
            law = dict(zip(("E", *SHAPE), row, strict=True)) | {k: LAW[k] for k in ("R_N", "R_D")}
            assert limited_optimal(5.76e23, unique, **law) == pytest.approx(
                [x[k] for x in together], rel=1e-12
            )
            assert limited_inference_optimal(loss[k], 1e13, unique, **law) == pytest.approx(
                [x[k] for x in served], rel=1e-9
            )


def test_what_no_text_can_reach_is_refused():
    with pytest.raises(ValueError, match=r"no model reaches a loss of 1.9 nats on these 1e\+10"):
        limited_inference_optimal(1.9, 0.0, 1e10, **LAW)
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="compute must be positive and finite"):
            limited_optimal(wrong, 1e10, **LAW)
        with pytest.raises(ValueError, match="unique_tokens must be positive and finite"):
            limited_optimal(1e20, wrong, **LAW)


# ----------------------------------------------------------------------------------------- the plan
def test_the_plan_without_limits_by_a_loop():
    plan = budget_plan(5.76e23, 1e13)
    content = laws()["chinchilla"]
    found = {"params": [], "tokens": [], "ratio": [], "loss": []}
    served = {"params": [], "tokens": []}
    N, D = unlimited(5.76e23, published.BESIROGLU)
    for row in [list(content["constants"].values()), *content["draws"]]:
        law = dict(zip(("E", *SHAPE), row, strict=True))
        n, d = unlimited(5.76e23, law)
        for name, value in zip(found, (n, d, d / n, scaling.chinchilla(N, D, **law)), strict=True):
            found[name].append(value)
        own = scaling.chinchilla(n, d, **law)
        for name, value in zip(served, scaling.inference_optimal(own, 1e13, **law), strict=True):
            served[name].append(value)
    for part, columns in ((plan["best"], found), (plan["served"], served)):
        for name, (value, *draws) in columns.items():
            low, high = np.percentile(draws, [2.5, 97.5])
            assert part[name] == pytest.approx([value, low, high], rel=1e-9), name
    best, cheap = plan["best"], plan["served"]
    assert best["epochs"] is None and best["training"] == pytest.approx(5.76e23)
    assert best["total"] == pytest.approx(6 * N * D + 2 * N * 1e13)
    assert cheap["loss"][0] == pytest.approx(best["loss"][0])
    assert cheap["total"] < best["total"] < best["total"] * 1.5
    assert cheap["training"] == pytest.approx(6 * cheap["params"][0] * cheap["tokens"][0])
    assert plan["mistakes"]["serving"]["extra_compute"] == best["total"] / cheap["total"]


def test_published_plans():
    """At Chinchilla's budget; facts that other people's tables hold as well."""
    best = budget_plan(5.76e23)["best"]
    assert best["params"][0] == pytest.approx(72.2e9, rel=1e-3)
    assert best["tokens"][0] == pytest.approx(1.329e12, rel=1e-3)
    low, high = best["ratio"][1:]
    assert low < 20 < high  # Chinchilla's 20 tokens a parameter is inside
    kaplan, hoffmann = (budget_plan(5.76e23)["mistakes"][k] for k in ("kaplan", "hoffmann"))
    assert kaplan["params"] == pytest.approx(1.3e9 * (5.76e23 / 8.64e19) ** 0.73)
    rounded = scaling.compute_optimal(
        5.76e23, *(published.HOFFMANN_ROUNDED[name] for name in SHAPE)
    )
    assert (hoffmann["params"], hoffmann["tokens"]) == pytest.approx(rounded, rel=1e-9)
    assert hoffmann["tokens"] / hoffmann["params"] == pytest.approx(92.6, abs=0.1)


@pytest.mark.parametrize(("compute", "unique"), [(1e19, None), (5.76e23, None), (5.76e23, 1e11)])
def test_mistakes_cost_what_they_cost(compute, unique):
    plan = budget_plan(compute, 0, unique)
    limit = unique or 1e100
    best = plan["best"]["loss"][0]
    for name, cost in plan["mistakes"].items():
        assert 6 * cost["params"] * cost["tokens"] == pytest.approx(compute)
        loss = scaling.data_constrained(cost["params"], cost["tokens"], limit, **LAW)
        assert cost["loss"] == pytest.approx(loss)
        extra, low, high = cost["extra_loss"]
        assert extra == pytest.approx(loss - best, abs=1e-14) and extra > 0
        assert low <= extra <= high
        # with so many times the compute, the same rule is as good as the plan
        more = compute * cost["extra_compute"]
        size = budget_plan(more, 0, unique)["mistakes"][name] if more < 1e26 else None
        if size:
            assert size["loss"] == pytest.approx(best, rel=1e-12)
    assert ("fresh" in plan["mistakes"]) == bool(unique)
    assert "serving" not in plan["mistakes"] and plan["served"] is None


def test_the_fresh_and_the_embedding_mistake():
    plan = budget_plan(5.76e23, 0, 1e11)
    fresh, ours = plan["mistakes"]["fresh"], plan["mistakes"]["embeddings"]
    assert fresh["params"] == pytest.approx(unlimited(5.76e23, LAW)[0])
    N = plan["best"]["params"][0]
    assert ours["params"] == pytest.approx(N + 47_491 * N ** (1 / 3))
    # Pearce and Song's relation fits the published shapes
    for row in published.TABLE_A9:
        shape = scaling.chinchilla_shape(*row[1:])
        inside = scaling.without_embedding(shape)
        total = sum(scaling.parameters(shape).values())
        assert inside + 47_491 * inside ** (1 / 3) == pytest.approx(total, rel=0.12)


def test_a_rule_that_never_gets_there():
    """With a text for 7 epochs, Kaplan's rule would need more than a million times the compute."""
    plan = budget_plan(1e27, 0, 4e12)
    assert plan["mistakes"]["kaplan"]["extra_compute"] is None
    table = budget_planner(1e27, 0, 4e12)
    assert "more than a million times" in repr(table)


def test_the_stored_laws_are_the_published_ones():
    file = resources.files("lmlib") / "data" / "scaling_planner.json"
    assert len(file.read_bytes()) <= 25_000
    law = laws()["chinchilla"]
    assert law["constants"] == published.BESIROGLU
    assert law["repetition"] == {"R_N": published.MUENNIGHOFF["R_N"], "R_D": 15.387756}
    assert set(law["rules"]) | {"embeddings", "fresh", "serving"} == set(MISTAKES)
    for compute in (1e18, 1e26):
        by_rule = {k: scale * compute**power for k, (scale, power) in law["rules"].items()}
        assert by_rule["twenty"] == pytest.approx(math.sqrt(compute / 120))
    draws = np.array(law["draws"])
    assert draws.shape == (200, 5)
    # as wide as published: standard errors .0257, .0154, .0206 of E, alpha, beta; .0200 of a
    a = draws[:, 4] / (draws[:, 3] + draws[:, 4])
    spread = [*draws[:, [0, 3, 4]].std(0), a.std()]
    assert spread == pytest.approx([0.0257, 0.0154, 0.0206, 0.0200], rel=0.3)
    middle = np.median(draws, 0)
    assert middle[[0, 3, 4]] == pytest.approx([1.8172, 0.3478, 0.3658], abs=0.006)


def test_the_law_of_our_own_networks_is_fitted_to_our_own_runs():
    law, table = laws()["networks"], corpora.measured("scaling_runs")
    small = table["budget"] <= law["measured"][1]
    loss = (table["loss_0"] + table["loss_1"]) / 2
    fit = scaling.fit_chinchilla(table["params"][small], table["tokens"][small], loss[small])
    assert law["constants"] == pytest.approx(fit.constants, rel=1e-4)
    assert law["measured"][0] == table["budget"].min()
    studies = corpora.measured("scaling_known")
    a = np.array(law["draws"])
    a = a[:, 4] / (a[:, 3] + a[:, 4])  # about as wide as one study says of itself
    width = np.subtract(*np.quantile(a, [0.975, 0.025]))
    assert width == pytest.approx(np.mean(studies["a_3_high"] - studies["a_3_low"]), rel=0.3)
    # runs of ten times the compute, kept aside: within 1 % of what the planner says
    plan = budget_plan(1.6e11, law="networks")
    assert plan["best"]["loss"][0] == pytest.approx(loss[~small].mean(), rel=0.01)
    assert plan["mistakes"].keys() == {"twenty", "kaplan"}
    best = budget_plan(law["measured"][0], law="networks")["best"]["params"][0]
    mistakes = budget_plan(law["measured"][0], law="networks")["mistakes"]
    assert mistakes["kaplan"]["params"] == pytest.approx(best, rel=1e-4)  # there it starts


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: budget_plan(5.76e23, law="kaplan"),
            "no law .kaplan.; there are: chinchilla, net",
        ),
        (lambda: budget_plan(5.76), r"between 1e\+17 and 1e\+28 FLOP for this law, got 5.76. Was"),
        (lambda: budget_plan(math.nan), "got nan"),
        (lambda: budget_plan(-1e20), "got -1e"),
        (lambda: budget_plan(1e20, -1), "inference_tokens must be between 0 and 1e"),
        (lambda: budget_plan(1e20, math.nan), "inference_tokens must be between 0 and 1e"),
        (lambda: budget_plan(1e20, 0, 0), "unique_tokens must be between 1 and .* or None"),
        (lambda: budget_plan(1e20, 0, math.inf), "unique_tokens must be between 1"),
        (lambda: budget_plan(1e10, 0, 1e6, "networks"), "repeated tokens are worth is not known"),
        (lambda: budget_planner(1e24, 0, 1e9), "too few for 1e.24 FLOP: .* train on them 3"),
    ],
)
def test_nonsense_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


# ------------------------------------------------------------------------------- static fallback
@functools.cache
def planner(*asked):
    return budget_planner(*asked)


def html(*asked):
    return planner(*asked)._repr_mimebundle_()["text/html"]


def test_static_tables_hold_the_numbers_and_are_accessible():
    found, plan = Tables(html()), planner().view
    assert len(found.captions) == 2 and all(found.captions)
    assert found.scopes == ["col"] * 5 + ["row"] * 4 + ["col"] * 5 + ["row"] * 4
    row = next(row for row in found.rows if row[0] == "5.76e23")
    assert row[1:] == [
        "72 B (54 to 95)",
        "1.3 T (1.0 to 1.8)",
        "18 (11 to 33)",
        "1.974 (1.946 to 2.002)",
    ]
    assert [row[0] for row in found.rows[1:5]] == ["1e19", "1e21", "5.76e23", "3.8e25"]
    costs = {row[0]: row[1:] for row in found.rows[6:]}
    assert costs[MISTAKES["kaplan"][0]] == [
        "800 B",
        "120 B",
        "0.0627 (0.0496 to 0.0775)",
        "17 times",
    ]
    assert costs[MISTAKES["embeddings"][0]][2:] == ["under 0.0001", "under 0.1 %"]
    assert len(costs) == len(plan["mistakes"]) == 4


def test_static_tables_of_a_limited_and_served_plan():
    found = Tables(html(2e22, 1e12, 1e10)).rows
    assert found[0][4:] == [
        "Epochs",
        "Loss, nats per token",
        "To serve 1.0 T tokens: parameters",
        "Tokens",
    ]
    assert [row[0] for row in found[1:4]] == ["1e19", "1e21", "2e22"]  # more has too little text
    assert found[4][0] == "Mistake" and found[-1][0] == "Serving forgotten"
    assert found[-1][3] == "none"
    assert "10 B unique tokens" in Tables(html(2e22, 1e12, 1e10)).captions[0]


def test_data_for_the_page_survive_html():
    data = Tables(html(2e22, 1e12, 1e10)).data[0]
    assert data["laws"] == laws()
    assert data["mistakes"] == {name: list(texts) for name, texts in MISTAKES.items()}
    assert data["asked"] == {
        "compute": 2e22,
        "inference_tokens": 1e12,
        "unique_tokens": 1e10,
        "law": "chinchilla",
    }
    assert json.loads(json.dumps(planner().view)) == planner().view


def test_text_version_has_every_number():
    text = repr(planner(2e22, 1e12, 1e10))
    for row in Tables(html(2e22, 1e12, 1e10)).rows:
        assert all(cell in text for cell in row)
    assert planner()._repr_mimebundle_()["text/plain"] == repr(planner())


# --------------------------------------------------------------------------------------- the page
def test_size():
    script, style = ((STATIC / f"planner.{kind}").read_bytes() for kind in ("js", "css"))
    assert len(gzip.compress(script + style, 9)) <= SIZE_LIMIT
    assert EXPLORERS["lm-budget-planner"] == "planner"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    book = tmp_path_factory.mktemp("book")
    write_pages(book, "planner", one=[html()], two=[html(), html(1e20)])
    yield from checks.serve(book)


browser = pytest.fixture(scope="module")(checks.open_browser)


@pytest.fixture
def visit(browser, base):
    yield from visits(browser, base)


def expect_says(tab, pattern):
    expect_text(tab, ".lm-x-says", pattern)


def asked():
    """Budgets from the smallest to the largest, with and without serving and limits."""
    rng = np.random.default_rng(4)
    found = [(5.76e23, 0, None), (1e17, 0, None), (1e28, 1e18, None), (1e21, 1.0, 1e18)]
    found = [(*question, "chinchilla") for question in found]
    for _ in range(24):
        compute = 10 ** rng.uniform(17, 28)
        serves = 0 if rng.random() < 0.3 else 10 ** rng.uniform(6, 17)
        tokens = unlimited(compute, LAW)[1]
        unique = None if rng.random() < 0.4 else float(tokens / np.exp(rng.uniform(-2, 3.5)))
        found.append((compute, serves, unique, "chinchilla"))
    for compute in 10 ** rng.uniform(8, 13, 6):
        found.append((compute, 10 ** rng.uniform(5, 11), None, "networks"))
    return found


def flat(value, path=""):
    """All numbers of nested dicts and lists, by their place."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in items:
        if isinstance(part, dict | list):
            yield from flat(part, f"{path}/{key}")
        else:
            yield f"{path}/{key}", part


def test_page_computes_what_python_computes(visit):
    tab = visit()
    views = tab.evaluate(
        """asked => asked.map(a => document.querySelector("lm-budget-planner").view(...a))""",
        [list(a) for a in asked()],
    )
    limited = refused = 0
    for question, view in zip(asked(), views, strict=True):
        try:
            plan = budget_plan(*question)
        except ValueError as error:
            times = re.search(r"on them (\d+) times", str(error))[1]
            assert f"would read them {float(f'{float(times):.2g}'):,.0f} times" in view["problem"]
            refused += 1
            continue
        ours, theirs = dict(flat(view)), dict(flat(plan))
        assert ours.keys() == theirs.keys()
        for place, value in theirs.items():
            if isinstance(value, int | float):
                # a difference of losses is as exact as the losses
                exact = {"abs": 1e-13} if "extra_loss" in place else {"rel": 1e-9}
                assert ours[place] == pytest.approx(value, **exact), (question, place)
            else:
                assert ours[place] == value
        limited += bool(plan["best"]["epochs"] and plan["best"]["epochs"][0] > 1.5)
    assert limited >= 6 and refused <= 5 and tab.problems == []


def test_page_shows_what_python_shows(visit):
    tab = visit()
    static = Tables(html()).rows
    cells = tab.locator(".lm-p-plan td").all_inner_texts()
    assert cells == [*next(row for row in static if row[0] == "5.76e23")[1:], "5.76e23"]
    names = [text.split("\n")[0] for text in tab.locator(".lm-p-costs tbody th").all_inner_texts()]
    costs = [" ".join(text.split()) for text in tab.locator(".lm-p-costs td").all_inner_texts()]
    assert names == [row[0] for row in static[6:]]
    assert costs == [cell for row in static[6:] for cell in row[3:]]
    assert tab.locator(".lm-x-says").text_content() == (
        "At 5.76e23 FLOP: 72 billion parameters on 1.3 trillion tokens, 18 a parameter; "
        "expected loss 1.974 nats per token (1.946 to 2.002)."
    )
    assert "Outside the measured range" in tab.locator(".lm-x-note").first.text_content()
    tab.get_by_role("button", name="1e21 FLOP").click()
    expect_says(tab, "^At 1e21 FLOP: 2.8 billion")
    assert "Outside" not in tab.locator(".lm-x-note").first.text_content()
    tab.get_by_label("Compute, FLOP", exact=True).fill("1e17")  # below it, too
    expect_says(tab, "^At 1e17 FLOP")
    assert "Outside" in tab.locator(".lm-x-note").first.text_content()
    assert tab.problems == []


def test_serving_and_a_limit(visit):
    tab = visit()
    tab.get_by_role("button", name="serve 10 T tokens").click()
    expect_says(tab, "To serve 10 trillion tokens, 34 billion parameters .* 29 % less compute")
    heads = tab.locator(".lm-p-plan thead th").all_inner_texts()
    assert heads == ["The plan", "Lowest loss", "Same loss, serving counted"]
    assert tab.get_by_label("Tokens served", exact=True).input_value() == "10 T"
    assert tab.locator("circle.lm-p-served").count() == 1
    assert "Serving forgotten" in tab.locator(".lm-p-costs").inner_text()
    tab.get_by_role("button", name="only 100 B").click()
    expect_says(tab, "47 billion .* The 100 billion unique tokens are read 20 times.$")
    assert tab.locator("circle.lm-p-served").count() == 0
    assert tab.get_by_label("Tokens served", exact=True).input_value() == ""
    assert "Repeated epochs" in tab.locator(".lm-p-costs").inner_text()
    assert tab.locator(".lm-p-plan").get_by_text("Epochs").count() == 1
    tab.get_by_label("Unique tokens", exact=True).fill("5T")
    expect_says(tab, "72 billion .* The 5.0 trillion unique tokens are read in part.$")
    assert tab.problems == []


TYPED = [  # field, what is typed, the headline
    ("Compute, FLOP", "1e21", "^At 1e21 FLOP: 2.8 billion"),
    ("Compute, FLOP", "10^21", "^At 1e21 FLOP"),
    ("Compute, FLOP", "3.8 x 10^25 FLOPs", "^At 3.8e25 FLOP: 620 billion"),
    ("Compute, FLOP", "5E+23", "^At 5e23 FLOP"),
    ("Compute, FLOP", "1,000,000 t", "^At 1e18 FLOP"),
    ("Compute, FLOP", "", "is no number .*Compute, FLOP.* stay as they were"),
    ("Compute, FLOP", "lots", "“\u2068lots\u2069” is no number"),
    ("Compute, FLOP", "-1e21", "is no number"),
    ("Compute, FLOP", "1e-5", "is no number"),
    ("Compute, FLOP", "1.2.3", "is no number"),
    ("Compute, FLOP", "e", "is no number"),
    ("Compute, FLOP", "5", "must lie between 1e17 and 1e28"),
    ("Compute, FLOP", "1e999", "must lie between 1e17 and 1e28"),
    ("Compute, FLOP", "<img src=x onerror=alert(1)>", "“\u2068<img src"),
    ("Compute, FLOP", "5.76e23", "^At 5.76e23 FLOP"),
    ("Tokens served", "1e30", "“Tokens served” must lie between 0 and 1,000,000 trillion"),
    ("Tokens served", "2 billion tokens", "To serve 2.0 billion tokens"),
    ("Tokens served", "0", "FLOP: [^S]*$"),
    ("Tokens served", "none", "FLOP: [^S]*$"),
    ("Unique tokens", "100b", "read 20 times"),
    ("Unique tokens", "0", "“Unique tokens” must lie between 1.0 and"),
    ("Unique tokens", "1 B", "^1.0 billion unique tokens are too few .* 2,700 times, and past 63"),
    ("Unique tokens", "no limit", r"2.002\).$"),
]


def test_whatever_is_typed(visit):
    tab = visit(width=390)
    for label, typed, says in TYPED:
        field = tab.get_by_label(label, exact=True)
        field.fill(typed)
        field.press("Enter")
        expect_says(tab, says)
        text = tab.locator(".lm-x-says").text_content()
        assert ("stay as they were" in text) == (not text.startswith("At "))
        refused = "is no number" in text or "must lie" in text
        assert field.get_attribute("aria-invalid") == str(refused).lower()
        stale = tab.locator(".lm-p-stale").count()
        assert stale == (not text.startswith("At ")), typed
        assert overflow(tab) <= 0 and tab.locator("lm-budget-planner img").count() == 0
        assert tab.problems == [], typed


def test_a_refused_plan_is_kept_until_a_good_one(visit):
    tab = visit()
    before = tab.locator(".lm-p-plan").inner_text()
    tab.get_by_label("Unique tokens", exact=True).fill("nonsense")
    expect_says(tab, "is no number")
    tab.get_by_label("Compute, FLOP", exact=True).fill("also")
    expect_says(tab, "nonsense.*also")  # both are named
    assert tab.locator(".lm-p-plan").inner_text() == before
    tab.get_by_role("button", name="1e21 FLOP").click()  # an example sets all three
    expect_says(tab, "^At 1e21")
    assert tab.locator("[aria-invalid=true]").count() == 0


def test_a_reader_with_a_keyboard_only(visit):
    tab = visit()
    press = tab.keyboard.press
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "1e21 FLOP"
    assert tab.evaluate(outline) == "solid"
    press("Enter")
    expect_says(tab, "^At 1e21 FLOP")
    while tab.evaluate("document.activeElement.type") != "text":
        press("Tab")
    assert tab.evaluate("document.activeElement.labels[0].textContent") == "Compute, FLOP"
    assert tab.evaluate("document.activeElement.value") == "1e21"
    press("Tab")
    label = "document.activeElement.getAttribute('aria-label')"
    assert tab.evaluate(label) == "Compute, FLOP, logarithmic"
    press("ArrowRight")
    expect_says(tab, "^At 1.1e21 FLOP")
    assert tab.evaluate("document.activeElement.ariaValueText") == "1.1e21"
    press("Home")
    expect_says(tab, "^At 1e17 FLOP")
    press("End")
    expect_says(tab, "^At 1e28 FLOP")
    press("Tab")
    press("Tab")
    assert tab.evaluate("document.activeElement.ariaValueText") == "none"
    press("ArrowRight")
    expect_says(tab, "To serve 1.0 billion tokens")
    assert tab.get_by_label("Tokens served", exact=True).input_value() == "1.0 B"
    press("End")
    expect_says(tab, "To serve 10,000 trillion tokens")
    press("Home")
    expect_says(tab, r"FLOP: [^S]*$")
    press("Tab")
    press("Tab")
    assert tab.evaluate("document.activeElement.ariaValueText") == "no limit"
    press("ArrowLeft")
    expect_says(tab, "The 100 trillion unique tokens are read")
    press("ArrowRight")
    expect_says(tab, r"FLOP: [^T]*$")
    assert tab.evaluate(outline) == "solid" and tab.problems == []


def test_each_planner_has_its_own_state(visit):
    tab = visit("two")
    first, second = tab.locator("lm-budget-planner").all()
    assert "At 1e20 FLOP" in second.locator(".lm-x-says").text_content()
    second.get_by_role("button", name="Llama 3 405B").click()
    second.locator(".lm-x-says").get_by_text("At 3.8e25").wait_for()
    assert "At 5.76e23" in first.locator(".lm-x-says").text_content()
    ids = tab.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids)) and tab.problems == []


def test_the_law_of_our_own_networks(visit):
    tab = visit()
    tab.get_by_role("button", name="only 100 B").click()
    expect_says(tab, "read 20 times")
    tab.get_by_label("Law").select_option(laws()["networks"]["name"])
    expect_says(tab, r"^At 1e10 FLOP: \d+ thousand parameters on .* thousand tokens, [^.]*\.")
    assert not tab.get_by_label("Unique tokens", exact=True).is_visible()
    names = tab.locator(".lm-p-costs tbody th").all_inner_texts()
    assert [name.split("\n")[0] for name in names] == [
        MISTAKES[name][0] for name in ("twenty", "kaplan")
    ]
    assert "Muennighoff" not in tab.locator(".lm-x-note").last.text_content()
    tab.get_by_role("button", name="ten times").click()
    static = Tables(html(1.6e11, 0, None, "networks")).rows
    expect_says(tab, "^At 1.6e11 FLOP")
    cells = tab.locator(".lm-p-plan td").all_inner_texts()
    assert cells == [*next(row for row in static if row[0] == "1.6e11")[1:], "1.6e11"]
    tab.get_by_label("Compute, FLOP", exact=True).fill("1e23")
    expect_says(tab, "must lie between 1e8 and 1e13")
    tab.get_by_label("Law").select_option(laws()["chinchilla"]["name"])
    expect_says(tab, "^At 1e21 FLOP")
    assert tab.get_by_label("Unique tokens", exact=True).is_visible() and tab.problems == []


# (compute, served, unique) whose marks crowd in different ways
PICTURES = [
    ("5.76e23", "", ""),
    ("5.76e23", "10T", "100B"),
    ("1e17", "", ""),
    ("1e18", "1e9", "2e9"),
    ("3e19", "1e16", ""),
    ("1e28", "1e16", "1e15"),
]


def shown_boxes(tab):
    return tab.evaluate(
        """() => { const svg = document.querySelector(".lm-p-picture svg");
            const box = e => { const b = e.getBoundingClientRect();
                return [b.left, b.top, b.right, b.bottom]; };
            return [box(svg), ...["text", "circle", "path"].map(
                kind => [...svg.querySelectorAll(kind)].map(box))]; }"""
    )


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_labels_of_the_picture_do_not_collide(visit, width):
    tab = visit(width=width)
    for question in PICTURES:
        labels = ("Compute, FLOP", "Tokens served", "Unique tokens")
        for label, typed in zip(labels, question, strict=True):
            tab.get_by_label(label, exact=True).fill(typed)
        tab.get_by_label("Unique tokens", exact=True).press("Enter")
        expect_says(tab, f"^At {question[0]} FLOP")
        tab.wait_for_timeout(50)
        frame, texts, circles, leaders = shown_boxes(tab)
        assert len(circles) == len(leaders) >= 5
        for i, (left, top, right, bottom) in enumerate(texts):
            assert left >= frame[0] - 1 and right <= frame[2] + 1, question
            assert top >= frame[1] - 1 and bottom <= frame[3] + 1
            others = [*texts[:i], *circles]
            for a, b, c, d in others:
                assert right <= a or c <= left or bottom <= b + 1 or d <= top + 1, question
            for a, b, _, d in leaders:  # a leader may start at its own label, and cross none
                through = left + 1 < a < right - 1 and b < (top + bottom) / 2 - 2 and d > bottom
                assert not through, question
        for a, b, c, d in circles:
            assert frame[0] <= a and c <= frame[2] and frame[1] <= b and d <= frame[3], question
        assert overflow(tab) <= 0
    assert tab.problems == []


def test_the_picture_says_its_numbers(visit):
    tab = visit()
    alt = tab.locator(".lm-p-picture svg").get_attribute("aria-label")
    assert "lowest loss: 72 billion parameters, loss 1.974" in alt
    assert "Kaplan’s exponent: 800 billion parameters, loss 2.037" in alt
    assert tab.locator(".lm-p-picture svg").get_attribute("role") == "img"
    # the optimum is the lowest point of the curve that is drawn
    points = tab.locator(".lm-p-valley").get_attribute("points").split()
    lowest = max(([float(v) for v in point.split(",")] for point in points), key=lambda p: p[1])
    dot = tab.locator("circle.lm-p-best")
    at = [float(dot.get_attribute(name)) for name in ("cx", "cy")]
    assert lowest == pytest.approx(at, abs=6) and lowest[1] == pytest.approx(at[1], abs=0.2)


def test_without_scripts_and_in_print_there_are_tables(visit):
    tab = visit(java_script_enabled=False, width=390)
    assert tab.locator("table").nth(0).is_visible() and tab.locator("table").nth(1).is_visible()
    box = tab.locator("lm-budget-planner").bounding_box()
    assert box["height"] < 1400 and box["x"] + box["width"] <= 390
    tab = visit()
    assert not tab.locator("caption").first.is_visible()
    tab.emulate_media(media="print")
    assert tab.locator("caption").first.is_visible() and not tab.locator(".lm-x-live").is_visible()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_accessible_and_within_the_screen(visit, theme, width):
    tab = visit(theme=theme, width=width, reduced_motion="reduce")
    assert checks.axe_violations(tab) == [] and overflow(tab) <= 0
    tab.get_by_label("Tokens served", exact=True).fill("10 T")
    tab.get_by_label("Unique tokens", exact=True).fill("200 B")
    expect_says(tab, "To serve 10 trillion .*")
    assert checks.axe_violations(tab) == [] and overflow(tab) <= 0
    tab.get_by_label("Compute, FLOP", exact=True).fill("lots")
    expect_says(tab, "is no number")
    assert checks.axe_violations(tab, ["aria-valid-attr-value", "label"]) == []
    tab.set_viewport_size({"width": 320, "height": 800})
    tab.wait_for_timeout(100)
    assert overflow(tab) <= 0


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_moves_when_the_script_arrives(visit, width):
    assert stays_in_place(visit, "planner", width=width, ready=".lm-x-live svg")


def test_what_the_script_repeats_is_true():
    script = (STATIC / "planner.js").read_text(encoding="utf-8")
    from lmlib import planner as module

    for name in ("NO_LIMIT", "WORTHLESS", "MOST_TOKENS", "MOST_TIMES"):
        written = re.search(rf"\b{name} = ([\de]+)", script)[1]
        assert float(written) == getattr(module, name), name
    assert [float(x) for x in re.findall(r"\[(1(?:e\d+)?), \"[ \w]*\"", script)] == [
        scale for scale, _ in module.UNITS
    ]
