r"""The budget planner: how large a model, on how much text, and what the known mistakes cost.

`budget_planner` returns what a notebook displays. In the book, ``static/planner.js`` turns it into
something to touch; everywhere else (JupyterLab, GitHub, no scripts, print) it is two tables. The
page and this module compute the same plan, and a test holds them to it.

A plan spends C FLOP = 6 N D on training, under Chinchilla's law with repetition
(`lmlib.scaling.data_constrained`); `lmlib.scaling.limited` finds its two optima, the lowest loss
for the budget and the cheapest way to that loss when serving is paid for as well.

Every number comes with an interval: the same plan under many laws that fit the same kind of runs
about as well (``benchmarks/scaling_planner.py``).
"""

from __future__ import annotations

import functools
import json
from html import escape
from importlib import resources

import numpy as np
from scipy.optimize import brentq

from lmlib import scaling
from lmlib.explorable import Explorable, element, static_table, text_table
from lmlib.scaling.limited import limited_inference_optimal, limited_optimal

CHINCHILLA_COMPUTE = 5.76e23  # FLOP that trained Gopher, and Chinchilla (Hoffmann et al. 2022)
NO_LIMIT = 1e100  # unique tokens, when there is no limit
WORTHLESS = 4  # times R_D: after so many repetitions a token is worth 2 % (e^-4) of a new one
MOST_TOKENS, MOST_TIMES = 1e18, 1e6

# What each mistake is called, what it does, and its name in the picture.
MISTAKES = {
    "twenty": (
        "20 tokens per parameter, as a law",
        "N = √(C / 120)",
        "20 per parameter",
    ),
    "kaplan": (
        "Kaplan’s exponent, 0.73",
        "N grows as C^0.73",
        "Kaplan’s exponent",
    ),
    "hoffmann": (
        "Hoffmann’s constants, rounded",
        "as printed: α 0.34, β 0.28",
        "Hoffmann, rounded",
    ),
    "embeddings": (
        "Embeddings left out of N",
        "their table comes on top",
        "embeddings on top",
    ),
    "fresh": (
        "Repeated epochs as fresh data",
        "the plan for unlimited text",
        "epochs as fresh",
    ),
    "serving": (
        "Serving forgotten",
        "the plan for training alone",
        "",
    ),
}


# ---------------------------------------------------------------------------------------- the plan
@functools.cache
def laws() -> dict:
    """The laws to plan with, by name: constants, draws around them, and what they were fitted to.

    Made by ``python3 run.py bench scaling_planner --write``.
    """
    file = resources.files("lmlib") / "data" / "scaling_planner.json"
    return json.loads(file.read_text("utf-8"))


def budget_plan(compute, inference_tokens=0.0, unique_tokens=None, law="chinchilla") -> dict:
    """What to train with a budget, and what each known mistake would cost.

    Parameters
    ----------
    compute : float, FLOP for training
    inference_tokens : float >= 0, tokens the model will process in its life
    unique_tokens : float or None, how many different tokens there are to train on
    law : a name in `laws`

    Returns
    -------
    dict, ready for JSON; an interval is [value, low, high] and holds 95 % of the draws:
        compute, inference_tokens, unique_tokens, law : as given
        best : the plan of the lowest loss: intervals of params, tokens, ratio (tokens per
            parameter), epochs (None without a limit) and loss; floats training and total, in FLOP
        served : the plan that reaches the same loss most cheaply, serving included; None if
            nothing is served
        mistakes : by name, dict of params, tokens, loss, extra_loss (an interval, over `best`) and
            extra_compute: times the compute until the same rule reaches the loss of `best` (None
            if a million times are not enough); for "serving", total of `best` over that of `served`

    The loss of `best`, and what is extra, is that of the plan itself under each draw; all other
    intervals are over the plans that each draw would make.

    Raises
    ------
    ValueError : for an unknown law, numbers outside its reach, or a text so short that the plan
        would repeat it until nothing is gained

    Examples
    --------
    >>> plan = budget_plan(5.76e23)
    >>> [round(x / 1e9) for x in plan["best"]["params"]]     # B parameters, and their interval
    [72, 54, 95]
    >>> round(plan["mistakes"]["kaplan"]["extra_compute"])
    17
    """
    law = _law(law)
    plan, loss = _two_plans(law, compute, inference_tokens, unique_tokens)
    best, served, mistakes = plan["best"], plan["served"], plan["mistakes"]
    unique = NO_LIMIT if unique_tokens is None else float(unique_tokens)
    here = loss(best["params"][0], best["tokens"][0])
    apply = [*law["rules"]]
    apply += ["embeddings"] * bool(law["embedding"]) + ["fresh"] * bool(best["epochs"])
    for name in apply:
        size, amount = _mistaken(name, law, compute, unique)
        found = loss(size, amount)
        mistakes[name] = {
            "params": float(size),
            "tokens": float(amount),
            "loss": float(found[0]),
            "extra_loss": _interval(found - here),
            "extra_compute": _times(name, law, compute, unique, here[0]),
        }
    if served:
        mistakes["serving"] = {
            "params": best["params"][0],
            "tokens": best["tokens"][0],
            "loss": best["loss"][0],
            "extra_loss": [0.0, 0.0, 0.0],
            "extra_compute": best["total"] / served["total"],
        }
    return plan


def _two_plans(law, compute, inference_tokens, unique_tokens):
    """`budget_plan` before any mistake, and the loss of N and D under the law and every draw."""
    _check(law, compute, inference_tokens, unique_tokens)
    unique = NO_LIMIT if unique_tokens is None else float(unique_tokens)

    def loss(params, tokens):
        return scaling.data_constrained(params, tokens, unique, **law["every"])

    params, tokens = limited_optimal(compute, unique, **law["every"])  # (1 + draws,)
    if tokens[0] > unique * (1 + WORTHLESS * law["point"]["R_D"]):
        raise ValueError(
            f"{unique_tokens:g} unique tokens are too few for {compute:g} FLOP: the plan would "
            f"train on them {tokens[0] / unique:.0f} times. Give less compute, or more text."
        )
    here = loss(params[0], tokens[0])
    served = None
    if inference_tokens > 0:
        lowest = loss(params, tokens)  # of every draw's own plan
        cheapest = limited_inference_optimal(lowest, inference_tokens, unique, **law["every"])
        served = _summary(*cheapest, lowest, inference_tokens, unique_tokens)
    plan = {
        "compute": float(compute),
        "inference_tokens": float(inference_tokens),
        "unique_tokens": None if unique_tokens is None else unique,
        "law": law["key"],
        "best": _summary(params, tokens, here, inference_tokens, unique_tokens),
        "served": served,
        "mistakes": {},
    }
    return plan, loss


def _law(name):
    """A law with its constants as keyword arguments: `point`, and `every`, (1 + draws,) each."""
    if name not in laws():
        raise ValueError(f"no law {name!r}; there are: {', '.join(laws())}.")
    law = laws()[name]
    rows = np.array([[*law["constants"].values()], *law["draws"]])
    every = dict(zip(law["constants"], rows.T, strict=True))
    repetition = law["repetition"] or {"R_N": 1.0, "R_D": 1.0}  # of no effect without a limit
    return law | {
        "key": name,
        "point": law["constants"] | repetition,
        "every": every | repetition,
    }


def _check(law, compute, inference_tokens, unique_tokens):
    low, high = law["reach"]["compute"]
    if not low <= compute <= high:
        raise ValueError(
            f"compute must be between {low:g} and {high:g} FLOP for this law, got {compute:g}. "
            "Was it counted in FLOP, not in petaFLOP or in FLOP a second?"
        )
    if not 0 <= inference_tokens <= MOST_TOKENS:
        raise ValueError(
            f"inference_tokens must be between 0 and {MOST_TOKENS:g}, got {inference_tokens}."
        )
    if unique_tokens is not None and not law["repetition"]:
        raise ValueError(
            f"what repeated tokens are worth is not known for {law['name']!r}: leave out "
            "unique_tokens."
        )
    if unique_tokens is not None and not 1 <= unique_tokens <= MOST_TOKENS:
        raise ValueError(
            f"unique_tokens must be between 1 and {MOST_TOKENS:g}, or None for no limit; got "
            f"{unique_tokens}."
        )


def _mistaken(name, law, compute, unique):
    """The N and D that a mistaken rule makes of a budget."""
    if name in law["rules"]:
        scale, exponent = law["rules"][name]
        params = scale * compute**exponent
    elif name == "fresh":
        names = ("A", "B", "alpha", "beta")
        params, _ = scaling.compute_optimal(compute, *(law["point"][key] for key in names))
    else:
        params, _ = limited_optimal(compute, unique, **law["point"])
        params = params + law["embedding"] * params ** (1 / 3)
    return params, compute / 6 / params


def _times(name, law, compute, unique, loss):
    """The factor on compute at which a mistaken rule reaches a loss; None beyond `MOST_TIMES`."""

    def lacks(log_times):
        found = _mistaken(name, law, compute * np.exp(log_times), unique)
        return loss - scaling.data_constrained(*found, unique, **law["point"])

    most = np.log(MOST_TIMES)
    if lacks(most) < 0:
        return None
    if lacks(0.0) >= 0:  # the rule happens to make the plan itself
        return 1.0
    return float(np.exp(brentq(lacks, 0.0, most, xtol=1e-15)))


def _interval(values):
    """[value, low, high]: the first of the values, and the middle 95 % of the others."""
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return [float(values[0]), float(low), float(high)]


def _summary(params, tokens, loss, inference_tokens, unique_tokens):
    training = 6 * params[0] * tokens[0]
    return {
        "params": _interval(params),
        "tokens": _interval(tokens),
        "ratio": _interval(tokens / params),
        "epochs": None if unique_tokens is None else _interval(tokens / unique_tokens),
        "loss": _interval(loss),
        "training": float(training),
        "total": float(training + 2 * params[0] * inference_tokens),
    }


# ----------------------------------------------------------------------------------------- display
def budget_planner(
    compute: float = CHINCHILLA_COMPUTE,
    inference_tokens: float = 0.0,
    unique_tokens: float | None = None,
    law: str = "chinchilla",
) -> Explorable:
    """Plan a training budget: N, D, epochs and loss with intervals, and what mistakes would cost.

    Parameters and errors are those of `budget_plan`. They are shown first; the reader changes them
    in the book.

    Returns
    -------
    planner : what a notebook displays; `planner.view` is the dict of `budget_plan`
    """
    plan = budget_plan(compute, inference_tokens, unique_tokens, law)
    tables = [_plans_table(plan), _mistakes_table(plan)]
    asked = {name: plan[name] for name in ("compute", "inference_tokens", "unique_tokens", "law")}
    data = {"asked": asked, "laws": laws(), "mistakes": MISTAKES}
    html = (static_table(*map(_escaped, table)) for table in tables)
    text = (f"{caption}\n{text_table(heads, rows)}" for caption, heads, rows in tables)
    return Explorable(plan, element("lm-budget-planner", data, *html), "\n\n".join(text))


def _plans_table(plan):
    """Caption, heads and rows: the plan beside those for other budgets under the same law."""
    law, limit, serves = _law(plan["law"]), plan["unique_tokens"], plan["served"]
    caption = f"The lowest loss for a budget. {law['name']}"
    if limit:
        caption += f", {_short(limit)} unique tokens"
    heads = ["Training FLOP", "Parameters", "Tokens", "Tokens per parameter"]
    heads += ["Epochs"] * bool(limit) + ["Loss, nats per token"]
    if serves:
        amount = _short(plan["inference_tokens"])
        heads += [f"To serve {amount} tokens: parameters", "Tokens"]
    rows = []
    for compute in sorted({*law["budgets"], plan["compute"]}):
        try:
            each, _ = _two_plans(law, compute, plan["inference_tokens"], limit)
        except ValueError:  # too much compute for this text
            continue
        best, served = each["best"], each["served"]
        cells = [_spread(best[key]) for key in ("params", "tokens", "ratio", "epochs") if best[key]]
        cells.append(_decimals(best["loss"], 3))
        if served:
            cells += [_spread(served[key]) for key in ("params", "tokens")]
        rows.append((_flop(compute), cells))
    return f"{caption}; 95 % intervals in brackets.", heads, rows


def _mistakes_table(plan):
    heads = ["Mistake", "Parameters", "Tokens", "Extra loss, nats per token"]
    heads.append("Extra compute for the same loss")
    rows = [
        (
            MISTAKES[name][0],
            [
                _short(cost["params"]),
                _short(cost["tokens"]),
                "none" if name == "serving" else _extra(cost["extra_loss"]),
                _factor(cost["extra_compute"]),
            ],
        )
        for name, cost in plan["mistakes"].items()
    ]
    return f"What each mistake costs at {_flop(plan['compute'])} FLOP", heads, rows


def _escaped(part):
    if isinstance(part, str):
        return escape(part)
    return type(part)(map(_escaped, part))


# Two digits are all that the intervals allow. The page writes numbers by the same rules.
UNITS = ((1e12, " T"), (1e9, " B"), (1e6, " M"), (1e3, " k"), (1, ""))


def _short(amount, like=None):
    """Two digits and a unit, such as "73 B" or "1.3 T"; the unit of `like` where it is given."""
    amount = float(f"{amount:.2g}")
    reference = amount if like is None else float(f"{like:.2g}")
    scale, unit = next((u for u in UNITS if reference >= u[0]), UNITS[-1])
    scaled = float(f"{amount / scale:.2g}")
    text = f"{scaled:,.0f}" if scaled >= 10 else f"{scaled:.1f}"
    return text + (unit if like is None else "")


def _spread(interval):
    value, low, high = interval
    return f"{_short(value)} ({_short(low, value)} to {_short(high, value)})"


def _decimals(interval, digits):
    # rounded first, and + 0.0: no "−0.0000"
    value, low, high = (f"{round(x, digits) + 0.0:.{digits}f}".replace("-", "−") for x in interval)
    return f"{value} ({low} to {high})"


def _extra(interval):
    return "under 0.0001" if max(map(abs, interval)) < 5e-5 else _decimals(interval, 4)


def _flop(compute):
    return f"{compute:.3g}".replace("e+", "e")


def _factor(times):
    if times is None:
        return "more than a million times"
    if times >= 2:
        times = float(f"{times:.2g}")
        return f"{times:,.0f} times" if times >= 10 else f"{times:.1f} times"
    share = 100 * (times - 1)
    if share < 0.05:
        return "under 0.1 %"
    return f"{share:.1f} %" if share < 10 else f"{share:.0f} %"
